"""Measuring a run: who wrote what when, who saw it when, and whether everybody has everything.

Counts as commits happen, so that "has the federation converged" is asked in constant time. True time only:
nodes' clocks do not come into it (spec/simulation.md, 7).

Two times are kept of every copy, since they answer two questions. *First seen* is when a node came to hold a fact for
the first time: the end of its lag, which no later loss takes back. *Held since* is from when the node has held it
without a break: what is missing now. They part when a disk is wiped. A node that had a fact, lost it and got it again
has one lag and one `Return`, which says for how long it was without it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

__all__ = ["NEVER", "Return", "TrackedFact", "Visibility"]

NEVER: Final = -1


class TrackedFact(NamedTuple):
    """One fact as the simulation knows it."""

    id: str
    origin: str
    scope: str
    entity: str
    relation: str
    written_ns: int
    stays_local: bool = False
    """Whether it never leaves its node, whatever its scope."""
    ahead_ns: int = 0
    """How far its stamp was ahead of true time when it was written, or behind when negative."""


class Return(NamedTuple):
    """A copy that went with a disk and came again. `number` is the fact's, `back_ns` NEVER while it has not come."""

    number: int
    node: str
    lost_ns: int
    back_ns: int


class Visibility:
    """Facts by number, and per node when each was first seen and since when it is held (or NEVER).

    `readers(origin, scope)` names the nodes that may hold such a fact; each of them must come to hold it, unless
    the fact stays where it was written, the node left for good, or nobody is left who could serve the fact: with
    `relayed`, public facts are served by everyone who holds them, all others only by their origin.
    """

    def __init__(
        self, nodes: tuple[str, ...], readers: Callable[[str, str], tuple[str, ...]], *, relayed: bool = True
    ) -> None:
        self.nodes = nodes
        self._readers = readers
        self._relayed = relayed
        self._known_readers: dict[tuple[str, str], tuple[str, ...]] = {}
        self._reader_sets: dict[tuple[str, str], frozenset[str]] = {}
        """The same for the question whether one of them is a reader, which every copy of a fact asks."""
        self.facts: list[TrackedFact] = []
        self.first_seen: dict[str, array[int]] = {name: array("q") for name in nodes}
        self.held_since: dict[str, array[int]] = {name: array("q") for name in nodes}
        self.returned: list[Return] = []
        """Copies that came again, in that order."""
        self.joined_ns: dict[str, int] = {}
        """Node -> when it was up for the first time."""
        self.missing = 0
        """(fact, node) pairs that should be and are not yet."""
        self.complete_since_ns = 0
        """When the last pair that was missing came, or was given up; of use while none is missing."""
        self.everywhere = 0
        """Facts that every node that should hold them holds."""
        self.destroyed: set[int] = set()
        """Facts that went with the last disk that held them."""
        self._forgotten: set[int] = set()
        """Facts that were erased somewhere: nobody is expected to hold them any more."""
        self._number: dict[tuple[str, str], int] = {}
        self._ids: set[str] = set()
        self._left: array[int] = array("l")
        self._gone: set[str] = set()
        self._any_stays_local = False
        self._exempt: dict[int, set[str]] = {}
        """Fact -> nodes to which nobody can bring it any more."""
        self._voided: dict[int, None] = {}
        """Facts that their origin voided, which nobody takes any more."""
        self._unsaid: dict[int, None] = {}
        """Facts that their origin forgot with an old disk."""
        self._lost_ns: dict[tuple[int, str], int] = {}
        """(fact, node) -> when the copy was lost, until it comes again."""

    def readers(self, number: int) -> tuple[str, ...]:
        """Nodes that should hold a fact."""
        key = self._key(number)
        found = self._known_readers.get(key)
        if found is None:
            found = tuple(name for name in self._readers(*key) if name not in self._gone)
            self._known_readers[key] = found
        exempt = self._exempt.get(number)
        return tuple(name for name in found if name not in exempt) if exempt else found

    @property
    def uneven(self) -> bool:
        """Whether there are facts that a node may lack which its scope lets it hold: they stay where they were written,
        or nobody can bring them any more."""
        return bool(self._any_stays_local or self.destroyed or self._exempt or self._forgotten)

    def _key(self, number: int) -> tuple[str, str]:
        """Origin and scope; what stays counts as local."""
        fact = self.facts[number]
        return fact.origin, "local" if fact.stays_local else fact.scope

    def _awaited(self, number: int) -> frozenset[str] | tuple[str, ...]:
        if number in self._exempt:
            return self.readers(number)
        key = self._key(number)
        found = self._reader_sets.get(key)
        if found is None:
            found = self._reader_sets[key] = frozenset(self.readers(number))
        return found

    def number(self, origin: str, fact_id: str) -> int | None:
        """The number of a fact, or None when no node of ours wrote it."""
        return self._number.get((origin, fact_id))

    def is_awaited(self, origin: str, fact_id: str) -> bool:
        """Whether a node of ours wrote a fact, and did not void it."""
        number = self._number.get((origin, fact_id))
        return number is not None and number not in self._voided

    def is_fact(self, fact_id: str) -> bool:
        """Whether a node of ours gave this id to a fact."""
        return fact_id in self._ids

    def written(self, seen: TrackedFact) -> None:
        """A fact was committed by its origin."""
        number = self._number[seen.origin, seen.id] = len(self.facts)
        self.facts.append(seen)
        self._ids.add(seen.id)
        self._any_stays_local |= seen.stays_local
        for times in (*self.first_seen.values(), *self.held_since.values()):
            times.append(NEVER)
        expected = len(self.readers(number))
        self.missing += expected
        self._left.append(expected)
        self.saw(seen.origin, seen.origin, seen.id, seen.written_ns)

    def saw(self, node: str, origin: str, fact_id: str, now: int) -> None:
        """A node committed a fact."""
        number = self._number.get((origin, fact_id))
        if number is None or self.held_since[node][number] != NEVER:
            return
        self.held_since[node][number] = now
        if self.first_seen[node][number] == NEVER:
            self.first_seen[node][number] = now
        else:
            lost_ns = self._lost_ns.pop((number, node), None)
            if lost_ns is not None:  # else it is the node's own word, of which nobody knows since when it lacked it
                self.returned.append(Return(number, node, lost_ns, now))
        if number in self._forgotten:
            return
        if number in self.destroyed:  # it was on its way to here when its last holder was lost
            self.destroyed.discard(number)
            self._give_up(now)
        elif node in self._exempt.get(number, ()):
            self._exempt[number].discard(node)
        elif node in self._awaited(number):
            self.missing -= 1
            self._left[number] -= 1
            self.everywhere += self._left[number] == 0
            if not self.missing:
                self.complete_since_ns = max(self.complete_since_ns, now)

    def voided(self, origin: str, fact_ids: Iterable[str], now: int) -> None:
        """An origin voided facts of its own: whoever does not hold them yet need not, and refuses them."""
        for fact_id in fact_ids:
            number = self._number.get((origin, fact_id))
            if number is None:
                continue
            self._voided[number] = None
            lacking = [name for name in self.readers(number) if self.held_since[name][number] == NEVER]
            if lacking:
                self._exempt.setdefault(number, set()).update(lacking)
                self.missing -= len(lacking)
                self._left[number] -= len(lacking)
                self.everywhere += self._left[number] == 0
                self.complete_since_ns = max(self.complete_since_ns, now)

    def erased(self, origin: str, fact_id: str, now: int) -> None:
        """A node erased a fact: it is expected of nobody any more."""
        number = self._number.get((origin, fact_id))
        if number is None or number in self._forgotten:
            return
        self._forgotten.add(number)
        was_missing = self.missing
        self._recount()
        if was_missing and not self.missing:
            self.complete_since_ns = now

    def joined(self, node: str, now: int) -> None:
        """A node is up; only the first time counts."""
        self.joined_ns.setdefault(node, now)

    def lost_disk(self, node: str, now: int) -> int:
        """A node's disk is gone; the number of facts that were nowhere else."""
        times = self.held_since[node]
        for number in range(len(self.facts)):
            if times[number] != NEVER:
                times[number] = NEVER
                self._lost_ns[number, node] = now
        return self._give_up(now)

    def held_by(self, node: str) -> frozenset[int]:
        """The numbers of the facts that a node holds now."""
        return frozenset(number for number, since_ns in enumerate(self.held_since[node]) if since_ns != NEVER)

    def restored(self, node: str, held: frozenset[int], now: int) -> tuple[int, int]:
        """A node that is off has an old disk again, which holds these facts. How many of its own it has forgotten, and
        how many facts were nowhere else. Nobody serves a node what it said itself, so that is not awaited there."""
        times, unsaid = self.held_since[node], 0
        for number, fact in enumerate(self.facts):
            if number in held and times[number] == NEVER:
                self.saw(node, fact.origin, fact.id, now)
            elif number not in held and times[number] != NEVER:
                times[number] = NEVER
                if fact.origin == node:
                    unsaid += 1
                    self._unsaid[number] = None
                    self._exempt.setdefault(number, set()).add(node)
                else:
                    self._lost_ns[number, node] = now
        return unsaid, self._give_up(now)

    @property
    def unsaid(self) -> int:
        """How many facts their origin has forgotten with an old disk, and does not hold again."""
        return sum(self.held_since[self.facts[number].origin][number] == NEVER for number in self._unsaid)

    def returns(self) -> list[Return]:
        """Every copy that was lost with a disk and came again, or should: those that are awaited come last."""
        awaited = []
        for (number, node), lost_ns in self._lost_ns.items():
            if self._is_expected(number) and node in self._awaited(number):
                awaited.append(Return(number, node, lost_ns, NEVER))
        return [*self.returned, *awaited]

    def left(self, node: str, now: int) -> int:
        """A node is gone for good; the number of facts that were nowhere else."""
        self._gone.add(node)
        self._known_readers.clear()
        self._reader_sets.clear()
        return self._give_up(now)

    def _give_up(self, now: int) -> int:
        """Stop expecting what nobody can serve any more; how many facts were lost altogether."""
        before = len(self.destroyed)
        alive = {name: times for name, times in self.held_since.items() if name not in self._gone}
        for number, fact in enumerate(self.facts):
            if all(times[number] == NEVER for times in alive.values()):
                self.destroyed.add(number)
                continue
            source = alive.get(fact.origin)
            is_relayed = self._relayed and fact.scope == "public" and not fact.stays_local
            is_served = is_relayed or (source is not None and source[number] != NEVER)
            if is_served and number not in self._voided:
                continue
            lacking = [name for name in self.readers(number) if self.held_since[name][number] == NEVER]
            self._exempt.setdefault(number, set()).update(lacking)
        was_missing = self.missing
        self._recount()
        if was_missing and not self.missing:
            self.complete_since_ns = now
        return len(self.destroyed) - before

    def _recount(self) -> None:
        self.missing = self.everywhere = 0
        for number in range(len(self.facts)):
            wanted = self.readers(number) if self._is_expected(number) else ()
            left = sum(self.held_since[name][number] == NEVER for name in wanted)
            self._left[number] = left
            self.missing += left
            self.everywhere += left == 0

    def _is_expected(self, number: int) -> bool:
        return number not in self.destroyed and number not in self._forgotten

    def expected(self) -> Iterator[tuple[int, str]]:
        """Every (fact number, node) pair that should be, destroyed facts left out."""
        for number in range(len(self.facts)):
            if self._is_expected(number):
                for name in self.readers(number):
                    yield number, name

    def lacking(self, most: int = 5) -> list[tuple[TrackedFact, str]]:
        """Some of the pairs that are missing, for a report."""
        found: list[tuple[TrackedFact, str]] = []
        for number, name in self.expected():
            if self.held_since[name][number] == NEVER:
                found.append((self.facts[number], name))
                if len(found) == most:
                    break
        return found
