"""Nodes on a clock that a script moves, with a wire between them, and a record of all that they said and stored.

All that the comparison needs of the inside of `stigmem` is imported here; when a name there moves, only this module
changes. Everything that happens is an event of one queue, handled one at a time: whoever waits (for a signal, a
timer, the disk or an answer) is woken by an event, and the next one is taken when nobody can go on. So no two tasks
can ever run at once, and what is recorded is the same in every process.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from typing import Any, Protocol

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked

from stigmem.core.audit import AuditRow
from stigmem.core.declaration import declare
from stigmem.core.keys import ED25519, fingerprint
from stigmem.core.records import Record, decode_record, encode_record
from stigmem.core.timestamps import format_us
from stigmem.core.token import mint
from stigmem.core.wire import Request, Response
from stigmem.node.callers import PERMISSIONS, Principal
from stigmem.node.node import Node
from stigmem.node.ports import Context, JournalFull, Unreachable
from stigmem.node.settings import NodeSettings

__all__ = ["Machine", "Request", "Response", "World", "operator"]

START_MS = 1_795_161_344_000
_EVENTS_MAX = 100_000


def operator() -> Principal:
    """A caller with every permission, authenticated by the carrier."""
    return Principal("user:operator", frozenset(PERMISSIONS), key_id="operator")


class Listener(Protocol):
    """Who is told what passes on the wire and what a journal takes in."""

    def exchanged(self, source: str, url: str, request: Request, answer: Response | str) -> None: ...

    def stored(self, machine: str, kind: str, row: bytes) -> None: ...


class World:
    """The queue of events, the clock, and every machine by its address."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.now_ns = 0
        self.machines: dict[str, Machine] = {}
        self.edits: dict[tuple[str, str], Callable[[Response], Response]] = {}
        """(asker, address and path) -> what a hand on the wire makes of the answer."""
        self._ready: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0

    def soon(self, act: Callable[[], object]) -> None:
        self._ready.append(act)

    def after(self, ns: int, act: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (self.now_ns + max(ns, 0), self._count, act))

    async def rest(self) -> None:
        """Handle events until none is left for this instant."""
        await wait_all_tasks_blocked()
        for _ in range(_EVENTS_MAX):
            if not self._ready:
                return
            self._ready.popleft()()
            await wait_all_tasks_blocked()
        raise AssertionError(
            f"{_EVENTS_MAX} events and no rest: the nodes keep one another busy without any time passing"
        )

    async def advance(self, seconds: float) -> None:
        """Let time pass, timer after timer."""
        end = self.now_ns + int(seconds * 1e9)
        await self.rest()
        while self._timers and self._timers[0][0] <= end:
            self.now_ns, _, act = heapq.heappop(self._timers)
            act()
            await self.rest()
        self.now_ns = end


class _Signal:
    """A wake-up for one waiter; a set before the wait is kept."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_set = False
        self._waiter: trio.Event | None = None

    def set(self) -> None:
        self._is_set = True
        if self._waiter is not None:
            self._world.soon(self._waiter.set)

    async def wait(self, timeout_ns: int | None = None) -> bool:
        if not self._is_set:
            self._waiter = waiter = trio.Event()
            if timeout_ns is not None:
                self._world.after(timeout_ns, waiter.set)
            await waiter.wait()
            self._waiter = None
        found, self._is_set = self._is_set, False
        return found


class _Clock:
    def __init__(self, machine: Machine, nursery: trio.Nursery) -> None:
        self._machine = machine
        self._nursery = nursery

    def wall_ns(self) -> int:
        return self._machine.wall_ms * 1_000_000

    def monotonic_ns(self) -> int:
        return self._machine.world.now_ns

    def signal(self) -> _Signal:
        return _Signal(self._machine.world)

    async def sleep(self, ns: int) -> None:
        await _Signal(self._machine.world).wait(ns)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        def begin() -> None:
            if not self._nursery.cancel_scope.cancel_called:
                self._nursery.start_soon(body, name=name)

        self._machine.world.soon(begin)


class _Entropy:
    def __init__(self, seed: str) -> None:
        self._random = Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)


class _Transport:
    """The wire: no delay, a hand on it if the script put one there, silence where nobody lives."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        world, asker = self._machine.world, self._machine.name
        found: list[Response] = []
        target = world.machines.get(url)
        if target is not None and target.node is not None:
            waiter = trio.Event()

            def take(response: Response) -> None:
                found.append(response)
                world.soon(waiter.set)

            sent = Request(request.method, request.target, dict(request.headers), request.body)
            world.soon(lambda: target.offer(sent, take))
            world.after(timeout_ns, waiter.set)
            await waiter.wait()
        code = "no_such_host" if target is None else "timeout"
        if found:
            edit = world.edits.get((asker, url + request.target.partition("?")[0]))
            answer = edit(found[0]) if edit is not None else found[0]
            world.listener.exchanged(asker, url, request, answer)
            if len(answer.body) <= body_max:
                return answer
            code = "body_too_large"
        world.listener.exchanged(asker, url, request, code)
        raise Unreachable(code, f"{url}: {code}")


