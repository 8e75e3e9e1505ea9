"""The four ports of a node, filled with this machine: its clocks, its randomness, HTTP and SQLite.

Tasks of the node live in the nursery given here; only an error of the writer stops the node. The node
above cannot tell this module from `sim.world.ports`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio

from stigmem.core.keys import Suite
from stigmem.node.ports import Signal, Signed

__all__ = ["HostClock", "HostEntropy", "HostSignal", "HostSignatures"]

_ELAPSED: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that goes on in suspend. Linux stops CLOCK_MONOTONIC then; others, which have no CLOCK_BOOTTIME, do not."""
_JOURNALS: Final = "writer"
"""The task whose errors are the journal's: what it cannot store, nobody may be told, so the node ends with it."""
_LASTING: Final = frozenset(("puller", "keeper", "webhook"))
_REST_S: Final = 30.0
"""A pull interval: a peer whose pages meet a bug each time costs a line a minute and no more."""


class HostSignal:
    """A wake-up for one waiter."""

    __slots__ = ("_flag", "_task")

    def __init__(self) -> None:
        self._flag = False
        self._task: trio.lowlevel.Task | None = None

    def set(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)
        else:
            self._flag = True

    async def wait(self, timeout_ns: int | None = None) -> bool:
        if self._flag:
            self._flag = False
            await trio.lowlevel.checkpoint()
            return True
        if timeout_ns is None:
            await self._park()
            return True
        with trio.move_on_after(timeout_ns / 1e9) as scope:
            await self._park()
        return not scope.cancelled_caught

    async def _park(self) -> None:
        self._task = trio.lowlevel.current_task()

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)


class HostClock:
    """Wall and monotonic time of this machine, and tasks in a nursery."""

    def __init__(self, nursery: trio.Nursery, on_bug: Callable[[Exception], None] | None = None) -> None:
        """`on_bug` is told of a task that ended with an error; without it the nursery ends with that error."""
        self._nursery = nursery
        self._on_bug = on_bug

    def wall_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def elapsed_ns(self) -> int:
        return time.clock_gettime_ns(_ELAPSED)

    def signal(self) -> Signal:
        return HostSignal()

    async def sleep(self, ns: int) -> None:
        await trio.sleep(ns / 1e9)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        guarded = body if self._on_bug is None or name == _JOURNALS else partial(self._guarded, name, body)
        self._nursery.start_soon(guarded, name=name)

    async def _guarded(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Nothing takes a node down but its journal: a task that met a bug of ours is told of, and one that was to go
        on for as long as the node does begins again after a rest. A trio.Cancelled is no Exception and ends it."""
        while True:
            try:
                return await body()
            except Exception as bug:
                if self._on_bug is not None:
                    self._on_bug(bug)
            if name not in _LASTING:
                return None
            await trio.sleep(_REST_S)


class HostSignatures:
    """Signatures checked in threads: libsodium is called without Python's lock."""

    def __init__(self, threads: int = 2) -> None:
        """`threads`: for all pages that are checked at the same time."""
        self.threads = threads
        self._limiter = trio.CapacityLimiter(threads)

    async def check(self, suite: Suite, signed: Sequence[Signed]) -> Sequence[bool]:
        each = -(-len(signed) // self.threads) or 1
        parts = [signed[begin : begin + each] for begin in range(0, len(signed), each)]
        answers: list[list[bool]] = [[] for _ in parts]

        async def answer(number: int) -> None:
            answers[number] = await trio.to_thread.run_sync(_check_all, suite, parts[number], limiter=self._limiter)

        async with trio.open_nursery() as nursery:
            for number in range(len(parts)):
                nursery.start_soon(answer, number)
        return [valid for part in answers for valid in part]


def _check_all(suite: Suite, signed: Sequence[Signed]) -> list[bool]:
    return [suite.verify(*each) for each in signed]


class HostEntropy:
    """The operating system's randomness."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def stream(self, name: str) -> HostEntropy:
        return self
