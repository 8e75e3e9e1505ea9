"""What readers ask of facts: the questions that a ledger answers as of now, and `stigmem.core.past` as of then.

Whoever derives something from facts for readers (a query, a card, a synthesis, a lint, a recall) takes this and not the
ledger, so that it says the same about the past without a line of its own. What each question means is said at
`stigmem.core.ledger.Ledger`. The indexes also give facts that do not belong to a past; `holds` tells, and none of those
is live.
"""

from __future__ import annotations

from typing import Protocol

from stigmem.core.conflict_set import ConflictSet
from stigmem.core.contradiction import Cardinality
from stigmem.core.fact import Fact, Slot
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["FactsByKey", "KnownFacts"]


class FactsByKey(Protocol):
    """Facts under a key, by origin stamp."""

    def get(self, key: str, /) -> SortedFacts: ...


class KnownFacts(Protocol):
    """Facts and their standing at one instant."""

    @property
    def horizon_us(self) -> int: ...

    @property
    def by_entity(self) -> FactsByKey: ...

    @property
    def by_scope(self) -> FactsByKey: ...

    def holds(self, fact: Fact) -> bool: ...

    def slot(self, key: Slot) -> ConflictSet | None: ...

    def cardinality(self, relation: str) -> Cardinality: ...

    def facts_of(self, key: Slot) -> SortedFacts: ...

    def words_of(self, fact: Fact) -> SortedFacts: ...

    def contradicted(self, fact: Fact) -> bool: ...

    def ended_by(self, fact: Fact) -> Fact | None: ...

    def superseded(self, fact: Fact) -> Fact | None: ...

    def overruled(self, fact: Fact) -> bool: ...

    def voided(self, fact: Fact) -> bool: ...

    def voided_by(self, fact: Fact) -> Fact | None: ...

    def fits(self, fact: Fact) -> bool: ...

    def overridden(self, fact: Fact) -> bool: ...

    def expired(self, fact: Fact) -> bool: ...

    def expires_us(self, fact: Fact) -> int | None: ...

    def live(self, fact: Fact) -> bool: ...
