"""Nodes on a clock that a script moves, with a wire between them, and a record of all that they said and stored.

All that the comparison needs of the inside of `stigmem` is imported here; when a name there moves, only this module
changes. The clock is that of `stigmem.testing`: one wake-up at a time, so that what is recorded is the same in every
process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import trio

from stigmem.core.declaration import declare
from stigmem.core.keys import ED25519, fingerprint
from stigmem.core.records import Record, decode_record, encode_record
from stigmem.core.timestamps import format_us
from stigmem.core.token import mint
from stigmem.core.wire import Request, Response
from stigmem.node.api.api_keys import Principal
from stigmem.node.node import Node
from stigmem.node.ports import Unreachable
from stigmem.node.settings import NodeSettings
from stigmem.testing import OPERATOR, ManualClock, MemoryJournal, ScriptedTransport, running_node

__all__ = ["OPERATOR", "Machine", "Request", "Response", "World"]


class Listener(Protocol):
    """Who is told what passes on the wire and what a journal takes in."""

    def exchanged(self, source: str, url: str, request: Request, answer: Response | str) -> None: ...

    def stored(self, machine: str, kind: str, row: bytes) -> None: ...


class World:
    """The queue of events, the clock, and every machine by its address."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.clock = ManualClock()
        self.machines: dict[str, Machine] = {}
        self.edits: dict[tuple[str, str], Callable[[Response], Response]] = {}
        """(asker, address and path) -> what a hand on the wire makes of the answer."""

    def soon(self, act: Callable[[], object]) -> None:
        self.clock.wake_ups.soon(act)

    def after(self, ns: int, act: Callable[[], object]) -> None:
        self.clock.wake_ups.after(ns, act)

    async def rest(self) -> None:
        """Let happen what can happen at this instant."""
        await self.clock.settle()

    async def advance(self, seconds: float) -> None:
        """Let time pass, timer after timer."""
        await self.clock.advance(seconds)


class _Transport(ScriptedTransport):
    """The wire: no delay, a hand on it if the script put one there, silence where nobody lives."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
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


class _Journal(MemoryJournal):
    """A journal whose rows are recorded as the bytes that they are on a disk. A commit is a wake-up of its own."""

    def __init__(self, machine: Machine) -> None:
        super().__init__([decode_record(row) for row in machine.rows])
        self._machine = machine

    async def commit(self, records: Sequence[Record]) -> None:
        machine = self._machine
        written = trio.Event()
        machine.world.soon(written.set)
        await written.wait()
        self.full, self.hangs_after_commit = machine.disk_full, machine.stops_after_commit
        if not self.full:
            for record in records:
                row = encode_record(record)
                machine.rows.append(row)
                machine.world.listener.stored(machine.name, str(msgspec.msgpack.decode(row)[0]), row)
        await super().commit(records)


class Machine:
    """A disk with rows on it, a wall clock, and a node while it is on."""

    def __init__(self, world: World, nursery: trio.Nursery, name: str, number: int, **settings: Any) -> None:
        self.world = world
        self.name = name
        self.url = f"http://{name}.example"
        self.rows: list[bytes] = []
        self.disk_full = False
        self.stops_after_commit = False
        self.node: Node | None = None
        self._clock = world.clock.skewed(0)
        self._boots = 0
        self._tokens = 0
        self._nursery = nursery
        self._plug = self._ended = trio.Event()
        self._settings = NodeSettings(**({"seed": bytes([number]) * 32, "node_url": self.url} | settings))
        self._signer = ED25519.signer(self._settings.seed)
        world.machines[self.url] = self

    @property
    def wall_ms(self) -> int:
        return self._clock.wall_ms

    @property
    def offset_ms(self) -> int:
        """How wrong the wall clock is, in milliseconds."""
        return self._clock.wall_ms - self.world.clock.wall_ms

    @offset_ms.setter
    def offset_ms(self, value: int) -> None:
        later_ms = value - self.offset_ms
        if later_ms > 0:  # as if it had slept: a clock that is set ahead is not believed
            self._clock.suspended(later_ms)
        else:
            self._clock.wall_ms += later_ms

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
        self._plug, self._ended = trio.Event(), trio.Event()
        await self._nursery.start(self._live)
        await self.world.rest()

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        parts = {"clock": self._clock, "journal": _Journal(self), "transport": _Transport(self)}
        async with running_node(self._settings, seed=f"{self.name}/{self._boots}", **parts) as running:
            self.node = running.node
            task_status.started()
            await self._plug.wait()
        self._ended.set()

    async def power_off(self) -> None:
        """Cut the power: what is not on the disk is gone."""
        self.node = None
        self._plug.set()
        await self._ended.wait()
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
