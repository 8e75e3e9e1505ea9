"""The writer's mailbox: a bounded queue with one reader.

Whoever puts something in learns at once whether there was room; nobody waits to put. The reader takes
everything that came meanwhile, up to a bound, which is how batches form without a timer.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from stigmem.core.errors import StigmemError
from stigmem.node.ports import Clock
from stigmem.node.transaction import Transaction

__all__ = ["Command", "Mailbox"]


class Command(Protocol):
    """Something for the writer's turn.

    `stage` validates and records against committed state and may add to the turn; after the turn's commit
    `finish` runs against the new state, or `fail` if the journal refused the batch. None of them raises or
    waits. Returning False from `stage` puts the message back for the next turn.
    """

    def stage(self, txn: Transaction) -> bool: ...

    def finish(self) -> None: ...

    def fail(self, error: StigmemError) -> None: ...


class Mailbox:
    """At most `messages_max` messages, in order of arrival."""

    def __init__(self, clock: Clock, messages_max: int) -> None:
        self._queue: deque[Command] = deque()
        self._signal = clock.signal()
        self._messages_max = messages_max
        self.longest = 0
        """The longest the queue has been; read by metrics and by the bounded-queues checker."""

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, message: Command) -> bool:
        """Put a message in; False when the mailbox is full."""
        if len(self._queue) >= self._messages_max:
            return False
        self._queue.append(message)
        self.longest = max(self.longest, len(self._queue))
        self._signal.set()
        return True

    def put(self, message: Command) -> None:
        """Put in a message of the node itself (a pulled page, a verdict): bounded by its sender, never refused."""
        self._queue.append(message)
        self.longest = max(self.longest, len(self._queue))
        self._signal.set()

    def put_back(self, messages: list[Command]) -> None:
        """Return messages to the head of the queue, in order."""
        self._queue.extendleft(reversed(messages))
        self._signal.set()

    async def take(self, most: int) -> list[Command]:
        """Wait for messages and take them out."""
        while not self._queue:
            await self._signal.wait()
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
