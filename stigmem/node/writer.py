"""The writer: the one actor that changes the ledger.

A turn: drain the mailbox (bounded), stage every message, one journal commit for the whole batch, apply, then
release every answer. While the commit is on its way the next batch gathers, which is the group commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stigmem.core import limits
from stigmem.core.errors import StigmemError
from stigmem.core.fact import Fact
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import DeadLetter, PeerRow, Record
from stigmem.node.mailbox import Command
from stigmem.node.ports import JournalFull
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.node import Node

__all__ = ["Writer"]


class Writer:
    """Runs turns until the node stops."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.turns = 0
        self.commits = 0
        self.largest_batch = 0

    async def run(self) -> None:
        """Turn after turn."""
        node = self._node
        while True:
            batch = await node.mailbox.take(limits.TURN_MESSAGES_MAX)
            await self._run_batch(batch)

    async def _run_batch(self, batch: list[Command]) -> None:
        node = self._node
        clock = node.context.clock
        self.turns += 1
        self.largest_batch = max(self.largest_batch, len(batch))
        txn = Transaction(node.state, node.settings, clock.wall_ns(), clock.monotonic_ns())
        node.state.ledger.advance(txn.now_us)
        node.state.nonces.forget(txn.monotonic_ns)
        done: list[Command] = []
        postponed: list[Command] = []
        for message in batch:
            if len(txn.records) >= limits.TURN_RECORDS_MAX:
                postponed.append(message)
                continue
            savepoint = txn.savepoint()
            try:
                (done if message.stage(txn) else postponed).append(message)
            except Exception as bug:  # a bug of ours must cost one message, not the node
                txn.rollback(savepoint)
                node.report_bug(bug)
                message.fail(StigmemError("internal_error", f"this node met a bug of its own: {bug}"))
        records = txn.finish()
        if records:
            try:
                await node.context.journal.commit(records)
            except JournalFull as error:
                node.mailbox.put_back(postponed)
                for message in done:
                    message.fail(error)
                return
            self.commits += 1
            for record in records:
                node.state.apply(record)
        for message in done:
            message.finish()
        if postponed:
            node.mailbox.put_back(postponed)
        self._after(records, txn.monotonic_ns)

    def _after(self, records: list[Record], monotonic_ns: int) -> None:
        news = falls_due = False
        for record in records:
            if isinstance(record, SpentNonce):
                continue  # the only record of most turns
            if isinstance(record, Fact):
                news = True
                falls_due = falls_due or record.valid_until is not None
            elif isinstance(record, DeadLetter):
                falls_due = falls_due or record.retry_ms is not None
            elif isinstance(record, PeerRow):
                self._node.peer_changed(record)
        if falls_due:
            self._node.timers.wake()
        if news and self._node.long_polls:
            for pull in self._node.long_polls.release(monotonic_ns, news=True):
                self._node.mailbox.put(pull)
