"""A newcomer: a node of the plan that is switched on late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.base import Fault, Misfit

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab
    from sim.scenario.plan import Plan

__all__ = ["Join"]


class Join(Fault, tag="join", kw_only=True):
    """The node boots for the first time at `at`."""

    node: str
    momentary = True

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def boots_later(self) -> tuple[str, ...]:
        return (self.node,)

    def check(self, plan: Plan) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a node that joins stays; to make it go again add a fault of kind 'leave'")

    def begin(self, lab: Lab) -> None:
        lab.power.on(self.node, self)

    def end(self, lab: Lab) -> None:
        """It stays."""
