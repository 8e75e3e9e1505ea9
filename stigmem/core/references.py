"""References between entities: which facts name another entity, looked up from both ends.

A fact whose value is a `ref` is an edge from its entity to the entity named. The index keeps every such fact under both
ends, in stamp order; whether an edge counts now (is live, may be read, is sure enough) is asked of the ledger when it
is walked, so an edge goes with the fact that states it. The end named is kept in the form in which entities are stored,
and the fact as it was stated.

`walk` is breadth first: every entity is found once, at its smallest distance, over the edge that comes first in stamp
order. So two nodes with the same facts find the same paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.fact import Fact
from stigmem.core.fact_index import FactIndex
from stigmem.core.uris import normalise_filter

__all__ = ["EDGES_SCANNED_MAX", "Reached", "ReferenceIndex"]

EDGES_SCANNED_MAX: Final = 20_000
"""Edges that one walk looks at, some tens of milliseconds: a hub with more of them is walked in part."""


class Reached(NamedTuple):
    """An entity and how it was reached: over which fact, after how many hops, past which entities from the start on."""

    entity: str
    fact: Fact
    hops: int
    path: tuple[str, ...]


class ReferenceIndex:
    """Facts with a `ref` value by both ends. Only grows."""

    def __init__(self) -> None:
        self._by_entity: FactIndex[str] = FactIndex()
        self._by_target: FactIndex[str] = FactIndex()

    def add(self, fact: Fact) -> None:
        """Take in a fact; nothing when it names no entity or is a node's own bookkeeping."""
        if fact.kind == "ref" and not fact.is_system and not is_foreign_instruction(fact):
            self._by_entity.add(fact.entity, fact)
            self._by_target.add(normalise_filter(fact.text), fact)

    def named_by(self, target: str) -> list[Fact]:
        """Facts that name this entity, oldest first."""
        return list(self._by_target.get(target))

    def edges(self, entity: str) -> Iterator[tuple[str, Fact]]:
        """The entities that an entity names and then those that name it, each with the fact that says so."""
        for fact in self._by_entity.get(entity):
            yield normalise_filter(fact.text), fact
        for fact in self._by_target.get(entity):
            yield fact.entity, fact

    def walk(self, seeds: list[str], depth: int, counts: Callable[[Fact], bool]) -> Iterator[Reached | None]:
        """Entities within `depth` hops of any seed, nearest first, seeds left out; None is a place to rest. `counts`:
        whether a fact is an edge now."""
        paths: dict[str, tuple[str, ...]] = dict.fromkeys(seeds, ())
        nearest = list(paths)
        scanned = 0
        for hops in range(1, depth + 1):
            further: list[str] = []
            for entity in nearest:
                path = (*paths[entity], entity)
                for other, fact in self.edges(entity):
                    scanned += 1
                    if scanned > EDGES_SCANNED_MAX:
                        return
                    if scanned % 500 == 0:
                        yield None
                    if other not in paths and counts(fact):
                        paths[other] = path
                        further.append(other)
                        yield Reached(other, fact, hops, path)
            nearest = further
