"""A federation as it was planned: its nodes, its links, which scopes cross them, and who may come to hold what.

A value, made once before a run from a scenario and its files. Nothing here knows the scenario's other tables; faults,
workloads, checkers and adversaries learn from here whom there is and who is linked to whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import networkx as nx

__all__ = ["Federation"]


@dataclass(frozen=True, kw_only=True)
class Federation:
    """`graph` is simple and undirected, its nodes the names in order.

    Besides who is there it holds what kinds need to know of the run that they are part of: how long it lasts, where its
    data files are, who leaves, and what is expected of it.
    """

    graph: nx.Graph
    scopes: tuple[str, ...]
    """Scopes that both ends of a link declare unless it says otherwise, each once."""
    link_scopes: Mapping[frozenset[str], tuple[str, ...]] = field(default_factory=dict)
    """Links that declare other scopes, each once."""
    allow_team: bool = False
    relay: bool = True
    """Whether nodes serve public facts on that they received."""
    positions: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Latitude and longitude in degrees of the nodes that have them."""
    folder: Path = Path()
    """Where the scenario's data files are."""
    duration_ns: int = 0
    """When faults end, and workloads at the latest."""
    must_converge: bool = True
    """Whether everybody is expected to know the same in the end."""
    leaving: tuple[str, ...] = ()
    """Nodes that some fault makes leave for good."""

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

    def neighbours(self, name: str) -> tuple[str, ...]:
        """The nodes that a node is linked to."""
        return tuple(self.graph.neighbors(name))

    @cached_property
    def _declared(self) -> dict[frozenset[str], tuple[str, ...]]:
        """The scopes of every link that there is."""
        found = {frozenset(pair): self.scopes for pair in self.links}
        found.update((pair, scopes) for pair, scopes in self.link_scopes.items() if pair in found)
        return found

    def scopes_on(self, first: str, second: str) -> tuple[str, ...]:
        """Scopes that both ends declare on a link; none where there is no link."""
        return self._declared.get(frozenset((first, second)), ())

    def crosses(self, first: str, second: str, scope: str) -> bool:
        """Whether facts of a scope may pass between two nodes, which must be linked."""
        if scope == "local" or (scope == "team" and not self.allow_team):
            return False
        return scope in self.scopes_on(first, second)

    def parts(self, scope: str) -> tuple[tuple[str, ...], ...]:
        """The nodes in groups, so that a fact relayed along links that grant its scope reaches its whole group."""
        if scope not in self._parts:
            self._parts[scope] = tuple(self._grouped(scope))
        return self._parts[scope]

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
        if scope == "public" and self.relay:
            return self._public[origin]
        near = {name: None for name in self.graph.neighbors(origin) if self.crosses(origin, name, scope)}
        return tuple(name for name in self.nodes if name == origin or name in near)
