"""A newcomer: a node of the plan that is switched on late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

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

    def begin(self, simulation: Simulation) -> None:
        simulation.power.on(self.node, self)

    def end(self, simulation: Simulation) -> None:
        """It stays."""
