"""What a test of a program with a node in it needs: time that the test moves, a journal in memory, scripted peers.

Everything here fills one of the four ports of a node (`Context`), and the node above them is the one that is
deployed: there is no test mode in it. Nothing sleeps in real time, and what happens is the same in every run.

    import json

    from stigmem import NodeSettings, Request
    from stigmem.testing import MemoryJournal, running_node

    SETTINGS = NodeSettings(seed=bytes(32), auth_required=False)
    FACT = {"entity": "device:pump-7", "relation": "maint:status", "source": "agent:me", "scope": "public",
            "value": {"type": "string", "v": "running"}, "valid_until": "2026-11-20T08:00:00Z"}

    async def test_a_fact_survives_a_power_cut_and_ends_in_its_time() -> None:
        journal = MemoryJournal()
        async with running_node(SETTINGS, journal=journal) as node:
            written = await node.ask(Request("POST", "/v1/facts", {}, json.dumps(FACT).encode()))
            assert written.status == 201
        async with running_node(SETTINGS, journal=journal) as node:
            found = await node.ask(Request("GET", "/v1/facts"))
            assert len(json.loads(found.body)["facts"]) == 1
            await node.clock.advance(3_600)
            found = await node.ask(Request("GET", "/v1/facts"))
            assert json.loads(found.body)["facts"] == []

How it works. Whatever wakes a waiting task (a signal, a timer, an answer of a peer, a task that was spawned) is put
into one queue, and the next one is taken only when no task can go on. So two tasks of a node are never ready to run
at the same time, and the order of everything is that in which it was asked for, also across several nodes that share
a clock. Timers stand in the same queue with the instant at which they ring; `ManualClock.advance` takes them in order.

Rules.

1. Time stands still unless `advance` is awaited. `ask`, `settle` and whatever else is awaited here take no time.
2. Leaving `running_node` is a power cut: tasks are cancelled where they wait, and only what the journal took in is
   left. A node that met a bug of its own fails the test when the block is left.
3. A clock may be shared by several nodes, a transport and a journal belong to one node at a time.

What is not here: a network with loss and delay, disks that fail and seeds; that is what `sim` is for.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

import trio
from trio.testing import wait_all_tasks_blocked

from stigmem.core.audit import AuditRow
from stigmem.core.records import Record, audit_rows, compacted
from stigmem.core.wire import Request, Response
from stigmem.node.callers import PERMISSIONS, Principal
from stigmem.node.node import Node
from stigmem.node.ports import Context, JournalFull, Meaning, Unreachable
from stigmem.node.settings import NodeSettings

__all__ = [
    "OPERATOR", "ManualClock", "MemoryJournal", "Pending", "RunningNode", "ScriptedTransport", "WakeUps",
    "running_node",
]  # fmt: skip

START_MS: Final = 1_795_161_344_000
"""2026-11-20T07:55:44Z, where clocks stand unless told otherwise."""
OPERATOR: Final = Principal("user:operator", frozenset(PERMISSIONS), key_id="operator")
"""A caller with every permission, for `ask`: as if the carrier had authenticated it."""
_WAKE_UPS_MAX: Final = 1_000_000
"""More than this many wake-ups at one instant are a circle of tasks that wake one another."""


class WakeUps:
    """Wake-ups that are due, and timers: what nodes share whose tests share a clock."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._ready: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self._filled = trio.Event()
        self._turn = trio.Lock()

    def soon(self, act: Callable[[], object]) -> None:
        self._ready.append(act)
        self._filled.set()

    def after(self, ns: int, act: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (self.now_ns + max(ns, 0), self._count, act))

    async def settle(self) -> None:
        """Take wake-ups one by one until no task can go on."""
        async with self._turn:
            await wait_all_tasks_blocked()
            for _ in range(_WAKE_UPS_MAX):
                if not self._ready:
                    return
                self._ready.popleft()()
                await wait_all_tasks_blocked()
        raise RuntimeError(f"{_WAKE_UPS_MAX} wake-ups and no time has passed: these tasks wake one another for ever")

    async def advance(self, ns: int) -> None:
        end_ns = self.now_ns + ns
        await self.settle()
        while self._timers and self._timers[0][0] <= end_ns:
            at_ns, _, act = heapq.heappop(self._timers)
            self.now_ns = max(self.now_ns, at_ns)
            act()
            await self.settle()
        self.now_ns = end_ns

    async def run(self) -> None:
        """Settle whenever something is due, so that a test may simply wait for what it wants to see."""
        while True:
            await self._filled.wait()
            self._filled = trio.Event()
            await self.settle()


