"""A machine: one simulated computer with a clock, a disk, a network address and a node that boots on it.

Crash, restart, pause, resume and wipe happen here. A machine is off before its first boot and after a crash;
what reaches it then is refused. Who does this to whom and when is decided by faults.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from sim.clocks import NodeClock
from sim.context import SimClock, SimEntropy, SimTransport
from sim.disk import Disk, SimJournal
from sim.post import Host, post
from sim.world import Waiter, World
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response, decode_request, encode
from stigmem.node.context import Context
from stigmem.node.node import Node
from stigmem.node.principals import Principal
from stigmem.node.settings import NodeSettings

if TYPE_CHECKING:
    from sim.network import Network

__all__ = ["OPERATOR", "Machine", "Watch"]

OPERATOR: Final = Principal(
    "system:operator", frozenset({"read", "write", "federate", "admin", "admin:federation", "audit.read"})
)
"""The person at the machine's own console."""


class Watch(Protocol):
    """Who is told what machines do; implemented by the laboratory."""

    def committed(self, machine: Machine, records: Sequence[Record], payload: bytes) -> None: ...

    def booted(self, machine: Machine) -> None: ...

    def stopped(self, machine: Machine, how: str, fate: str) -> None: ...

    def answered(self, machine: Machine, asker: str, request: Request, response: Response) -> None: ...


class Machine:
    """One computer and the node on it."""

    def __init__(
        self,
        name: str,
        world: World,
        network: Network,
        directory: dict[str, Host],
        settings: NodeSettings,
        clock: NodeClock,
        disk: Disk,
        random: Random,
        watch: Watch,
    ) -> None:
        self.name = name
        self.url = settings.node_url
        self.world = world
        self.clock = clock
        self.disk = disk
        self.settings = settings
        self.node: Node | None = None
        self.up = False
        self.paused = False
        self.boots = 0
        self._network = network
        self._directory = directory
        self._random = random
        self._watch = watch
        self._backlog: list[Callable[[], None]] = []
        self._nursery: trio.Nursery | None = None

    # --- power ---

    def boot(self, home: trio.Nursery) -> None:
        """Switch on: a new node from what the disk holds."""
        if not self.up:
            self.up = True
            self.boots += 1
            self.world.start_task(home, self._life, f"machine {self.name}")

    async def _life(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            context = Context(
                SimClock(self),
                SimEntropy(self._random),
                SimTransport(self),
                SimJournal(self.world, self.disk, self._durable(self.boots)),
            )
            node = Node(self.settings, context)
            await node.load()
            self.node = node
            node.start()
            self._watch.booted(self)
            await trio.sleep(math.inf)

    def crash(self) -> None:
        """Power cut: what was not synced may be lost, nothing that was on its way arrives."""
        self._stop("crash")

    def leave(self) -> None:
        """Switch off for good."""
        self._stop("leave")

    def _stop(self, how: str) -> None:
        if not self.up:
            return
        self.up = self.paused = False
        fate = self.disk.crash()
        self._backlog.clear()
        self.node = None
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            self._nursery = None
        self._watch.stopped(self, how, fate)

    def pause(self) -> None:
        """The process is not scheduled; the machine's kernel still takes connections."""
        self.paused = self.up

    def resume(self) -> None:
        """Scheduled again: everything that came meanwhile happens now, in order."""
        if self.paused:
            self.paused = False
            backlog, self._backlog = self._backlog, []
            for action in backlog:
                self.world.at(self.world.now, _call, action)

    # --- what the seams use ---

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Start a task of the node."""
        if self._nursery is not None:
            self.world.start_task(self._nursery, body, f"{self.name} {name}")

    def wake(self, waiter: Waiter, *, value: Any) -> bool:
        """Wake a task of this machine, later if it is paused."""
        if self.paused and waiter.task is not None and not waiter.ready:
            waiter.ready = True
            waiter.value = value
            self._backlog.append(lambda: self.world.resume(waiter))
            return True
        return waiter.wake(value)

    def _durable(self, boot: int) -> Callable[[Sequence[Record], bytes], None]:
        def observe(records: Sequence[Record], payload: bytes) -> None:
            if self.up and boot == self.boots:
                self._watch.committed(self, records, payload)

        return observe

    def ask(self, url: str, request: Request, waiter: Waiter) -> None:
        """Send a request over the wire; the waiter gets a Response or the code of a failure."""
        boot = self.boots

        def arrived(value: Response | str) -> None:
            if self.up and boot == self.boots:
                self.wake(waiter, value=value)

        if not post(self._network, self._directory, self.name, url, request, arrived):
            self.world.at(self.world.now, lambda _: self.wake(waiter, value="no_such_host"))

    # --- what the wire and the people use ---

    def receive(self, asker: str, data: bytes, reply: Callable[[bytes], None], refuse: Callable[[], None]) -> None:
        """Bytes of a request came in."""
        if not self.up or self.node is None:
            refuse()
        elif self.paused:
            self._backlog.append(lambda: self.receive(asker, data, reply, refuse))
        else:
            try:
                request = decode_request(data)
            except ValueError:
                refuse()
                return
            boot = self.boots

            def answered(response: Response) -> None:
                if self.up and boot == self.boots:
                    self._watch.answered(self, asker, request, response)
                    reply(encode(response))

            self.node.offer(request, answered)

    def local(self, request: Request, answer: Callable[[Response], None], principal: Principal | None = None) -> bool:
        """A request from a client on the machine itself; False when there is no node to take it."""
        if not self.up or self.node is None:
            return False
        if self.paused:
            self._backlog.append(lambda: self._local_later(request, answer, principal))
            return True
        boot = self.boots

        def answered(response: Response) -> None:
            if self.up and boot == self.boots:
                answer(response)

        self.node.offer(request, answered, principal)
        return True

    def _local_later(
        self, request: Request, answer: Callable[[Response], None], principal: Principal | None
    ) -> None:
        self.local(request, answer, principal)


def _call(action: Callable[[], None]) -> None:
    action()
