"""A wipe: the disk is lost and the machine comes back empty, with its old name and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.base import Fault, Misfit
from sim.units import NonNegative, parse_duration

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab
    from sim.scenario.plan import Plan

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

    def begin(self, lab: Lab) -> None:
        lab.power.off(self.node, self)
        lab.power.wipe(self.node)

    def end(self, lab: Lab) -> None:
        lab.power.on(self.node, self)