class ManualClock:
    """A clock that stands still until the test moves it. May be shared by nodes; each may see another wall time."""

    def __init__(self, wall_ms: int = START_MS, *, shared: WakeUps | None = None) -> None:
        """`wall_ms`: what the wall clock shows now, milliseconds since 1970. `shared`: see `skewed`."""
        self.wake_ups = WakeUps() if shared is None else shared
        self._wall_ms = wall_ms - self.wake_ups.now_ns // 1_000_000
        self._suspended_ms = 0

    def skewed(self, ms: int) -> ManualClock:
        """A clock that moves with this one and whose wall time is `ms` milliseconds ahead of it (behind, if negative),
        for a node whose clock is wrong."""
        return ManualClock(self.wall_ms + ms, shared=self.wake_ups)

    @property
    def monotonic_ns(self) -> int:
        """Nanoseconds that have passed since the clock was made."""
        return self.wake_ups.now_ns

    @property
    def wall_ms(self) -> int:
        """What the wall clock shows, milliseconds since 1970. Setting it is what an operator does who sets the clock:
        no time passes, no timer rings."""
        return self._wall_ms + self.wake_ups.now_ns // 1_000_000

    @wall_ms.setter
    def wall_ms(self, value: int) -> None:
        self._wall_ms = value - self.wake_ups.now_ns // 1_000_000

    @property
    def elapsed_ns(self) -> int:
        """As `monotonic_ns`, with the time that passed while the machine was suspended."""
        return self.wake_ups.now_ns + self._suspended_ms * 1_000_000

    def suspended(self, ms: int) -> None:
        """The machine was suspended for so many milliseconds: the wall clock and `elapsed_ns` went on, nothing rang."""
        self._wall_ms += ms
        self._suspended_ms += ms

    async def advance(self, seconds: float) -> None:
        """Let time pass: every timer that falls due rings at its own instant, and all that follows from it happens
        before the next one does."""
        await self.wake_ups.advance(round(seconds * 1e9))

    async def settle(self) -> None:
        """Let happen all that can happen without any time passing."""
        await self.wake_ups.settle()


