"""What the facts of one transaction, which the ledger does not show yet, do to other facts.

An index beside the records of `stigmem.node.transaction`, so that nobody walks through them: a batch of five hundred
facts asks this five hundred times. It errs on one side. Where it says that a fact may be ended, a write is stored that
repeats it: a word too many costs little, one that is lost costs the caller's trust.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stigmem.core.contradiction import (
    Author,
    Cardinality,
    Claim,
    author_of,
    is_operators_retraction,
    sweeps,
    value_of,
)
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact, Slot
from stigmem.core.resolution import read_resolution

__all__ = ["StagedWords"]

K = TypeVar("K")


class StagedWords:
    """The facts staged so far, by what they are about. Only grows; a transaction that is rolled back makes a new
    one."""

    __slots__ = ("_assertions", "_cardinality", "_last", "_last_about", "_operators", "_resolutions")

    def __init__(self, cardinality: Callable[[str], Cardinality]) -> None:
        """`cardinality`: how many values a relation holds."""
        self._cardinality = cardinality
        self._last: dict[tuple[Slot, Author], Fact] = {}
        self._last_about: dict[tuple[Slot, Author, Claim | None], Fact] = {}
        """Of relations that hold many: the last about each value, and about all (None)."""
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
        if self._cardinality(fact.relation) == "many":
            about = None if sweeps(fact) else value_of(fact)
            _keep_latest(self._last_about, (slot, author_of(fact), about), fact)
        if is_operators_retraction(fact):
            _keep_latest(self._operators, (slot, fact.origin), fact)
        if not fact.is_retraction:
            _keep_latest(self._assertions, slot, fact)

    def last(self, draft: Fact) -> Fact | None:
        """The last word staged by a draft's author that concerns what it is about, or None."""
        slot, author = draft.slot, author_of(draft)
        if self._cardinality(draft.relation) == "one" or sweeps(draft):
            return self._last.get((slot, author))
        named, swept = (self._last_about.get((slot, author, about)) for about in (value_of(draft), None))
        return max((word for word in (named, swept) if word is not None), default=None)

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
