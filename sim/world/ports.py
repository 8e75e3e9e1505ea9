"""The four ports of a node, filled with the simulated world.

One set per boot of a machine: after a crash the old ones are dead, and whatever their tasks still try while
they unwind has no effect. The node above cannot tell this module from `stigmem.host.context`.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from random import Random
from typing import Any, Protocol

from sim.world.clocks import NodeClock
from sim.world.world import Waiter, World
from stigmem.core.wire import Request, Response
from stigmem.node.ports import Signal, Unreachable

__all__ = ["SimClock", "SimEntropy", "SimSignal", "SimTransport"]


class Computer(Protocol):
    """What the ports need of the machine that they are on (`sim.world.machine.Machine`)."""

    world: World
    clock: NodeClock

    def wake(self, waiter: Waiter, value: Any = None) -> bool:
        """Wake a task of the machine, later if it is paused; False when the task does not wait (any more)."""

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Start a task of the node."""

    def ask(self, url: str, request: Request, waiter: Waiter) -> None:
        """Send a request over the wire; the waiter gets a Response or the code of a failure."""


class SimSignal:
    """A wake-up for one waiter, with a timeout in the node's own time."""

    __slots__ = ("_flag", "_generation", "_machine", "_waiter")

    def __init__(self, machine: Computer) -> None:
        self._machine = machine
        self._waiter = Waiter(machine.world)
        self._flag = False
        self._generation = 0

    def set(self) -> None:
        if not self._machine.wake(self._waiter, value=True):
            self._flag = True

    @types.coroutine
    def wait(self, timeout_ns: int | None = None) -> Generator[Any, Any, bool]:
        if self._flag:
            self._flag = False
            return True
        self._generation += 1
        if timeout_ns is not None:
            machine = self._machine
            machine.world.after(machine.clock.to_true(timeout_ns), self._timeout, self._generation)
        woken: bool = yield from self._waiter.wait()
        self._generation += 1
        return woken

    def _timeout(self, generation: int) -> None:
        if generation == self._generation:
            self._machine.wake(self._waiter, value=False)


class SimClock:
    """A machine's clock: wrong wall time, drifting monotonic time, waiting and tasks."""

    def __init__(self, machine: Computer) -> None:
        self._machine = machine

    def wall_ns(self) -> int:
        return self._machine.clock.wall(self._machine.world.now)

    def monotonic_ns(self) -> int:
        return self._machine.clock.monotonic(self._machine.world.now)

    def elapsed_ns(self) -> int:
        return self._machine.clock.elapsed(self._machine.world.now)

    def signal(self) -> Signal:
        return SimSignal(self._machine)

    async def sleep(self, ns: int) -> None:
        await SimSignal(self._machine).wait(ns)

    async def checkpoint(self) -> None:
        """Work takes no simulated time."""

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        self._machine.spawn(name, body)


class SimEntropy:
    """Chance from a seed: streams of a machine, one for each purpose, which go on over its boots."""

    def __init__(self, random_of: Callable[[str], Random], name: str = "") -> None:
        self._random_of = random_of
        self._random = random_of(name)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def stream(self, name: str) -> SimEntropy:
        return SimEntropy(self._random_of, name)


class SimTransport:
    """Requests over the simulated wire."""

    def __init__(self, machine: Computer) -> None:
        self._machine = machine

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        machine = self._machine
        waiter = Waiter(machine.world)
        machine.ask(url, request, waiter)
        timer = machine.world.now + machine.clock.to_true(timeout_ns)
        machine.world.at(timer, self._timeout, waiter)
        answer = await waiter.wait()
        if isinstance(answer, Response):
            if len(answer.body) > body_max:
                raise Unreachable("body_too_large", f"the answer has more than {body_max} bytes")
            return answer
        raise Unreachable(answer, f"{url}: {answer}")

    def _timeout(self, waiter: Waiter) -> None:
        self._machine.wake(waiter, value="timeout")
