"""A power cut: the machine is off until the fault ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.base import NodeFault
from sim.world.disk import Fate

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Crash"]


class Crash(NodeFault, tag="crash", kw_only=True):
    """Off for `for`, or until the faults end; without a node the whole federation goes dark.

    `fate`: what becomes of a batch that was being written: lost, torn or kept; drawn when not given.
    """

    fate: Fate | None = None

    def begin(self, simulation: Simulation) -> None:
        for name in self.hit(simulation):
            simulation.power.off(name, self, self.fate)

    def end(self, simulation: Simulation) -> None:
        for name in simulation.plan.nodes:
            simulation.power.on(name, self)
