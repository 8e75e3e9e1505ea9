"""One node on the bench, with the ports of `stigmem.testing`: the short names that the tests of a node use.

Time stands still: what needs timers is tested in the laboratory, or with `ManualClock.advance`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import trio

from stigmem.core.audit import AuditRow
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response
from stigmem.node.callers import Principal
from stigmem.node.node import Node
from stigmem.node.ports import Meaning
from stigmem.node.settings import NodeSettings
from stigmem.testing import ManualClock, MemoryJournal, ScriptedTransport, running_node

__all__ = ["ANSWER_S_MAX", "Bench", "running"]

ANSWER_S_MAX: Final = 60.0
"""In real time: nothing on a bench waits, so who takes longer never answers."""


class Bench:
    """One node on the bench: `wall_ms` and `monotonic_ms` are its clocks, `records` its journal, `answers` what
    (url, path) gives when the node asks somebody."""

    def __init__(self, wall_ms: int) -> None:
        self.clock = ManualClock(wall_ms)
        self.journal = MemoryJournal()
        self.transport = ScriptedTransport()
        self.meaning: Meaning | None = None
        self.node: Node

    @property
    def wall_ms(self) -> int:
        return self.clock.wall_ms

    @wall_ms.setter
    def wall_ms(self, value: int) -> None:
        """Let so much time pass, and ring nothing; an earlier time sets the clock back."""
        later_ms = value - self.clock.wall_ms
        if later_ms >= 0:
            self.clock.suspended(later_ms)
        else:
            self.clock.wall_ms = value

    @property
    def monotonic_ms(self) -> int:
        return self.clock.monotonic_ns // 1_000_000

    @monotonic_ms.setter
    def monotonic_ms(self, value: int) -> None:
        """Move the monotonic clock alone, and ring nothing."""
        wall_ms = self.clock.wall_ms
        self.clock.wake_ups.now_ns = value * 1_000_000
        self.clock.wall_ms = wall_ms

    @property
    def records(self) -> list[Record]:
        return self.journal.records

    @records.setter
    def records(self, value: list[Record]) -> None:
        self.journal.records = value

    @property
    def answers(self) -> dict[tuple[str, str], Any]:
        return self.transport.answers

    @property
    def audit_rows(self) -> list[AuditRow]:
        return self.journal.audit_rows

    async def settle(self) -> None:
        """Let happen what can happen."""
        await self.clock.settle()

    async def ask(self, request: Request, principal: Principal | None = None) -> Response:
        """The node's answer to a request, of somebody whom the carrier has authenticated if a principal is given."""
        (answer,) = await self.ask_all([request], principal)
        return answer

    async def ask_all(self, requests: Sequence[Request], principal: Principal | None = None) -> list[Response]:
        """The answers to requests that are in the mailbox together, in their order; those with a credential of their
        own are nobody's otherwise. One that is not answered fails the test, by its name."""
        answered = trio.Event()
        found: dict[int, Response] = {}

        def take(number: int, response: Response) -> None:
            found[number] = response
            if len(found) == len(requests):
                answered.set()

        for number, request in enumerate(requests):
            self.node.offer(request, partial(take, number), None if "authorization" in request.headers else principal)
        with trio.move_on_after(ANSWER_S_MAX):
            await answered.wait()
        silent = [f"{each.method} {each.target}" for number, each in enumerate(requests) if number not in found]
        assert not silent, f"not answered within {ANSWER_S_MAX:g} s: {', '.join(silent)}"
        assert not self.node.bugs, self.node.bugs
        return [found[number] for number in range(len(requests))]


@asynccontextmanager
async def running(bench: Bench, settings: NodeSettings) -> AsyncIterator[Node]:
    """A node that runs on the bench, with what its journal holds, until the block ends."""
    parts = {"clock": bench.clock, "journal": bench.journal, "transport": bench.transport, "meaning": bench.meaning}
    async with running_node(settings, **parts) as running:  # type: ignore[arg-type]
        bench.node = running.node
        yield running.node
