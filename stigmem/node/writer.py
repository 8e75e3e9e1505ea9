"""The writer: the one task that changes the ledger.

It drives batches through their life, one after the other; what a batch is, and why the order of its effects is what
it is, stands in `stigmem.node.transaction`:

    take      everything in the mailbox, up to TURN_MESSAGES_MAX submissions
    stage     each into one transaction, against committed state
    commit    the records, one write and one sync for all of them; with no records there is nothing to wait for
    apply     the records to the state, in order
    release   the replies, in order
    tell      the notices, to the parts that subscribed

While a commit is on its way the next batch gathers in the mailbox, which is the group commit: the slower the disk, the
larger the batches, without a timer and without a setting.

Between `take` and `release` nobody else changes the state, and nothing but the commit waits. So a submission's view of
the state does not change while it is staged, and a reply that is made after the commit sees its own records.

After the records, slots whose words mean something else now are derived anew, so many words a batch
(`stigmem.core.rederivation`); while some wait, the timers see to it that the next batch comes.

The expiry of facts and of spent nonces moves with the clock and not with records; both are brought up to the clock at
the beginning of every batch, so that all submissions of one batch judge by the same instant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stigmem.core import limits
from stigmem.core.records import Record
from stigmem.node.events import NodeEvents
from stigmem.node.mailbox import Mailbox
from stigmem.node.ports import Journal, JournalFull
from stigmem.node.state import NodeState
from stigmem.node.transaction import DeadlineAdded, Notice, Submission, Transaction, stage_batch

__all__ = ["Writer"]


class Writer:
    """Runs batches until the node stops."""

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        state: NodeState,
        begin: Callable[[], Transaction],
        journal: Journal,
        events: NodeEvents,
    ) -> None:
        """`begin`: makes the transaction of a batch, at the instant of its beginning."""
        self._mailbox = mailbox
        self._state = state
        self._begin = begin
        self._journal = journal
        self._events = events
        self._subscribers: dict[type[Notice], Callable[[Any], None]] = {}
        self.batches = 0
        self.commits = 0
        self.largest_batch = 0

    def subscribe(self, kind: type[Notice], told: Callable[[Any], None]) -> None:
        """Have `told` called with every notice of a kind; one subscriber a kind."""
        self._subscribers[kind] = told

    async def run(self) -> None:
        """One batch after the other."""
        while True:
            await self._run_batch(await self._mailbox.take(limits.TURN_MESSAGES_MAX))

    async def _run_batch(self, submissions: list[Submission]) -> None:
        self.batches += 1
        self.largest_batch = max(self.largest_batch, len(submissions))
        state, txn = self._state, self._begin()
        state.advance(txn.now_us)
        state.nonces.forget(txn.monotonic_ns)
        batch, again = stage_batch(txn, submissions, self._events.bug)
        if batch.records:
            try:
                await self._journal.commit(batch.records)
            except JournalFull as error:
                self._mailbox.put_back(again)
                for reply in batch.replies:
                    if reply.leans_on_records:
                        reply.fail(error)
                    else:
                        reply.release()
                return
            self.commits += 1
            for record in batch.records:
                state.apply(record)
            self._tell(batch.records)
        state.rederive(limits.TURN_REDERIVED_WORDS_MAX)
        for reply in batch.replies:
            reply.release()
        if again:
            self._mailbox.put_back(again)
        for notice in batch.notices:
            self._subscribers[type(notice)](notice)
        if state.slots_to_rederive:
            self._subscribers[DeadlineAdded](DeadlineAdded())

    def _tell(self, records: tuple[Record, ...]) -> None:
        try:
            self._events.committed(records)
        except Exception as bug:  # a listener must not undo what is durable, nor keep anybody from an answer
            self._events.bug(bug)
