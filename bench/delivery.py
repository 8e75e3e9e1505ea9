"""What it costs to deliver a message to an actor: a bare event loop, our trio actors, and SimPy, on the same work.

Tokens go round among actors that do with each what a node does with a fact: merge a clock, look for a
contradiction, file it in order. All engines deliver the same messages in the same order; only what carries them
differs. Ratios compare with the bare loop, round by round, so that a busy machine spoils them little.
"""

from __future__ import annotations

import gc
import importlib.util
import statistics
import zlib
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from random import Random
from time import perf_counter
from typing import Any, Final, NamedTuple

import trio

from sim.world.world import Waiter, World, simulate

__all__ = ["ENGINES", "Delivered", "Row", "heap_loop", "measure", "simpy_actors", "trio_actors"]

SIZES: Final = (10, 100, 1_000)
_MS: Final = 1_000_000
_SUBJECTS: Final = 400
_KEPT: Final = 2_000
"""Facts that an actor keeps in order; the oldest half goes when there are more."""


class Message(NamedTuple):
    """A fact on its way: stamp of the sender, subject and value."""

    stamp: int
    subject: int
    value: int


class Delivered(NamedTuple):
    """What an engine did: how many messages it delivered, and a checksum over who got them in which order."""

    count: int
    order: int


class Actor:
    """The work of one actor, whoever calls it."""

    __slots__ = ("_all", "_clock", "_draw", "_known", "_log", "number")

    def __init__(self, number: int, actors: int) -> None:
        self.number = number
        self._all = actors
        self._draw = Random(f"actor/{number}").getrandbits
        self._clock = 0
        self._known: dict[int, int] = {}
        self._log: list[Message] = []

    def handle(self, message: Message, now: int) -> tuple[int, int, Message]:
        """Take a message in; to whom the next goes, after how many nanoseconds, and what it says."""
        self._clock = max(self._clock, message.stamp, now) + 1
        known = self._known.get(message.subject)
        if known is None or known != message.value:
            self._known[message.subject] = message.value
        insort(self._log, message)
        if len(self._log) > _KEPT:
            del self._log[: _KEPT // 2]
        draw = self._draw
        delay = _MS + (49 * _MS * draw(32) >> 32)
        return draw(32) % self._all, delay, Message(self._clock, draw(32) % _SUBJECTS, draw(8))


class _Ledger:
    """Counts deliveries and notes their order."""

    def __init__(self, messages: int) -> None:
        self._most = messages
        self._order = 0
        self._count = 0

    def note(self, number: int, now: int) -> bool:
        """Whether this was the last one."""
        self._count += 1
        self._order = zlib.crc32(b"%d %d" % (number, now), self._order)
        return self._count >= self._most

    def told(self) -> Delivered:
        return Delivered(self._count, self._order)


def _first(number: int) -> tuple[int, Message]:
    return _MS * (number + 1) // 7 + number, Message(0, number % _SUBJECTS, 0)


def heap_loop(actors: int, messages: int) -> Delivered:
    """The bare loop: a heap, and the handler called directly."""
    seen, everyone = _Ledger(messages), [Actor(number, actors) for number in range(actors)]
    heap: list[tuple[int, int, int, Message]] = []
    order = 0
    for number in range(actors):
        order += 1
        when, message = _first(number)
        heappush(heap, (when, order, number, message))
    while True:
        now, _, target, message = heappop(heap)
        if seen.note(target, now):
            return seen.told()
        target, delay, message = everyone[target].handle(message, now)
        order += 1
        heappush(heap, (now + delay, order, target, message))


class _Mailbox:
    """Where one task waits for messages of a world."""

    __slots__ = ("_queue", "_waiter")

    def __init__(self, world: World) -> None:
        self._waiter = Waiter(world)
        self._queue: list[Message] = []

    def put(self, message: Message) -> None:
        if not self._waiter.wake(message):
            self._queue.append(message)

    async def take(self) -> Message:
        if self._queue:
            return self._queue.pop(0)
        message: Message = await self._waiter.wait()
        return message


def trio_actors(actors: int, messages: int) -> Delivered:
    """Our world: a trio task per actor, time in the clock, one wake-up a delivery."""
    world, seen = World(), _Ledger(messages)
    boxes = [_Mailbox(world) for _ in range(actors)]

    async def live(actor: Actor) -> None:
        box = boxes[actor.number]
        while True:
            message = await box.take()
            if seen.note(actor.number, world.now):
                world.finish()
            else:
                target, delay, message = actor.handle(message, world.now)
                world.after(delay, boxes[target].put, message)

    async def main() -> None:
        async with trio.open_nursery() as home:
            for number in range(actors):
                world.start_actor(home, partial(live, Actor(number, actors)), f"actor {number}")
                when, message = _first(number)
                world.at(when, boxes[number].put, message)
            await world.run()
            home.cancel_scope.cancel()

    simulate(world, main)
    return seen.told()


def simpy_actors(actors: int, messages: int) -> Delivered:
    """SimPy: a process and a Store per actor, a timeout per message. Raises ImportError when it is not installed."""
    import simpy

    world, seen = simpy.Environment(), _Ledger(messages)
    boxes = [simpy.Store(world) for _ in range(actors)]
    last = world.event()

    def send(delay: int, target: int, message: Message) -> None:
        world.timeout(delay, message).callbacks.append(lambda due: boxes[target].put(due.value))

    def live(actor: Actor) -> Iterator[Any]:
        box = boxes[actor.number]
        while True:
            message = yield box.get()
            if seen.note(actor.number, world.now):
                last.succeed()
            else:
                target, delay, message = actor.handle(message, world.now)
                send(delay, target, message)

    for number in range(actors):
        world.process(live(Actor(number, actors)))
        send(*_at(number))
    world.run(until=last)
    return seen.told()


def _at(number: int) -> tuple[int, int, Message]:
    when, message = _first(number)
    return when, number, message


Engine = Callable[[int, int], Delivered]
ENGINES: Final[dict[str, Engine]] = {"heapq": heap_loop, "trio": trio_actors, "simpy": simpy_actors}


@dataclass(frozen=True, slots=True)
class Row:
    """Delivered messages a second by our actors, and the time of each engine as a multiple of the bare loop's;
    `simpy` is None when it is not installed."""

    actors: int
    per_s: float
    trio: float
    simpy: float | None


def measure(*, messages: int, rounds: int, sizes: Sequence[int] = SIZES) -> Iterator[Row]:
    """Medians over interleaved rounds. Raises ArithmeticError when the engines did not do the same."""
    names = [name for name in ENGINES if name != "simpy" or importlib.util.find_spec("simpy") is not None]
    for actors in sizes:
        took: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            told = set()
            for name in names:
                gc.collect()
                begun = perf_counter()
                told.add(ENGINES[name](actors, messages))
                took[name].append(perf_counter() - begun)
            if len(told) != 1:
                raise ArithmeticError(f"the engines delivered different messages: {sorted(told)}")
        ratio = {
            name: statistics.median(mine / bare for mine, bare in zip(took[name], took["heapq"], strict=True))
            for name in names
        }
        yield Row(actors, messages / min(took["trio"]), ratio["trio"], ratio.get("simpy"))
