"""A machine: one simulated computer with a clock, a disk, a network address and a node that boots on it.

Theory
------
What is simulated is the computer, not the node: the node is the deployed code, on a Context whose four ports end here.
A machine is in one of three states, and everything that reaches it depends on that state alone:

    off      before the first boot, and after a crash or when it left: who sends is refused, nobody waits
    up       requests go to the node, wake-ups go to its tasks
    paused   the process is not scheduled: the kernel takes up to `_BACKLOG_MAX` connections, the disk works on, and
             everything that came happens, in the order in which it came, when the machine is resumed

A boot makes a new node from what the disk holds; nothing else of the node before it is left. A crash is a power cut:
the disk decides what became of the batch that was on its way (`sim.world.disk`), the node and all its tasks are
cancelled, and nothing that was under way arrives anywhere.

Invariants:

1. What belongs to a life of the machine carries the number of its boot, and does nothing once that life is over
   (`_lives`). So no answer to a request, no batch and no wake-up of a former life reaches the node of the present one.
2. A commit is told to who watches at the instant at which it is durable, which is before the node knows. A crash from
   a hook of that instant is the case "durable, and nobody was told".
3. A paused machine keeps the order: while anything waits in its backlog, what comes new goes behind it.
4. Requests and answers cross the wire as bytes; only a client on the machine itself (`local`) hands over values, as a
   process does over its loopback.

Example: crash after commit number 7. A hook in `at_commit` is called with (7, False) when the batch is handed to the
disk, and with (7, True) when it is durable. The hook asks for `crash` as the next event of that instant, because the
node's own task is on the stack. The next boot loads seven batches; the client that waited was never answered.

Who does this to whom and when is decided by faults, through `sim.simulation.power`. Not here: the rules of the wire
(`sim.world.network`) and of wrong clocks (`sim.world.clocks`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple, Protocol

import trio

from sim.world.clocks import NodeClock
from sim.world.disk import Disk, Fate, SimJournal
from sim.world.ports import SimClock, SimEntropy, SimSignal, SimTransport
from sim.world.rpc import Reply, Wire, send_request
from sim.world.streams import MadeStream
from sim.world.world import Waiter, World
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response, StreamedResponse, decode_request, encode
from stigmem.node.callers import Principal
from stigmem.node.events import NodeEvents
from stigmem.node.node import Node
from stigmem.node.ports import Context
from stigmem.node.settings import NodeSettings

__all__ = ["OPERATOR", "CommitHook", "Hardware", "Machine", "MachineEvents"]

OPERATOR: Final = Principal(
    "system:operator", frozenset({"read", "write", "federate", "admin", "admin:federation", "audit.read"})
)
"""The person at the machine's own console."""

CommitHook = Callable[[int, bool], None]
"""Called with the number of a commit (from 1, over all boots) when it begins and, with True, when it is durable."""

_BACKLOG_MAX: Final = 1_024
"""Connections that a paused machine's kernel takes before it turns callers away, as listening sockets do."""


class MachineEvents(Protocol):
    """Who is told what machines do; implemented by the simulation."""

    def committed(self, machine: Machine, records: Sequence[Record], payload: bytes) -> None: ...

    def booted(self, machine: Machine) -> None: ...

    def stopped(self, machine: Machine, how: str, fate: str) -> None: ...

    def answered(self, machine: Machine, asker: str, request: Request, response: Response) -> None: ...

    def bug(self, error: Exception) -> None: ...


class _NodeEvents(NodeEvents):
    """What the node on a machine tells: only its bugs; commits and answers are seen where they cross disk and wire."""

    def __init__(self, events: MachineEvents) -> None:
        super().__init__()
        self._events = events

    def bug(self, error: Exception) -> None:
        super().bug(error)
        self._events.bug(error)


class Hardware(NamedTuple):
    """What a node runs on; it outlives the node."""

    clock: NodeClock
    disk: Disk
    entropy: Callable[[str], Random]
    """What the node's tokens and ids are drawn from, by purpose; the same generator whenever a purpose is named."""


