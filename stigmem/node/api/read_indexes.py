"""Indexes that only readers need: words of each scope, and references between entities.

They follow the ledger in slices, in the task of whoever asks and never in the writer's turn: a node that nobody asks
to recall pays nothing, and the first question after a start waits until every fact was read once. What a task sees of
the ledger is committed, since facts are applied after their batch is durable.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.recall.word_index import WordIndex
from stigmem.core.references import ReferenceIndex
from stigmem.node.api.background import in_slices
from stigmem.node.ports import Clock

__all__ = ["ReadIndexes"]

FACTS_PER_SLICE: Final = 100
"""About three milliseconds between two looks at what else is to do."""

T = TypeVar("T")


class ReadIndexes:
    """Indexes of one ledger, as far as they have followed it."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self.references = ReferenceIndex()
        self._clock = clock
        self._words: dict[str, WordIndex] = {}
        self._seen = 0
        self._erased = 0

    def words(self, scope: str) -> WordIndex:
        """The index of a scope; of facts that nobody may read (quarantined ones) and of bookkeeping it has none."""
        return self._words.setdefault(scope, WordIndex())

    def of(self, ledger: Ledger) -> ReadIndexes:
        """Indexes of another ledger, which have followed nothing yet."""
        return ReadIndexes(ledger=ledger, clock=self._clock)

    async def catch_up(self) -> None:
        """Follow the ledger to what is committed now. Several tasks may do so at once: they share the work."""
        log = self.ledger.log
        if self._erased != self.ledger.erased:  # words of what was erased are among those of others
            self._erased = self.ledger.erased
            self.references, self._words, self._seen = ReferenceIndex(), {}, 0
        while self._seen < len(log):
            for fact in log[self._seen : self._seen + FACTS_PER_SLICE]:
                self._take(fact)
                self._seen += 1
            await self._clock.checkpoint()

    async def in_slices(self, work: Generator[None, None, T]) -> T:
        """The result of work that yields where something else may go on."""
        return await in_slices(self._clock, work)

    def _take(self, fact: Fact) -> None:
        if fact.quarantine is not None or fact.is_system:
            return
        self.references.add(fact)
        if not fact.is_retraction:
            self.words(fact.scope).add(fact)
