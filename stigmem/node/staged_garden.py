"""What one transaction stages in a garden: the same that `Transaction` does for the facts of the node itself.

A garden has sequence numbers and stamps of its own (`stigmem.core.gardens`), and so has this. An assertion is staged
into a `FactRoom`, which is the transaction or one of these, and need not know which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from stigmem.core import hlc
from stigmem.core.fact import Fact
from stigmem.core.gardens import Garden
from stigmem.core.hlc import Stamp
from stigmem.core.ledger import Ledger
from stigmem.core.records import GardenFact
from stigmem.node.staged_words import StagedWords

__all__ = ["FactRoom", "StagedGarden"]


class FactRoom(Protocol):
    """Where facts are written that can contradict each other: a ledger, and what this batch adds to it."""

    @property
    def ledger(self) -> Ledger:
        """What is committed."""
        ...

    @property
    def words(self) -> StagedWords:
        """What the facts staged here in this batch do to others."""
        ...

    @property
    def stamp(self) -> Stamp:
        """The newest stamp that was issued here."""
        ...

    def tick(self) -> Stamp:
        """The stamp of a new fact."""
        ...

    def store(self, fact: Fact, cid: str | None = None) -> Fact:
        """Stage a fact under the next sequence number. `cid`: its content id, when that is known already."""
        ...

    def staged_content(self, cid: str) -> list[Fact]:
        """Facts of this node staged earlier in this batch with this content id."""
        ...


class StagedGarden:
    """The facts that one transaction adds to a garden."""

    def __init__(self, garden: Garden, *, now_ms: int, add: Callable[[GardenFact], None]) -> None:
        """`now_ms`: the node's wall clock when the batch began. `add` stages a record."""
        self.ledger = garden.ledger
        self.words = StagedWords(garden.ledger.cardinality)
        self.stamp = garden.stamp
        self._garden_id = garden.row.garden_id
        self._now_ms = now_ms
        self._add = add
        self._next_seq = garden.ledger.last_seq
        self._contents: dict[str, list[Fact]] = {}

    def tick(self) -> Stamp:
        self.stamp = hlc.tick(self.stamp, self._now_ms)
        return self.stamp

    def store(self, fact: Fact, cid: str | None = None) -> Fact:
        stored = msgspec.structs.replace(fact, seq=self._next_seq + 1)
        self._add(GardenFact(self._garden_id, stored))
        self.file(stored, cid)
        return stored

    def file(self, stored: Fact, cid: str | None = None) -> None:
        """Note a fact whose record is staged already."""
        self._next_seq = stored.seq
        self.stamp = max(self.stamp, stored.stamp)
        self.words.add(stored)
        self._contents.setdefault(cid or stored.cid, []).append(stored)

    def staged_content(self, cid: str) -> list[Fact]:
        return self._contents.get(cid, [])
