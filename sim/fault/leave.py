"""A departure: a node that is switched off for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

__all__ = ["Leave"]


class Leave(Fault, tag="leave", kw_only=True):
    """The node goes at `at`; what only it knew goes with it, and nothing more is expected of it."""

    node: str
    momentary = True

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def leaves(self) -> tuple[str, ...]:
        return (self.node,)

    def check(self, plan: Plan) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a node that leaves does not come back; write a fault of kind 'crash' instead")
        if plan.scenario.scenario.converges and self.node in plan.nodes and _falls_apart(plan):
            raise Misfit(
                "node",
                f"when {self.node!r} has left, the others are not connected any more and cannot all come to know the"
                " same; choose another node or set converges = false in [scenario]",
            )

    def begin(self, simulation: Simulation) -> None:
        simulation.power.leave(self.node)

    def end(self, simulation: Simulation) -> None:
        """It is gone."""


def _falls_apart(plan: Plan) -> bool:
    leaving = [fault.node for fault in plan.scenario.fault if isinstance(fault, Leave)]
    rest = plan.graph.subgraph(name for name in plan.nodes if name not in leaving)
    return nx.number_connected_components(rest) > nx.number_connected_components(plan.graph) if len(rest) else False
