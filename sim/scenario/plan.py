"""The plan: a scenario worked out against its files: which nodes, which links, where they are, what they share.

Made once before a run by `sim.scenario.planning.make_plan`, which refuses what does not fit; read by everything after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx

from sim.scenario.tables import Scenario
from sim.topology.federation import Federation

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """`graph` is simple and undirected, its nodes the names in order. `positions`: latitude and longitude in
    degrees, where known. `warnings`: sentences for the user, such as a federation that cannot converge. `set_values`:
    values of keys that were given at the command line; the scenario has them already."""

    scenario: Scenario
    base: Path
    graph: nx.Graph
    positions: dict[str, tuple[float, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    set_values: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def federation(self) -> Federation:
        """Who takes part and is linked to whom, as the kinds of the scenario are told."""
        table, head = self.scenario.federation, self.scenario.scenario
        usual: tuple[str, ...] = tuple(dict.fromkeys(table.scopes))
        both_ways = [link for link in self.scenario.link if not link.one_way and link.scopes is not None]
        return Federation(
            graph=self.graph,
            scopes=usual,
            link_scopes={frozenset(link.between): tuple(dict.fromkeys(link.scopes or ())) for link in both_ways},
            allow_team=table.allow_team,
            relay=table.relay,
            positions=self.positions,
            folder=self.base,
            duration_ns=head.duration,
            must_converge=head.converges,
            leaving=tuple(name for fault in self.scenario.fault for name in fault.leaves()),
        )

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names, in the order of the scenario or the map."""
        return self.federation.nodes

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Undirected links in a fixed order."""
        return self.federation.links

    def scopes_on(self, first: str, second: str) -> tuple[str, ...]:
        """Scopes that both ends declare on a link; none where there is no link."""
        return self.federation.scopes_on(first, second)

    def crosses(self, first: str, second: str, scope: str) -> bool:
        """Whether facts of a scope may pass between two nodes, which must be linked."""
        return self.federation.crosses(first, second, scope)

    def parts(self, scope: str) -> tuple[tuple[str, ...], ...]:
        """The nodes in groups, so that a fact relayed along links that grant its scope reaches its whole group."""
        return self.federation.parts(scope)

    def readers(self, origin: str, scope: str) -> tuple[str, ...]:
        """Every node that may hold a fact of this origin and scope, the origin included (spec/replication.md)."""
        return self.federation.readers(origin, scope)
