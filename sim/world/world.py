"""The world: one event heap, and the only place where virtual time moves.

The world is a `trio.abc.Clock`. trio asks a clock how long to sleep exactly when nothing is runnable, which is
the definition of "everything has happened that can happen now"; there the world takes the next event, moves
time to it and wakes at most one task. So trio never has two tasks to choose between, and nothing depends on
its scheduler; actors, which wait for nothing else, do not even take a turn of it (`sim.world.actor`). Public trio API
only; research and measurements: spec/simulation.md, 1.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final

import outcome
import trio

from sim.world.actor import Actor, Waiter

__all__ = ["Waiter", "World", "rare_collections", "simulate"]

_OBJECTS_PER_COLLECTION: Final = 1_000_000
_EVENTS_PER_LOOK: Final = 256
"""Events before trio may look at signals (Ctrl-C) and real I/O again."""


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
