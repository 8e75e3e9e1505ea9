"""The writer's mailbox: a bounded queue with one reader.

Whoever puts something in learns at once whether there was room; nobody waits to put. The reader takes everything that
came meanwhile, up to a bound, which is how batches form without a timer.

Three ways in, by who comes:

* `offer`: requests from outside, refused when the queue is full;
* `submit`: a command of one of the node's own tasks, which waits for its result. A task has at most one command in
  the queue at a time, which is the bound. A task that is cancelled while it waits leaves its command behind: it is
  committed all the same;
* `put`: submissions that answer somebody by themselves, bounded by whoever makes them (long polls by
  LONG_POLLS_PER_PEER_MAX, registrations by PENDING_PEERS_MAX), and commands that nobody waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from stigmem.core.errors import StigmemError
from stigmem.node.ports import Clock, Signal
from stigmem.node.transaction import Command, Submission, Transaction

__all__ = ["Delivered", "Mailbox", "NotStored"]

T = TypeVar("T")


class NotStored(StigmemError):
    """The journal refused the batch with a command, or staging it met a bug: nothing of it is true. `code` and
    `message` are those of the reason."""

    def __init__(self, error: StigmemError, staged: Any) -> None:
        super().__init__(error.code, error.message)
        self.staged = staged
        """What the result would have been; None when staging did not come to one."""


class Mailbox:
    """Submissions in order of arrival."""

    def __init__(self, clock: Clock, messages_max: int) -> None:
        """`messages_max`: how many may wait before `offer` refuses; `submit` and `put` do not count against it."""
        self._queue: deque[Submission] = deque()
        self._clock = clock
        self._signal = clock.signal()
        self._messages_max = messages_max
        self.longest = 0
        """The longest the queue has been; read by metrics and by the bounded-queues checker."""

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, submission: Submission) -> bool:
        """Put in a request; False when the mailbox is full."""
        if len(self._queue) >= self._messages_max:
            return False
        self._queue.append(submission)
        self.longest = max(self.longest, len(self._queue))
        self._signal.set()
        return True

    def put(self, submission: Submission) -> None:
        """Put in a submission of the node itself; never refused, so whoever puts bounds how many there are."""
        self._queue.append(submission)
        self.longest = max(self.longest, len(self._queue))
        self._signal.set()

    async def submit(self, command: Command[T]) -> T:
        """Have the writer stage a command; its result once the batch is durable. Raises NotStored."""
        waiting = _Awaited(command, self._clock.signal())
        self.put(waiting)
        await waiting.done.wait()
        return waiting.result()

    def put_back(self, submissions: list[Submission]) -> None:
        """Return submissions to the head of the queue, in order."""
        self._queue.extendleft(reversed(submissions))
        self._signal.set()

    async def take(self, most: int) -> list[Submission]:
        """Wait until there is a submission, and take out at most `most`, the oldest first. One reader only."""
        while not self._queue:
            await self._signal.wait()
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]


class _Awaited(Generic[T]):
    """A command whose submitter waits until `done` is set, and asks then for the result."""

    __slots__ = ("_command", "_error", "_staged", "done")

    leans_on_records = True

    def __init__(self, command: Command[T], done: Signal) -> None:
        self._command = command
        self._staged: tuple[T] | None = None
        self._error: StigmemError | None = None
        self.done = done

    def stage(self, txn: Transaction) -> None:
        self._staged = (self._command.stage(txn),)

    def release(self) -> None:
        self.done.set()

    def fail(self, error: StigmemError) -> None:
        self._error = error
        self.done.set()

    def result(self) -> T:
        """What the command came to; raises NotStored."""
        if self._error is not None or self._staged is None:
            error = self._error or StigmemError("not_staged", "the command was never staged")
            raise NotStored(error, None if self._staged is None else self._staged[0]) from error
        return self._staged[0]


class Delivered(Generic[T]):
    """A command whose result is handed on in the writer's turn, in the order of the batch, instead of to a task."""

    __slots__ = ("_command", "_deliver", "_failed", "_result")

    leans_on_records = True

    def __init__(
        self,
        command: Command[T],
        deliver: Callable[[T], None] = lambda _: None,
        failed: Callable[[StigmemError], None] = lambda _: None,
    ) -> None:
        """Without `deliver` and `failed` nobody cares what comes of it: it will be asked for again if it is lost."""
        self._command = command
        self._deliver = deliver
        self._failed = failed
        self._result: tuple[T] | None = None

    def stage(self, txn: Transaction) -> None:
        self._result = (self._command.stage(txn),)

    def release(self) -> None:
        if self._result is not None:
            self._deliver(self._result[0])

    def fail(self, error: StigmemError) -> None:
        self._failed(error)
