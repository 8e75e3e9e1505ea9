"""A Context that holds still: a clock that tests set, a journal in memory, peers that answer from a table.

For tests of one node without a world around it. Timers never ring here; what needs them is tested in the
laboratory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio

from stigmem.core.audit import AuditRow
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response
from stigmem.node.api.api_keys import Principal
from stigmem.node.node import Node
from stigmem.node.ports import Context, Unreachable
from stigmem.node.settings import NodeSettings

__all__ = ["Bench", "running"]


class _Signal:
    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout_ns: int | None = None) -> bool:
        await self._event.wait()
        self._event = trio.Event()
        return True


class _Clock:
    def __init__(self, bench: Bench, nursery: trio.Nursery) -> None:
        self._bench = bench
        self._nursery = nursery

    def wall_ns(self) -> int:
        return self._bench.wall_ms * 1_000_000

    def monotonic_ns(self) -> int:
        return self._bench.monotonic_ms * 1_000_000

    def signal(self) -> _Signal:
        return _Signal()

    async def sleep(self, ns: int) -> None:
        await trio.sleep_forever()

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(body, name=name)


class _Entropy:
    def __init__(self) -> None:
        self._random = Random(1)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)


class _Transport:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        answer = self._bench.answers.get((url, request.target.partition("?")[0]))
        if answer is None:
            raise Unreachable("no_such_host", f"{url}: no_such_host")
        return answer


class _Journal:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def commit(self, records: Sequence[Record]) -> None:
        await trio.lowlevel.checkpoint()
        self._bench.records.extend(records)

    async def load(self) -> AsyncIterator[Sequence[Record]]:
        yield list(self._bench.records)

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        rows = self._bench.audit_rows
        if newest_first:
            return [row for row in reversed(rows) if not after or row.seq < after][:limit]
        return [row for row in rows if row.seq > after][:limit]


class Bench:
    """One node on the bench: `wall_ms` and `monotonic_ms` are its clocks, `records` its journal, `answers` what
    (url, path) gives when the node asks somebody."""

    def __init__(self, wall_ms: int) -> None:
        self.wall_ms = wall_ms
        self.monotonic_ms = 0
        self.records: list[Record] = []
        self.answers: dict[tuple[str, str], Response] = {}
        self.node: Node

    @property
    def audit_rows(self) -> list[AuditRow]:
        return [record for record in self.records if isinstance(record, AuditRow)]

    async def ask(self, request: Request, principal: Principal | None = None) -> Response:
        """The node's answer to a request, of somebody whom the carrier has authenticated if a principal is given."""
        answered = trio.Event()
        found: list[Response] = []

        def take(response: Response) -> None:
            found.append(response)
            answered.set()

        self.node.offer(request, take, principal)
        await answered.wait()
        assert not self.node.bugs, self.node.bugs
        return found[0]


@asynccontextmanager
async def running(bench: Bench, settings: NodeSettings) -> AsyncIterator[Node]:
    """A node that runs on the bench, with what its journal holds, until the block ends."""
    async with trio.open_nursery() as nursery:
        context = Context(_Clock(bench, nursery), _Entropy(), _Transport(bench), _Journal(bench))
        node = bench.node = Node(settings, context)
        await node.load()
        node.start()
        yield node
        nursery.cancel_scope.cancel()
