"""A wipe: the disk is lost and the machine comes back empty, with its old name and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.units import NonNegative, parse_duration

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

__all__ = ["Wipe"]


class Wipe(Fault, tag="wipe", kw_only=True):
    """Crashes, loses everything and boots `down` later; the operators introduce it to its peers again."""

    node: str
    down: NonNegative = parse_duration("0s")

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def check(self, plan: Plan) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a wiped machine is back after its time down; write down instead of for")

    def span(self) -> int | None:
        return self.down

    def begin(self, simulation: Simulation) -> None:
        simulation.power.off(self.node, self)
        simulation.power.wipe(self.node)

    def end(self, simulation: Simulation) -> None:
        simulation.power.on(self.node, self)