class Machine:
    """One computer and the node on it."""

    def __init__(
        self, name: str, settings: NodeSettings, hardware: Hardware, wire: Wire, events: MachineEvents
    ) -> None:
        """Without power, until it boots. `settings` are those of every node that will run on it."""
        self.name = name
        self.url = settings.node_url
        self.world: World = wire.network.world
        self.clock, self.disk, self._entropy = hardware
        self.settings = settings
        self.node: Node | None = None
        self.up = False
        self.paused = False
        self.boots = 0
        self.commits = 0
        """Commits begun, over all boots."""
        self.at_commit: dict[object, CommitHook] = {}
        """Hooks, each under a key of whoever put it there."""
        self._wire = wire
        self._events = events
        self._backlog: deque[Callable[[], None]] = deque()
        self._nursery: trio.Nursery | None = None

    # --- power ---

    def boot(self, home: trio.Nursery) -> None:
        """Switch on: a new node from what the disk holds."""
        if not self.up:
            self.up = True
            self.boots += 1
            self.world.start_task(home, partial(self._life, self.boots), f"machine {self.name}")

    def _lives(self, boot: int) -> bool:
        """Whether this is still the life that began with the boot of that number."""
        return self.up and boot == self.boots

    async def _life(self, boot: int) -> None:
        if not self._lives(boot):
            return  # the power went before the first instruction
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            journal = SimJournal(
                self.world, self.disk, partial(self._durable, boot), begins=partial(self._begins, boot), wake=self.wake
            )
            context = Context(SimClock(self), SimEntropy(self._entropy), SimTransport(self), journal)
            node = Node(self.settings, context, _NodeEvents(self._events))
            await node.load()
            self.node = node
            node.start()
            self._events.booted(self)
            await trio.sleep(math.inf)

    def crash(self, fate: Fate | None = None) -> None:
        """Power cut: what was not synced has this fate or a drawn one; nothing that was on its way arrives."""
        self._stop("crash", fate)

    def leave(self) -> None:
        """Switch off for good."""
        self._stop("leave", None)

    def _stop(self, how: str, fate: Fate | None) -> None:
        if not self.up:
            return
        self.up = self.paused = False
        became = self.disk.crash(fate)
        self._backlog.clear()
        self.node = None
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            self._nursery = None
        self._events.stopped(self, how, became)

    def pause(self) -> None:
        """The process is not scheduled; the machine's kernel still takes connections, and its disk works on."""
        self.paused = self.up

    def resume(self) -> None:
        """Scheduled again: everything that came meanwhile happens now, in order."""
        if self.paused:
            self.paused = False
            self._catch_up(None)

    def _catch_up(self, _: object) -> None:
        # One a step, and what arrives meanwhile queues behind it: the order of arrival is kept, and a pause at
        # the same instant finds the rest still waiting.
        if self._backlog and not self.paused:
            action = self._backlog.popleft()
            if self._backlog:
                self.world.at(self.world.now, self._catch_up)
            action()

    @property
    def _waits(self) -> bool:
        return self.paused or bool(self._backlog)

    # --- what the ports use ---

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Start a task of the node."""
        if self._nursery is not None:
            self.world.start_actor(self._nursery, body, f"{self.name} {name}")

    def _bug(self, bug: Exception) -> None:
        if self.node is not None:
            self.node.events.bug(bug)

    def wake(self, waiter: Waiter, value: Any = None) -> bool:
        """Wake a task of this machine, later if it is paused; False when the task does not wait (any more)."""
        if self._waits and waiter.task is not None and not waiter.ready:
            waiter.ready = True
            waiter.value = value
            self._backlog.append(lambda: self.world.resume(waiter))
            return True
        return waiter.wake(value)

    def _begins(self, boot: int) -> None:
        if self._lives(boot):
            self.commits += 1
            for hook in list(self.at_commit.values()):
                hook(self.commits, False)

    def _durable(self, boot: int, records: Sequence[Record], payload: bytes) -> None:
        if self._lives(boot):
            self._events.committed(self, records, payload)
            for hook in list(self.at_commit.values()):
                hook(self.commits, True)

    def ask(self, url: str, request: Request, waiter: Waiter) -> None:
        """Send a request over the wire; the waiter gets a Response or the code of a failure."""
        boot = self.boots

        def arrived(value: Response | str) -> None:
            if self._lives(boot):
                self.wake(waiter, value)

        if not send_request(self._wire, self.name, url, request, arrived, self.wake):
            self.world.at(self.world.now, lambda _: arrived("no_such_host"))

    # --- what the wire and the people use ---

    @property
    def _has_node(self) -> bool:
        """Whether somebody is there to be asked."""
        return self.node is not None

    @property
    def _takes_more(self) -> bool:
        """Whether the machine takes one more request, now or when it is not paused any more."""
        return self.up and self._has_node and len(self._backlog) < _BACKLOG_MAX

    def receive(self, asker: str, data: bytes, reply: Reply, refuse: Callable[[], None]) -> None:
        """Bytes of a request came in."""
        if not self._takes_more:
            refuse()
        elif self._waits:
            self._backlog.append(lambda: self._serve(asker, data, reply, refuse))
        else:
            self._serve(asker, data, reply, refuse)

    def _serve(self, asker: str, data: bytes, reply: Reply, refuse: Callable[[], None]) -> None:
        try:
            request = decode_request(data)
        except ValueError:
            refuse()
            return
        boot = self.boots

        def answered(response: Response) -> None:
            if self._lives(boot):
                self._events.answered(self, asker, request, response)
                if isinstance(response, StreamedResponse):
                    lives = partial(self._lives, boot)
                    stream = MadeStream(self.world, response.chunks, SimSignal(self), lives, self._bug)
                    if self._nursery is not None:
                        self.world.start_task(self._nursery, stream.run, f"{self.name} stream")  # it has a scope
                    reply(encode(Response(response.status, response.headers)), stream)
                else:
                    reply(encode(response))

        if self.node is not None:
            if request.body:
                bound = self.node.admit_head(request)
                if len(request.body) > bound.bytes_max:
                    answered(bound.above)
                    return
            self.node.offer(request, answered)

    def local(self, request: Request, answer: Callable[[Response], None], principal: Principal | None = None) -> bool:
        """A request from a client on the machine itself; False when there is no node to take it."""
        if not self._takes_more:
            return False
        boot = self.boots

        def answered(response: Response) -> None:
            if self._lives(boot):
                answer(response)

        if self._waits:
            self._backlog.append(lambda: self._offer(request, answered, principal))
        else:
            self._offer(request, answered, principal)
        return True

    def console(self, request: Request, answer: Callable[[Response], None]) -> bool:
        """The operator does something at the machine's own console; False when there is no node to do it to."""
        return self.local(request, answer, OPERATOR)

    def _offer(self, request: Request, answered: Callable[[Response], None], principal: Principal | None) -> None:
        if self.node is not None:
            self.node.offer(request, answered, principal)
