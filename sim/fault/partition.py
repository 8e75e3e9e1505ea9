"""Partitions: who cannot talk to whom, both ways or one way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation
from sim.world.rules import Cut

__all__ = ["Partition"]


@kind("partition")
class Partition(Fault, kw_only=True):
    """A cut. Give `groups` (nodes in none of them form one more), or a `shape`:

    halves, one (isolates `node`), bridge (two halves that only `node` reaches), majority-ring (every node
    sees a majority, no two the same). `one_way`: only packets from an earlier group to a later one are lost.
    `hold`: packets wait for the heal instead of being lost.
    """

    groups: list[list[str]] | None = None
    """Nodes that can still talk to each other; those in no group form one more."""
    shape: Literal["halves", "one", "bridge", "majority-ring"] | None = None
    """A ready-made cut instead of groups."""
    node: str | None = None
    """The node that a cut of shape 'one' isolates, or that the two halves of a 'bridge' both reach."""
    one_way: bool = False
    """Lose only packets from an earlier group to a later one."""
    hold: bool = False
    """Let packets wait for the end of the cut instead of losing them."""

    def nodes(self) -> tuple[str, ...]:
        named = [name for group in self.groups or [] for name in group]
        return (*named, *([self.node] if self.node else []))

    def check(self, federation: Federation) -> None:
        if (self.groups is None) == (self.shape is None):
            raise Misfit("groups", "give either groups or a shape")
        if (self.node is None) == (self.shape in ("one", "bridge")):
            raise Misfit("node", "a partition of shape 'one' or 'bridge' needs a node, and no other takes one")
        if self.groups is not None:
            names = self.nodes()
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise Misfit("groups", f"{twice!r} stands in two groups")
        key = "groups" if self.shape is None else "shape"
        apart = self._apart(federation.nodes)
        if not apart:
            raise Misfit(key, "this partition cuts nothing: with these nodes everybody still reaches everybody")
        if not any((a, b) in apart or (b, a) in apart for a, b in federation.links):
            raise Misfit(key, "this partition cuts nothing: no two nodes that it keeps apart are linked")

    def label(self) -> str:
        return "cut" if not self.one_way else "one-way cut"

    def strikes(self, first: str, second: str) -> bool:
        return self.shape not in (None, "one") or super().strikes(first, second)

    def _apart(self, names: tuple[str, ...]) -> frozenset[tuple[str, str]]:
        """Ordered pairs (source, target) that are cut."""
        if self.shape == "majority-ring":
            pairs = _ring(names)
            side = {name: number for number, name in enumerate(names)}
        else:
            side = {name: number for number, group in enumerate(self._groups(names)) for name in group}
            spared = self.node if self.shape == "bridge" else None
            pairs = {
                (a, b): None for a in names for b in names if side[a] != side[b] and spared not in (a, b)
            }  # fmt: skip
        return frozenset(pair for pair in pairs if not self.one_way or side[pair[0]] < side[pair[1]])

    def _groups(self, names: tuple[str, ...]) -> list[list[str]]:
        if self.groups is not None:
            named = {name for group in self.groups for name in group}
            rest = [name for name in names if name not in named]
            return [*self.groups, rest] if rest else self.groups
        if self.shape == "one":
            return [[self.node or ""], [name for name in names if name != self.node]]
        others = [name for name in names if self.shape != "bridge" or name != self.node]
        halves = [others[: len(others) // 2], others[len(others) // 2 :]]
        return [*halves, [self.node]] if self.shape == "bridge" and self.node else halves

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        cut = Cut(f"partition at {self.at}", self._apart(env.federation.nodes), hold=self.hold)
        with env.network.rule(cut):
            yield


def _ring(names: tuple[str, ...]) -> dict[tuple[str, str], None]:
    """Pairs that are too far apart on a ring on which everyone sees just a majority, itself included."""
    count = len(names)
    reach = (count // 2 + 1) // 2
    return {
        (a, b): None
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if min((i - j) % count, (j - i) % count) > reach
    }