class _Journal:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def commit(self, records: Sequence[Record]) -> None:
        machine = self._machine
        written = trio.Event()
        machine.world.soon(written.set)
        await written.wait()
        if machine.disk_full:
            raise JournalFull("disk_full", "no space is left on the device")
        for record in records:
            row = encode_record(record)
            machine.rows.append(row)
            machine.world.listener.stored(machine.name, str(msgspec.msgpack.decode(row)[0]), row)
        if machine.stops_after_commit:
            await trio.sleep_forever()

    async def load(self) -> AsyncIterator[Sequence[Record]]:
        yield [decode_record(row) for row in self._machine.rows]

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        records = (decode_record(row) for row in self._machine.rows)
        rows = [record for record in records if isinstance(record, AuditRow)]
        if newest_first:
            return [row for row in reversed(rows) if not after or row.seq < after][:limit]
        return [row for row in rows if row.seq > after][:limit]


class Machine:
    """A disk with rows on it, a wall clock, and a node while it is on."""

    def __init__(self, world: World, nursery: trio.Nursery, name: str, number: int, **settings: Any) -> None:
        self.world = world
        self.name = name
        self.url = f"http://{name}.example"
        self.rows: list[bytes] = []
        self.disk_full = False
        self.stops_after_commit = False
        self.offset_ms = 0
        self.node: Node | None = None
        self._boots = 0
        self._tokens = 0
        self._nursery = nursery
        self._life: trio.CancelScope | None = None
        self._settings = NodeSettings(**({"seed": bytes([number]) * 32, "node_url": self.url} | settings))
        self._signer = ED25519.signer(self._settings.seed)
        world.machines[self.url] = self

    @property
    def wall_ms(self) -> int:
        return START_MS + self.offset_ms + self.world.now_ns // 1_000_000

    @property
    def node_id(self) -> str:
        assert self.node is not None
        return self.node.node_id

    @property
    def fingerprint(self) -> str:
        return fingerprint(self._signer.public_key)

    def offer(self, request: Request, take: Callable[[Response], None], principal: Principal | None = None) -> None:
        if self.node is not None:
            self.node.offer(request, take, principal)

    async def ask(self, request: Request, principal: Principal | None = None) -> list[Response]:
        """The answer to a request once everybody rests, or nothing when it is held or lost."""
        found: list[Response] = []
        self.offer(request, found.append, principal)
        await self.world.rest()
        return found

    async def power_on(self) -> None:
        """Start a node on what the disk holds."""
        self._boots += 1
        self.stops_after_commit = False
        ready = trio.Event()
        self._nursery.start_soon(self._live, ready)
        await ready.wait()
        await self.world.rest()

    async def _live(self, ready: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            self._life = nursery.cancel_scope
            entropy = _Entropy(f"{self.name}/{self._boots}")
            context = Context(_Clock(self, nursery), entropy, _Transport(self), _Journal(self))
            node = Node(self._settings, context)
            await node.load()
            node.start()
            self.node = node
            ready.set()
            await trio.sleep_forever()

    async def power_off(self) -> None:
        """Cut the power: what is not on the disk is gone."""
        self.node = None
        assert self._life is not None
        self._life.cancel()
        await self.world.rest()

    def declaration(self, *scopes: str) -> bytes:
        """This node's signed wish to be a peer."""
        made = declare(
            self._signer, node_id=self.node_id, node_url=self.url, scopes=scopes,
            signed_at=format_us(self.wall_ms * 1_000),
        )  # fmt: skip
        return msgspec.json.encode(made)

    def token(self, audience: Machine, *scopes: str, nonce: str = "") -> str:
        """A token with which this node's key asks another node."""
        self._tokens += 1
        return mint(
            self._signer, issuer=self.node_id, audience=audience.node_id, scopes=scopes,
            nonce=nonce or f"{self.name}/{self._tokens}", now_ms=self.wall_ms,
        )  # fmt: skip
