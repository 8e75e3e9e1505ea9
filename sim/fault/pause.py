"""A pause: the process stands still while its machine, its disk and the world go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.base import NodeFault

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Pause"]


class Pause(NodeFault, tag="pause", kw_only=True):
    """Not scheduled until the end, then everything that came meanwhile happens at once. A crash ends it."""

    def begin(self, simulation: Simulation) -> None:
        for name in self.hit(simulation):
            simulation.power.pause(name, self)

    def end(self, simulation: Simulation) -> None:
        for name in simulation.plan.nodes:
            simulation.power.resume(name, self)
