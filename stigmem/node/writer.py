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
from stigmem.node.context import JournalFull
from stigmem.node.mailbox import Message
from stigmem.node.turn import Turn

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
            await self._turn(batch)

    async def _turn(self, batch: list[Message]) -> None:
        node = self._node
        clock = node.context.clock
        self.turns += 1
        self.largest_batch = max(self.largest_batch, len(batch))
        turn = Turn(node.state, node.settings, clock.wall_ns(), clock.monotonic_ns())
        node.state.ledger.advance(turn.now_us)
        node.state.nonces.forget(turn.monotonic_ns)
        done: list[Message] = []
        postponed: list[Message] = []
        for message in batch:
            if len(turn.records) >= limits.TURN_RECORDS_MAX:
                postponed.append(message)
                continue
            mark = turn.mark()
            try:
                (done if message.stage(turn) else postponed).append(message)
            except Exception as fault:  # a bug of ours must cost one message, not the node
                turn.revert(mark)
                node.report_fault(fault)
                message.fail(StigmemError("internal_error", f"this node met a bug of its own: {fault}"))
        records = turn.seal()
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
        self._after(records, turn.monotonic_ns)

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
            self._node.keeper.nudge()
        if news and self._node.waiting:
            for pull in self._node.waiting.release(monotonic_ns, news=True):
                self._node.mailbox.put(pull)