class MemoryJournal:
    """A journal that lasts as long as this object: give it to the next `running_node` and the node is back."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self.records = list(records)
        """What is durable, in order. A test may add to it while no node runs on it."""
        self.full = False
        """While it is set commits are refused as by a full disk, and nothing of them is kept."""
        self.compacts = True
        """Whether `compact` drops what was erased; without it every record stays as it came."""
        self.hangs_after_commit = False
        """While it is set a commit is durable and the node never hears of it: what a power cut between commit and
        answer looks like. Leave `running_node` and start again."""

    @property
    def audit_rows(self) -> list[AuditRow]:
        """The audit log, oldest row first."""
        return audit_rows(self.records)

    async def commit(self, records: Sequence[Record]) -> None:
        await trio.lowlevel.checkpoint()
        if self.full:
            raise JournalFull("disk_full", "no space is left on the device")
        self.records.extend(records)
        if self.hangs_after_commit:
            await trio.sleep_forever()

    async def load(self) -> AsyncIterator[Sequence[Record]]:
        yield list(self.records)

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        rows = self.audit_rows
        if newest_first:
            return [row for row in reversed(rows) if not after or row.seq < after][:limit]
        return [row for row in rows if row.seq > after][:limit]

    async def compact(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.compacts:
            (self.records,) = compacted([self.records])


Script = Callable[[Request], Response | None]
"""What a peer answers to a request; None is silence."""


class ScriptedTransport:
    """What other nodes answer when this one asks them: a table, a function, or another node of the test.

    A request goes to the entry of its address and path, else to that of its address, else nobody lives there.
    """

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Response | Script] = {}
        """(address, path without the query) -> answer."""
        self.nodes: dict[str, RunningNode] = {}
        """Address -> node of the same test. It must share the clock of the node that asks."""
        self.asked: list[tuple[str, Request]] = []
        """Every request that was sent, with the address it went to."""
        self._wake_ups: WakeUps | None = None

    def bind(self, wake_ups: WakeUps) -> None:
        """Answer a node whose clock these wake-ups are; `running_node` does it."""
        self._wake_ups = wake_ups

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        self.asked.append((url, request))
        path = request.target.partition("?")[0]
        scripted, node = self.answers.get((url, path)), self.nodes.get(url)
        if scripted is None and node is None:
            raise Unreachable("no_such_host", f"{url}: no_such_host")
        if isinstance(scripted, Response):
            answer: Response | None = scripted
        elif scripted is not None:
            answer = scripted(request)
        else:
            answer = None
        if answer is None:
            answer = await self._wait(None if scripted is not None else node, request, timeout_ns)
        if answer is None:
            raise Unreachable("timeout", f"{url}: timeout")
        if len(answer.body) > body_max:
            raise Unreachable("body_too_large", f"the answer has more than {body_max} bytes")
        return answer

    async def _wait(self, node: RunningNode | None, request: Request, timeout_ns: int) -> Response | None:
        """The answer of a node, or None when the time is up; of nobody, when none is given."""
        wake_ups = self._wake_ups
        if wake_ups is None:
            raise RuntimeError("this transport belongs to no running node")
        done = trio.Event()
        found: list[Response] = []

        def take(response: Response) -> None:
            found.append(response)
            wake_ups.soon(done.set)

        wake_ups.after(timeout_ns, done.set)
        if node is not None and node.is_on:
            copy = Request(request.method, request.target, dict(request.headers), request.body)
            wake_ups.soon(lambda: node.node.offer(copy, take))
        await done.wait()
        return found[0] if found else None


class _Signal:
    """A wake-up for one waiter; one that was set before the wait is not lost."""

    def __init__(self, wake_ups: WakeUps) -> None:
        self._wake_ups = wake_ups
        self._is_set = False
        self._waiter: trio.Event | None = None

    def set(self) -> None:
        self._is_set = True
        if self._waiter is not None:
            self._wake_ups.soon(self._waiter.set)

    async def wait(self, timeout_ns: int | None = None) -> bool:
        if not self._is_set:
            self._waiter = waiter = trio.Event()
            if timeout_ns is not None:
                self._wake_ups.after(timeout_ns, waiter.set)
            await waiter.wait()
            self._waiter = None
        found, self._is_set = self._is_set, False
        return found


class _NodeClock:
    """The clock of one running node: the test's clock, and the nursery in which the node's tasks live."""

    def __init__(self, clock: ManualClock, nursery: trio.Nursery) -> None:
        self._clock = clock
        self._wake_ups = clock.wake_ups
        self._nursery = nursery

    def wall_ns(self) -> int:
        return self._clock.wall_ms * 1_000_000

    def monotonic_ns(self) -> int:
        return self._wake_ups.now_ns

    def elapsed_ns(self) -> int:
        return self._clock.elapsed_ns

    def signal(self) -> _Signal:
        return _Signal(self._wake_ups)

    async def sleep(self, ns: int) -> None:
        await _Signal(self._wake_ups).wait(ns)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        def begin() -> None:
            if not self._nursery.cancel_scope.cancel_called:
                self._nursery.start_soon(body, name=name)

        self._wake_ups.soon(begin)


class _Entropy:
    """Bytes that look like chance and are the same in every run."""

    def __init__(self, seed: int | str) -> None:
        self._seed = seed
        self._random = Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def stream(self, name: str) -> _Entropy:
        return _Entropy(f"{self._seed} {name}")


@dataclass(slots=True)
class Pending:
    """A request under way; `response` is None until the node answers."""

    response: Response | None = None


class RunningNode:
    """A node that runs, with what fills its ports."""

    def __init__(self, node: Node, clock: ManualClock, journal: MemoryJournal, transport: ScriptedTransport) -> None:
        self.node = node
        self.clock = clock
        self.journal = journal
        self.transport = transport
        self.is_on = True

    def begin(self, request: Request, principal: Principal | None = None) -> Pending:
        """Send a request whose answer may take its time, as that of a pull that waits for news. Raises RuntimeError
        when the block of the node is left, and TypeError for a body that is no bytes."""
        if not self.is_on:
            raise RuntimeError("this node is off: its `running_node` block has been left")
        if not isinstance(request.body, bytes):
            raise TypeError(
                f"the body of a Request is bytes, not {type(request.body).__name__}: json.dumps(...).encode()"
            )
        pending = Pending()

        def take(response: Response) -> None:
            pending.response = response

        self.node.offer(request, take, principal)
        return pending

    async def ask(self, request: Request, principal: Principal | None = None) -> Response:
        """The node's answer to a request, once everything that follows from it has happened.

        `principal`: a caller whom the carrier has authenticated, as OPERATOR; without one the request's own headers
        count. Raises AssertionError when no answer came without time passing: use `begin` for such a request.
        """
        pending = self.begin(request, principal)
        await self.clock.settle()
        if pending.response is None:
            raise AssertionError(f"{request.method} {request.target} waits for time to pass: use begin and advance")
        return pending.response


@asynccontextmanager
async def running_node(
    settings: NodeSettings,
    *,
    clock: ManualClock | None = None,
    journal: MemoryJournal | None = None,
    transport: ScriptedTransport | None = None,
    meaning: Meaning | None = None,
    seed: int | str = 1,
) -> AsyncIterator[RunningNode]:
    """A node with what its journal holds, until the block ends as by a power cut.

    Whatever is not given is made new; without `meaning` recall goes by words. `seed`: of the bytes that the node takes
    for chance. Raises JournalCorrupt when the journal cannot be read, and at the end the first bug of its own that the
    node met.
    """
    if not isinstance(settings, NodeSettings):
        raise TypeError(f"running_node takes a NodeSettings, not {type(settings).__name__}")
    clock = ManualClock() if clock is None else clock
    journal = MemoryJournal() if journal is None else journal
    transport = ScriptedTransport() if transport is None else transport
    transport.bind(clock.wake_ups)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.wake_ups.run)
        context = Context(_NodeClock(clock, nursery), _Entropy(seed), transport, journal, meaning=meaning)
        node = Node(settings, context)
        await node.load()
        node.start()
        running = RunningNode(node, clock, journal, transport)
        await clock.settle()
        try:
            yield running
        except Exception as error:  # raised below as itself, not in the group that a nursery makes of it
            failure = error
        finally:
            running.is_on = False
            nursery.cancel_scope.cancel()
    for each in (failure, *node.bugs):
        if each is not None:
            raise each
