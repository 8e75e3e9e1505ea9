"""Tasks of the simulated world: where they wait, and how the world steps them.

A Waiter serves any trio task. An Actor is a task that has handed its coroutine to the world (trio documents this
for other schedulers' sake), so that a step costs a function call and no turn of trio's scheduler. Time and the
order of events are `sim.world.world`'s; this module decides nothing about them.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from sim.world.world import World

__all__ = ["Actor", "Waiter"]

_STOP: Final = object()
"""What a step is given when the actor's scope was cancelled."""


class Actor:
    """A trio task that has handed its coroutine to the world, which steps it without a turn of trio's scheduler.

    It is cancelled by its scope and raises into its nursery like any task: before either it takes its coroutine
    back. While the world has it, it may wait for nothing but a Waiter; raw trio calls fail loudly.
    """

    __slots__ = ("_send", "_stop", "_task", "_waiter", "_world")

    def __init__(self, world: World) -> None:
        self._world = world
        self._task: trio.lowlevel.Task | None = None
        self._send: Callable[[Any], Any] | None = None
        self._stop: Callable[[], None] | None = None
        """Raises the cancellation that came, if one came."""
        self._waiter: Waiter | None = None
        """Where it waits now, while the world has it."""

    async def live(self, body: Callable[[], Awaitable[None]]) -> None:
        """The whole life of the task."""
        self._world.running = self
        try:
            await body()
        finally:
            self._world.running = None
            await self._attach()

    @types.coroutine
    def park(self, waiter: Waiter) -> Generator[Any, Any, Any]:
        """Wait until the world steps on; raises Cancelled."""
        # A generator, so that a wait costs one frame: this is the most common await of a run.
        item: Any = _STOP
        if self._stop is None:
            self._waiter = waiter
            if self._task is None:
                item = yield from self._detach()
            else:
                item = yield
        if item is _STOP and self._stop is not None:
            yield from self._attach()
            self._stop()
        return item

    async def _detach(self) -> Any:
        self._task = trio.lowlevel.current_task()
        self._send = self._task.coro.send
        self._world.running = None
        return await trio.lowlevel.temporarily_detach_coroutine_object(self._abort)

    def step(self, value: Any) -> None:
        """Go on with a value until the next wait."""
        if self._waiter is not None and self._send is not None:
            self._waiter = None
            self._send(value)

    async def _attach(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._world.left_to_trio()
            await trio.lowlevel.reattach_detached_coroutine_object(task, None)

    def _abort(self, raise_cancel: Any) -> trio.lowlevel.Abort:
        self._stop = raise_cancel
        if self._waiter is not None:
            self._waiter.task = None
        self.step(_STOP)  # as far as `_attach`: what it does about its end is done in a turn of trio's
        return trio.lowlevel.Abort.FAILED


class Waiter:
    """A place where one task waits to be woken with a value; waking it first is remembered by the caller."""

    __slots__ = ("ready", "task", "value", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self.task: trio.lowlevel.Task | Actor | None = None
        self.ready = False
        self.value: Any = None

    def wait(self) -> Any:
        """What to await for `wake`, once."""
        self.ready = False
        actor = self.world.running
        if actor is None:
            self.task = trio.lowlevel.current_task()
            return trio.lowlevel.wait_task_rescheduled(self._abort)  # noqa: ASYNC105 - by whom this is awaited
        self.task = actor
        return actor.park(self)

    def wake(self, value: Any) -> bool:
        """Wake the task with a value; False when nobody waits (any more)."""
        if self.task is None or self.ready:
            return False
        self.ready = True
        self.value = value
        self.world.resume(self)
        return True

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED
