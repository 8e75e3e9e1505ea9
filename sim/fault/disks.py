"""Disks that are full or slow, of one node or of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from sim.fault.base import NodeFault

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["DiskFull", "DiskSlow"]


class DiskFull(NodeFault, tag="disk-full", kw_only=True):
    """Nothing can be stored until the end; what is there can be read."""

    def begin(self, simulation: Simulation) -> None:
        for name in self.hit(simulation):
            simulation.machines[name].disk.fill(id(self))

    def end(self, simulation: Simulation) -> None:
        for name in simulation.plan.nodes:
            simulation.machines[name].disk.free(id(self))


class DiskSlow(NodeFault, tag="disk-slow", kw_only=True):
    """A sync takes `times` as long."""

    times: Annotated[int, Meta(ge=2, le=1_000_000)] = 100

    def label(self) -> str:
        return f"disk {self.times} times slower"

    def begin(self, simulation: Simulation) -> None:
        for name in self.hit(simulation):
            simulation.machines[name].disk.slow_down(id(self), self.times)

    def end(self, simulation: Simulation) -> None:
        for name in simulation.plan.nodes:
            simulation.machines[name].disk.speed_up(id(self))
