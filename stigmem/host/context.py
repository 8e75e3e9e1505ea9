"""The four ports of a node, filled with this machine: its clocks, its randomness, HTTP and SQLite.

Tasks of the node live in the nursery given here; if one of them ends with an error the node stops. The node
above cannot tell this module from `sim.world.ports`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable

import trio

from stigmem.node.ports import Signal

__all__ = ["HostClock", "HostEntropy", "HostSignal"]


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

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def wall_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def signal(self) -> Signal:
        return HostSignal()

    async def sleep(self, ns: int) -> None:
        await trio.sleep(ns / 1e9)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(body, name=name)


class HostEntropy:
    """The operating system's randomness."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)
