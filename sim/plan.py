"""The plan: a scenario worked out against its files: which nodes, which links, where they are, what they share.

Made once before a run by `sim.fitting.make_plan`, which refuses what does not fit; read by everything after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import networkx as nx

from sim.scenario import LinkTable, Scenario

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """`graph` is simple and undirected, its nodes the names in order. `positions`: latitude and longitude in
    degrees, where known. `warnings`: sentences for the user, such as a federation that cannot converge."""

    scenario: Scenario
    base: Path
    graph: nx.Graph
    positions: dict[str, tuple[float, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Names, in the order of the scenario or the map."""
        return tuple(self.graph.nodes)

    @cached_property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Undirected links in a fixed order."""
        rank = {name: number for number, name in enumerate(self.nodes)}
        pairs = [tuple(sorted(edge, key=rank.__getitem__)) for edge in self.graph.edges]
        return tuple(sorted(pairs, key=lambda pair: (rank[pair[0]], rank[pair[1]])))

    @cached_property
    def link_tables(self) -> dict[frozenset[str], LinkTable]:
        """What the scenario says of single links."""
        return {frozenset(table.between): table for table in self.scenario.link}

    def scopes_on(self, first: str, second: str) -> tuple[str, ...]:
        """Scopes that both ends declare on a link."""
        table = self.link_tables.get(frozenset((first, second)))
        chosen = self.scenario.federation.scopes if table is None or table.scopes is None else table.scopes
        return tuple(dict.fromkeys(chosen))

    def crosses(self, first: str, second: str, scope: str) -> bool:
        """Whether facts of a scope may pass between two linked nodes."""
        if scope == "local" or (scope == "team" and not self.scenario.federation.allow_team):
            return False
        return scope in self.scopes_on(first, second)

    def readers(self, origin: str, scope: str) -> tuple[str, ...]:
        """Every node that may hold a fact of this origin and scope, the origin included (spec/replication.md)."""
        if scope == "local":
            return (origin,)
        neighbours = [name for name in self.graph.neighbors(origin) if self.crosses(origin, name, scope)]
        if scope != "public" or not self.scenario.federation.relay:
            found = {origin, *neighbours}
        else:
            passable = [pair for pair in self.links if self.crosses(*pair, scope)]
            public = nx.Graph(passable)
            public.add_node(origin)
            found = nx.node_connected_component(public, origin)
        return tuple(name for name in self.nodes if name in found)
