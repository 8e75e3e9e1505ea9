"""The plan: a scenario worked out against its files: which nodes, which links, where they are, what they share.

Made once before a run by `sim.scenario.planning.make_plan`, which refuses what does not fit; read by everything after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import networkx as nx

from sim.scenario.tables import Scenario
from sim.topology.tables import LinkTable

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
        """What the scenario says of links in both directions."""
        return {frozenset(table.between): table for table in self.scenario.link if not table.one_way}

    @cached_property
    def _declared(self) -> dict[frozenset[str], tuple[str, ...]]:
        """The scopes of every link that there is."""
        usual: tuple[str, ...] = tuple(dict.fromkeys(self.scenario.federation.scopes))
        found: dict[frozenset[str], tuple[str, ...]] = {frozenset(pair): usual for pair in self.links}
        for pair, table in self.link_tables.items():
            if table.scopes is not None and pair in found:
                found[pair] = tuple(dict.fromkeys(table.scopes))
        return found

    def scopes_on(self, first: str, second: str) -> tuple[str, ...]:
        """Scopes that both ends declare on a link; none where there is no link."""
        return self._declared.get(frozenset((first, second)), ())

    def crosses(self, first: str, second: str, scope: str) -> bool:
        """Whether facts of a scope may pass between two nodes, which must be linked."""
        if scope == "local" or (scope == "team" and not self.scenario.federation.allow_team):
            return False
        return scope in self.scopes_on(first, second)

    def parts(self, scope: str) -> tuple[tuple[str, ...], ...]:
        """The nodes in groups, so that a fact relayed along links that grant its scope reaches its whole group."""
        return self._parts.setdefault(scope, tuple(self._grouped(scope)))

    @cached_property
    def _parts(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        return {}

    def _grouped(self, scope: str) -> Iterator[tuple[str, ...]]:
        passable = nx.Graph()
        passable.add_nodes_from(self.nodes)
        passable.add_edges_from(pair for pair in self.links if self.crosses(*pair, scope))
        for group in nx.connected_components(passable):
            yield tuple(name for name in self.nodes if name in group)

    @cached_property
    def _public(self) -> dict[str, tuple[str, ...]]:
        return {name: group for group in self.parts("public") for name in group}

    def readers(self, origin: str, scope: str) -> tuple[str, ...]:
        """Every node that may hold a fact of this origin and scope, the origin included (spec/replication.md)."""
        if scope == "public" and self.scenario.federation.relay:
            return self._public[origin]
        near = {name: None for name in self.graph.neighbors(origin) if self.crosses(origin, name, scope)}
        return tuple(name for name in self.nodes if name == origin or name in near)
