"""What the facts of one transaction, which the ledger does not show yet, may have done to other facts.

An index beside the records of `stigmem.node.transaction`, so that nobody walks through them: a batch of five hundred
facts asks this five hundred times. It errs on one side. Where it says that a fact may be ended, a write is stored that
repeats it: a word too many costs little, one that is lost costs the caller's trust.
"""

from __future__ import annotations

from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.resolution import read_resolution

__all__ = ["StagedWords"]

Slot = tuple[str, str, str]


class StagedWords:
    """The facts staged so far, by what they are about. Only grows; a transaction that is rolled back makes a new
    one."""

    __slots__ = ("_assertions", "_resolutions", "_retractions")

    def __init__(self) -> None:
        self._assertions: dict[Slot, Fact] = {}
        self._retractions: dict[Slot, Fact] = {}
        """The latest of each slot by origin stamp, whoever said it."""
        self._resolutions: dict[Slot, list[str]] = {}
        """Provenance texts of the resolutions of a slot; they name what is covered."""

    def add(self, fact: Fact) -> None:
        """Note a fact that was staged."""
        try:
            resolution = read_resolution(fact)
        except Rejection:
            return  # it looks like one and is none: kept without effect
        if resolution is not None:
            self._resolutions.setdefault(resolution.slot, []).append(fact.derived_from)
            return
        latest = self._retractions if fact.is_retraction else self._assertions
        held = latest.get(fact.slot)
        if held is None or held < fact:
            latest[fact.slot] = fact

    def answered(self, fact: Fact) -> bool:
        """Whether a staged word with a greater stamp is of the other kind: a retraction where the fact asserts, an
        assertion where it retracts. Then the same holds for everything before the fact in its slot."""
        other = (self._assertions if fact.is_retraction else self._retractions).get(fact.slot)
        return other is not None and fact < other

    def resolved(self, fact: Fact) -> bool:
        """Whether a staged resolution names the fact."""
        return any(fact.id in text for text in self._resolutions.get(fact.slot, ()))
