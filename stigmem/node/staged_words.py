"""What the facts of one transaction, which the ledger does not show yet, do to other facts.

An index beside the records of `stigmem.node.transaction`, so that nobody walks through them: a batch of five hundred
facts asks this five hundred times. It errs on one side. Where it says that a fact may be ended, a write is stored that
repeats it: a word too many costs little, one that is lost costs the caller's trust.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from stigmem.core.contradiction import Author, author_of, is_operators_retraction
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.resolution import read_resolution

__all__ = ["StagedWords"]

K = TypeVar("K")
Slot: TypeAlias = tuple[str, str, str]


class StagedWords:
    """The facts staged so far, by what they are about. Only grows; a transaction that is rolled back makes a new
    one."""

    __slots__ = ("_assertions", "_last", "_operators", "_resolutions")

    def __init__(self) -> None:
        self._last: dict[tuple[Slot, Author], Fact] = {}
        self._operators: dict[tuple[Slot, str], Fact] = {}
        """Retractions of the operator of an origin."""
        self._assertions: dict[Slot, Fact] = {}
        """The latest of each by origin stamp."""
        self._resolutions: dict[Slot, list[str]] = {}
        """Provenance texts of the resolutions of a slot; they name what is covered."""

    def add(self, fact: Fact) -> None:
        """Note a fact that was staged."""
        if fact.quarantine is not None:
            return
        try:
            resolution = read_resolution(fact)
        except Rejection:
            return  # it looks like one and is none: kept without effect
        if resolution is not None:
            self._resolutions.setdefault(resolution.slot, []).append(fact.derived_from)
            return
        slot = fact.slot
        _keep_latest(self._last, (slot, author_of(fact)), fact)
        if is_operators_retraction(fact):
            _keep_latest(self._operators, (slot, fact.origin), fact)
        if not fact.is_retraction:
            _keep_latest(self._assertions, slot, fact)

    def last(self, draft: Fact) -> Fact | None:
        """The last word staged by a draft's author about its slot, or None."""
        return self._last.get((draft.slot, author_of(draft)))

    def asserts(self, slot: Slot) -> bool:
        """Whether something is asserted about a slot."""
        return slot in self._assertions

    def overtakes(self, word: Fact) -> bool:
        """Whether something staged may have ended a word or settled against it, or has made it worth saying again: a
        retraction is, once somebody asserts something after it."""
        slot = word.slot
        if any(word.id in text for text in self._resolutions.get(slot, ())):
            return True
        operators = self._operators.get((slot, word.origin))
        if operators is not None and word < operators:
            return True
        asserted = self._assertions.get(slot)
        return word.is_retraction and asserted is not None and word < asserted


def _keep_latest(table: dict[K, Fact], key: K, fact: Fact) -> None:
    held = table.get(key)
    if held is None or held < fact:
        table[key] = fact
