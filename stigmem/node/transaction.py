"""A turn: what one batch of messages wants to make true, before the journal has it.

Staging reads committed state and writes only here; the writer commits the records and then applies them. So a
refused commit costs nothing but the turn, and no answer can show what a crash would take back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from stigmem.core import hlc
from stigmem.core.audit import AuditRow, ChainHead, append
from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp
from stigmem.core.records import ClockMark, Record
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState

__all__ = ["Savepoint", "Transaction"]


class Savepoint(NamedTuple):
    """A place in a turn that it can be taken back to."""

    records: int
    stamp: Stamp
    head: ChainHead
    next_seq: int


class Transaction:
    """The records of one batch, in order, with the little that later messages of the batch must see."""

    def __init__(self, state: NodeState, settings: NodeSettings, now_ns: int, monotonic_ns: int) -> None:
        self.state = state
        self.settings = settings
        self.now_ns = now_ns
        self.monotonic_ns = monotonic_ns
        self.records: list[Record] = []
        self.stamp: Stamp = state.stamp
        self._head = state.head
        self._next_seq = state.ledger.last_seq
        self._held: dict[tuple[str, str], Fact] = {}
        self._contents: dict[str, list[Fact]] = {}
        self._ids: dict[str, list[Fact]] = {}
        self._reserved: dict[tuple[str, str], None] = {}

    @property
    def now_ms(self) -> int:
        """The node's own wall clock at the start of the turn."""
        return self.now_ns // 1_000_000

    @property
    def now_us(self) -> int:
        return self.now_ns // 1_000

    def reserve(self, kind: str, name: str) -> bool:
        """Reserve something for this turn; False when a message before took it: then wait for the next turn."""
        if (kind, name) in self._reserved:
            return False
        self._reserved[kind, name] = None
        return True

    def add(self, record: Record) -> None:
        """Stage a record."""
        self.records.append(record)

    def audit(self, event: str, subject: str, *, fact_id: str | None = None, **detail: Any) -> AuditRow:
        """Stage an audit row at the end of the chain."""
        row = append(self._head, event, subject, fact_id, detail, self.now_us)
        self._head = type(self._head)(row.seq, row.hash)
        self.records.append(row)
        return row

    def tick(self) -> Stamp:
        """The stamp of a new local fact."""
        self.stamp = hlc.tick(self.stamp, self.now_ms)
        return self.stamp

    def observe(self, remote: Stamp) -> None:
        """Let a received stamp move the clock, within the drag bound."""
        self.stamp = hlc.receive(self.stamp, remote, self.now_ms, self.settings.drag_ms)

    def store(self, fact: Fact, cid: str | None = None) -> Fact:
        """Stage a fact under the next local sequence number. `cid`: its content id, when that is known already."""
        self._next_seq += 1
        stored = msgspec.structs.replace(fact, seq=self._next_seq)
        self.records.append(stored)
        self._file(stored, cid)
        return stored

    def _file(self, stored: Fact, cid: str | None = None) -> None:
        self._held[stored.origin, stored.id] = stored
        self._ids.setdefault(stored.id, []).append(stored)
        if stored.received_from is None:
            self._contents.setdefault(cid or stored.cid, []).append(stored)

    def staged(self, origin: str, fact_id: str) -> Fact | None:
        """A fact staged earlier in this turn."""
        return self._held.get((origin, fact_id))

    def staged_id(self, fact_id: str) -> list[Fact]:
        """Facts staged earlier in this turn with this id, of whatever origin."""
        return self._ids.get(fact_id, [])

    def staged_content(self, cid: str) -> list[Fact]:
        """Local facts staged earlier in this turn with this content id."""
        return self._contents.get(cid, [])

    def savepoint(self) -> Savepoint:
        """Where the turn stands, for `rollback`."""
        return Savepoint(len(self.records), self.stamp, self._head, self._next_seq)

    def rollback(self, savepoint: Savepoint) -> None:
        """Undo what was staged since: a message that met a bug leaves nothing half done."""
        del self.records[savepoint.records :]
        self.stamp, self._head, self._next_seq = savepoint.stamp, savepoint.head, savepoint.next_seq
        self._held, self._contents, self._ids = {}, {}, {}
        for record in self.records:
            if isinstance(record, Fact):
                self._file(record)

    def finish(self) -> list[Record]:
        """The records to commit; a moved clock is among them, so that no restart issues a stamp again."""
        if self.records and self.stamp > self.state.stamp:
            self.records.append(ClockMark(self.stamp))
        return self.records
