"""A departure: a node that is switched off for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import networkx as nx

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation

__all__ = ["Leave"]


@kind("leave")
class Leave(Fault, kw_only=True):
    """The node goes at `at`; what only it knew goes with it, and nothing more is expected of it."""

    node: str
    """The node that goes."""
    momentary = True

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def leaves(self) -> tuple[str, ...]:
        return (self.node,)

    def check(self, federation: Federation) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a node that leaves does not come back; write a fault of kind 'crash' instead")
        if federation.must_converge and self.node in federation.nodes and _falls_apart(federation):
            raise Misfit(
                "node",
                f"when {self.node!r} has left, the others are not connected any more and cannot all come to know the"
                " same; choose another node or set converges = false in [scenario]",
            )

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        env.machine(self.node).leave()
        yield


def _falls_apart(federation: Federation) -> bool:
    rest = federation.graph.subgraph(name for name in federation.nodes if name not in federation.leaving)
    parts = nx.number_connected_components
    return parts(rest) > parts(federation.graph) if len(rest) else False
