"""What was known at another point of time: a ledger's facts, as far as they belong to it, judged at its instant.

Two points of time can be named (spec/queries.md):

* **as of** an instant or a stamp: the facts that were stamped up to then by whoever made them, whenever they came here.
  Expiry is judged at that instant, and everything else by what holds today. Nodes that hold the same facts, and whose
  operators decide alike, give the same answer. What sweeps ended is not ended here: they are a node's own.
* **known at** a local sequence number: what this node had stored when it had stored that one, judged by the instant at
  which it judged then, with what sweeps had ended by then. It is what this node answered, and no other node's business.

How it works
------------
Nothing is kept for it but one mark a batch (`stigmem.core.horizons`). A point of time is a predicate on facts and an
instant. The state of a slot is a function of its words, its resolutions and an instant, so that the state at a point
of time is that same function over the words and resolutions that belong to it: `Ledger.derived` makes it anew for the
slots that a question touches, and for no others. A slot that never had two words is judged without that.

Example: a said x (stored first, stamped 5), b said y (stored second, stamped 3). As of stamp 4 there is y alone; known
at 1 there is x alone; known at 2 there are both, in conflict. A retraction by a (stored third, stamped 6) changes none
of the three answers.

Invariants
----------
1. `holds` depends on the fact and the point alone; facts that are stored later belong to no point made before. So pages
   over a point of time are of one state, however long they are read.
2. `PastFacts` of (as of t) equals a ledger that was given only the facts stamped up to t, in any order, and was
   advanced to t. `PastFacts` of (known at n) equals this ledger when it had n facts (tests/core/test_past.py).

Cost: a question costs the words of the slots it touches. States are kept while a question lasts, up to WORDS_KEPT_MAX
words; `prepare` makes one in steps, so that a slot with very many words holds nobody up.

Known warts
-----------
* The names of entities (aliases), gardens, keys, half-lives, and whose resolutions count are today's. Where an operator
  changed them since, `known_at` answers as today's settings would have had it. Schemas are facts: `known_at` goes by
  those that were in force then (`stigmem.core.schemas.known_at`), and `as_of`, which is about facts and no node's
  memory, by today's.
* A fact that a sweep ended, that came back because the clock was set back, and that was swept again is judged by the
  later sweep.
* What was erased is in neither: it is no longer among the ledger's facts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Final, Protocol

import msgspec

from stigmem.core.conflict_set import ConflictSet
from stigmem.core.contradiction import Cardinality
from stigmem.core.erasure import without_husks
from stigmem.core.fact import Fact, Slot
from stigmem.core.hlc import Stamp
from stigmem.core.known_facts import FactsByKey
from stigmem.core.ledger import Ledger
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["Meaning", "PastFacts", "PointOfTime"]

WORDS_KEPT_MAX: Final = 100_000
"""Words in the states that are kept for one question: some tens of megabytes."""


class PointOfTime(msgspec.Struct, frozen=True):
    """Which facts belong to it: those stored up to `seq` and, unless `stamp` is None, stamped up to that. `at_us`: the
    instant at which expiry is judged, in microseconds since the epoch. `sweeps`: how many facts sweeps had ended by
    then."""

    seq: int
    at_us: int
    stamp: Stamp | None = None
    sweeps: int = 0

    def holds(self, fact: Fact) -> bool:
        """Whether a fact belongs to this point of time."""
        return fact.seq <= self.seq and (self.stamp is None or fact.stamp <= self.stamp)


class Meaning(Protocol):
    """What facts mean: how many values a relation holds, and which facts fit its schema."""

    def cardinality(self, relation: str, /) -> Cardinality: ...

    def fits(self, fact: Fact, /) -> bool: ...


class PastFacts:
    """The facts of a ledger at a point of time, and their standing then; the questions are those of
    `stigmem.core.known_facts`."""

    def __init__(self, ledger: Ledger, point: PointOfTime, meaning: Meaning | None = None) -> None:
        """`meaning`: what relations held and which facts fitted then; None for what holds today."""
        self.ledger = ledger
        self.point = point
        self._meaning: Meaning = ledger if meaning is None else meaning
        self._sets: dict[Slot, ConflictSet | None] = {}
        """States of slots, the one that was asked for first in front."""
        self._words_kept = 0

    @property
    def horizon_us(self) -> int:
        return self.point.at_us

    @property
    def by_entity(self) -> FactsByKey:
        return self.ledger.by_entity

    @property
    def by_scope(self) -> FactsByKey:
        return self.ledger.by_scope

    def holds(self, fact: Fact) -> bool:
        return self.point.holds(fact)

    def slot(self, key: Slot) -> ConflictSet | None:
        return self._set(key)

    def cardinality(self, relation: str) -> Cardinality:
        return self._meaning.cardinality(relation)

    def facts_of(self, key: Slot) -> SortedFacts:
        return [fact for fact in self.ledger.facts_of(key) if self.point.holds(fact)]

    def words_of(self, fact: Fact) -> SortedFacts:
        conflict_set = self._set(fact.slot)
        if fact.is_system or conflict_set is None:
            return [fact]
        return without_husks(conflict_set.words_of(fact))

    def contradicted(self, fact: Fact) -> bool:
        conflict_set = self._state_for(fact)
        return conflict_set is not None and conflict_set.contradicted(fact)

    def ended_by(self, fact: Fact) -> Fact | None:
        conflict_set = self._state_for(fact)
        return None if conflict_set is None else conflict_set.ended_by(fact)

    def superseded(self, fact: Fact) -> Fact | None:
        conflict_set = self._state_for(fact)
        if fact.is_retraction or conflict_set is None:
            return None
        before = conflict_set.before(fact)
        return before if before is not None and conflict_set.ended_by(before) == fact else None

    def overruled(self, fact: Fact) -> bool:
        conflict_set = self._state_for(fact)
        return conflict_set is not None and conflict_set.overruled(fact)

    def voided(self, fact: Fact) -> bool:
        return self.voided_by(fact) is not None

    def voided_by(self, fact: Fact) -> Fact | None:
        record = self.ledger.voided_by(fact)
        return record if record is not None and self.point.holds(record) else None

    def fits(self, fact: Fact) -> bool:
        return self._meaning.fits(fact)

    def overridden(self, fact: Fact) -> bool:
        conflict_set = self._state_for(fact)
        ended = conflict_set is not None and (conflict_set.overruled(fact) or conflict_set.ended_by(fact) is not None)
        return ended or self.voided(fact) or not self.fits(fact)

    def expires_us(self, fact: Fact) -> int | None:
        own_us, swept = fact.expires_us, self.ledger.swept(fact)
        if swept is None or swept[1] >= self.point.sweeps or (own_us is not None and own_us < swept[0]):
            return own_us
        return swept[0]

    def expired(self, fact: Fact) -> bool:
        expires_us = self.expires_us(fact)
        return expires_us is not None and expires_us <= self.point.at_us

    def live(self, fact: Fact) -> bool:
        return self.point.holds(fact) and not (
            fact.is_retraction or fact.quarantine or self.expired(fact) or self.overridden(fact)
        )

    # --- states of slots ---

    def prepare(self, facts: Iterable[Fact]) -> Generator[None, None, None]:
        """Judge the slots of facts in steps, where judging them at once would take long."""
        for fact in facts:
            if self._is_long(fact.slot) and fact.slot not in self._sets:
                made = yield from self._derived(fact.slot)
                self._keep(fact.slot, made)

    def prepare_scope(self, scope: str) -> Generator[None, None, None]:
        """As `prepare`, for whoever does not know which facts of a scope it will ask about."""
        for key in [key for key in self.ledger.long_slots if key[2] == scope]:
            if key not in self._sets:
                made = yield from self._derived(key)
                self._keep(key, made)

    def _derived(self, key: Slot) -> Generator[None, None, ConflictSet | None]:
        return self.ledger.derived(
            key, self.point.holds, self._counts, self.point.at_us, cardinality=self.cardinality(key[1])
        )

    def _counts(self, fact: Fact) -> bool:
        """Whether a word or a resolution was neither voided then nor a misfit."""
        return not self.voided(fact) and self.fits(fact)

    def _is_long(self, key: Slot) -> bool:
        return key in self.ledger.long_slots

    def _state_for(self, fact: Fact) -> ConflictSet | None:
        """The state of a fact's slot, where the fact has a part in it."""
        hidden = fact.quarantine is not None or fact.is_system or self.voided(fact) or not self.fits(fact)
        return None if hidden or not self.point.holds(fact) else self._set(fact.slot)

    def _set(self, key: Slot) -> ConflictSet | None:
        if self.ledger.slot(key) is None:
            return None
        if key not in self._sets:
            making = self._derived(key)
            while True:
                try:
                    next(making)
                except StopIteration as end:
                    self._keep(key, end.value)
                    break
        return self._sets[key]

    def _keep(self, key: Slot, made: ConflictSet | None) -> None:
        while self._sets and self._words_kept > WORDS_KEPT_MAX:
            first = next(iter(self._sets))
            self._words_kept -= _size(self._sets.pop(first))
        self._sets[key] = made
        self._words_kept += _size(made)


def _size(conflict_set: ConflictSet | None) -> int:
    return 1 if conflict_set is None else 1 + len(conflict_set.facts)
