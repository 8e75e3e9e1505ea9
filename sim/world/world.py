"""The world: one heap of events, the only place where virtual time moves, and the tasks that it steps.

Theory
------
A discrete-event simulation keeps what is due in a heap and moves its clock from event to event. The nodes of this
project are trio programs, so the events must drive trio's scheduler without ever letting it choose. It would choose
wrongly: trio shuffles the tasks that are runnable at the same time, on purpose.

The world is a `trio.abc.Clock`. trio asks a clock how long to sleep exactly when no task is runnable, which is the
definition of "everything has happened that can happen now". There (`deadline_to_sleep_time`) the world takes events
from the heap, sets its time to each one's, and stops as soon as one of them has woken a task. It answers 0, trio runs
that one task until it waits again, and asks anew. Public trio API only.

    heap: (5 ms, A), (5 ms, B), (9 ms, C)      A wakes the writer of north
    trio asks: how long?   now = 5 ms, A happens, a task was woken, answer 0
    trio runs the writer of north, which waits for its disk: an event at 6 ms is pushed
    trio asks: how long?   B happens at 5 ms; it wakes nobody; the disk's event at 6 ms wakes the writer: answer 0

A turn of trio's scheduler costs 4 to 6 us and most steps of a run are short, so tasks that wait for nothing but the
world are `Actor`s. An actor hands its coroutine to the world (`temporarily_detach_coroutine_object`, which trio
documents for other schedulers' sake), and a step of it is a function call. Where an actor waits is a `Waiter`; a
plain trio task may wait at one too, and is then rescheduled the ordinary way.

Invariants:

1. `now` never goes back, and is an integer number of nanoseconds. Floating seconds exist only in `current_time`, which
   trio wants and nothing of ours reads.
2. Events of one instant happen in the order in which they were scheduled: the heap is ordered by (time, number).
3. At most one task is runnable at any moment. A task that is woken while another step is under way becomes an event of
   this instant (`resume`), and a new task takes its first step as an event of its own (`start_task`). So nothing
   depends on the order in which trio would have run two.
4. An exception in an event ends the run and is raised by `run`. Nothing may escape into trio's scheduler.
5. While the world has an actor's coroutine, the actor may wait for nothing but a Waiter; a raw trio call fails loudly.
   Before it is cancelled or raises, it takes its coroutine back, and what follows happens in a turn of trio's.

Known warts. Ctrl-C and real I/O are seen only when the world returns to trio, at the latest after
`_EVENTS_PER_LOOK` events; an event that takes seconds asks `sim.simulation.interruption` in between. The garbage
collector is asked to look seldom while a world runs (`rare_collections`): there is next to nothing for it to find.

Not here: what events mean. Measurements and traps are in spec/simulation.md, section 1.
"""

from __future__ import annotations

import gc
import math
import types
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final

import outcome
import trio

__all__ = ["Actor", "Waiter", "World", "rare_collections", "simulate"]

_OBJECTS_PER_COLLECTION: Final = 1_000_000
_EVENTS_PER_LOOK: Final = 256
"""Events before trio may look at signals (Ctrl-C) and real I/O again."""
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


class World(trio.abc.Clock):
    """Virtual time in integer nanoseconds since the start of the scenario, and everything that is due."""

    def __init__(self) -> None:
        self.now = 0
        self.events = 0
        self._heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._order = 0
        self._open = False
        self._pumping = False
        self._woke = False
        self._error: BaseException | None = None
        self._next: tuple[Actor, Any] | None = None
        self._finished = trio.Event()
        self.running: Actor | None = None
        """The actor whose step this is; None while the world itself or a task of trio's runs."""

    # --- scheduling ---

    def at(self, when: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Do something at an instant (not before now). Equal instants keep the order of their scheduling."""
        self._order += 1
        heappush(self._heap, (max(int(when), self.now), self._order, action, argument))

    def after(self, delay: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Do something after a delay."""
        self.at(self.now + delay, action, argument)

    def resume(self, waiter: Waiter) -> None:
        """Let a woken task run: now if nothing else runs, else as the next event of this instant."""
        if self._pumping and not self._woke:
            self._resume(waiter)
        else:
            self.at(self.now, self._resume, waiter)

    def _resume(self, waiter: Waiter) -> None:
        task, waiter.task = waiter.task, None
        if task is None:
            return
        self._woke = True
        if isinstance(task, Actor):
            self._next = task, waiter.value
        else:
            trio.lowlevel.reschedule(task, outcome.Value(waiter.value))

    def left_to_trio(self) -> None:
        """An actor took its coroutine back: trio has a task to run."""
        self._woke = True

    def start_task(self, nursery: trio.Nursery, body: Callable[[], Awaitable[None]], name: str) -> None:
        """Start a task as an event of its own, so that it is alone when it takes its first step."""
        self.at(self.now, self._start, (nursery, body, name))

    def start_actor(self, nursery: trio.Nursery, body: Callable[[], Awaitable[None]], name: str) -> None:
        """As `start_task`, for a task that uses no trio and waits for nothing but Waiters: its steps cost far less."""
        self.start_task(nursery, partial(Actor(self).live, body), name)

    def _start(self, what: tuple[trio.Nursery, Callable[[], Awaitable[None]], str]) -> None:
        nursery, body, name = what
        if not nursery.cancel_scope.cancel_called:
            self._woke = True
            nursery.start_soon(body, name=name)

    def finish(self, error: BaseException | None = None) -> None:
        """Stop: no event after this one happens. An error is raised to whoever runs the world."""
        if self._open:
            self._open = False
            self._error = error
            self._finished.set()

    async def run(self) -> None:
        """Let time pass until `finish`; raises what it was given."""
        self._open = True
        await self._finished.wait()
        if self._error is not None:
            raise self._error

    # --- the clock that trio sees ---

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        """Seconds, for trio; everything of ours counts in integer nanoseconds."""
        return self.now / 1e9

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Called by trio when no task is runnable: let the world go on."""
        if not self._open:
            return 0.0 if self._woke else math.inf
        self._pumping, self._woke = True, False
        try:
            self._pump()
        except BaseException as error:
            # Nothing may escape into trio's scheduler; the run ends and `run` raises it.
            self.finish(error)
        finally:
            self._pumping = False
        return 0.0

    def _pump(self) -> None:
        heap = self._heap
        for _ in range(_EVENTS_PER_LOOK):
            if not heap:
                self.finish(RuntimeError("the world ran out of events before it was finished"))
                return
            self.now, _, action, argument = heappop(heap)
            self.events += 1
            action(argument)
            if self._next is not None:
                self._step(*self._next)
            if self._woke or not self._open:
                return

    def _step(self, actor: Actor, value: Any) -> None:
        # Whom it wakes runs as the next event of this instant, just as if trio had run the step.
        self._next = None
        self._pumping = self._woke = False
        self.running = actor
        actor.step(value)
        self.running = None
        self._pumping = True


def simulate(world: World, main: Callable[[], Awaitable[None]]) -> None:
    """Run an async function in a world; raises what it raises, and KeyboardInterrupt on Ctrl-C."""
    with rare_collections():
        trio.run(main, clock=world, strict_exception_groups=True)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for cycles of garbage seldom: facts, frames and traces are none while a world runs and is judged, and
    looking through them costs a sixth of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS_PER_COLLECTION, 100, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
