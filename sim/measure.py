"""Measuring a run: who wrote what when, who saw it when, and whether everybody has everything.

Counts as commits happen, so that "has the federation converged" is asked in constant time. True time only:
nodes' clocks do not come into it (spec/simulation.md, 6).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

__all__ = ["NEVER", "FactSeen", "Measure"]

NEVER: Final = -1


class FactSeen(NamedTuple):
    """One fact as the laboratory knows it."""

    id: str
    origin: str
    scope: str
    entity: str
    relation: str
    written_ns: int


class Measure:
    """Facts by number, and per node the time each became visible (or NEVER).

    `readers(origin, scope)` names the nodes that may hold such a fact; each of them must come to hold it,
    unless it left for good or the fact was destroyed with the only disk it was on.
    """

    def __init__(self, nodes: tuple[str, ...], readers: Callable[[str, str], tuple[str, ...]]) -> None:
        self.nodes = nodes
        self._readers = readers
        self._known_readers: dict[tuple[str, str], tuple[str, ...]] = {}
        self.facts: list[FactSeen] = []
        self.visible: dict[str, array[int]] = {name: array("q") for name in nodes}
        self.missing = 0
        """(fact, node) pairs that should be and are not yet."""
        self.everywhere = 0
        """Facts that every node that should hold them holds."""
        self.destroyed: set[int] = set()
        self._number: dict[tuple[str, str], int] = {}
        self._left: array[int] = array("l")
        self._gone: set[str] = set()
        self._exempt: set[tuple[int, str]] = set()

    def readers(self, number: int) -> tuple[str, ...]:
        """Nodes that should hold a fact."""
        fact = self.facts[number]
        key = (fact.origin, fact.scope)
        found = self._known_readers.get(key)
        if found is None:
            found = tuple(name for name in self._readers(*key) if name not in self._gone)
            self._known_readers[key] = found
        if self._exempt:
            return tuple(name for name in found if (number, name) not in self._exempt)
        return found

    def number(self, origin: str, fact_id: str) -> int | None:
        """The number of a fact, or None when no node of ours wrote it."""
        return self._number.get((origin, fact_id))

    def written(self, seen: FactSeen) -> None:
        """A fact was committed by its origin."""
        number = self._number[seen.origin, seen.id] = len(self.facts)
        self.facts.append(seen)
        for times in self.visible.values():
            times.append(NEVER)
        expected = len(self.readers(number))
        self.missing += expected
        self._left.append(expected)
        self.saw(seen.origin, seen.origin, seen.id, seen.written_ns)

    def saw(self, node: str, origin: str, fact_id: str, now: int) -> None:
        """A node committed a fact."""
        number = self._number.get((origin, fact_id))
        if number is None or self.visible[node][number] != NEVER:
            return
        self.visible[node][number] = now
        if number in self.destroyed:  # it was on its way to here when its last holder was lost
            self.destroyed.discard(number)
            self._recount()
        elif node in self.readers(number):
            self.missing -= 1
            self._left[number] -= 1
            self.everywhere += self._left[number] == 0

    def lost_disk(self, node: str) -> int:
        """A node's disk is gone; the number of facts that were nowhere else."""
        times = self.visible[node]
        for number, fact in enumerate(self.facts):
            if times[number] != NEVER:
                times[number] = NEVER
                if fact.origin == node and fact.scope != "public":
                    self._exempt.add((number, node))  # nobody serves such a fact back to where it came from
        return self._destroy()

    def left(self, node: str) -> int:
        """A node is gone for good; the number of facts that were nowhere else."""
        self._gone.add(node)
        self._known_readers.clear()
        return self._destroy()

    def _destroy(self) -> int:
        before = len(self.destroyed)
        alive = [times for name, times in self.visible.items() if name not in self._gone]
        for number in range(len(self.facts)):
            if all(times[number] == NEVER for times in alive):
                self.destroyed.add(number)
        self._recount()
        return len(self.destroyed) - before

    def _recount(self) -> None:
        self.missing = self.everywhere = 0
        for number in range(len(self.facts)):
            wanted = () if number in self.destroyed else self.readers(number)
            left = sum(self.visible[name][number] == NEVER for name in wanted)
            self._left[number] = left
            self.missing += left
            self.everywhere += left == 0

    def expected(self) -> Iterator[tuple[int, str]]:
        """Every (fact number, node) pair that should be, destroyed facts left out."""
        for number in range(len(self.facts)):
            if number not in self.destroyed:
                for name in self.readers(number):
                    yield number, name

    def lacking(self, most: int = 5) -> list[tuple[FactSeen, str]]:
        """Some of the pairs that are missing, for a report."""
        found: list[tuple[FactSeen, str]] = []
        for number, name in self.expected():
            if self.visible[name][number] == NEVER:
                found.append((self.facts[number], name))
                if len(found) == most:
                    break
        return found
