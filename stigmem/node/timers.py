"""The keeper: what falls due by itself.

Expiry, facts that were too early, held pulls whose time is up, and the count of suppressed audit rows. It only
sends messages; the writer acts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stigmem.core import limits
from stigmem.core.ingest import PeerLink
from stigmem.core.records import DeadLetter
from stigmem.core.scopes import crossing
from stigmem.node.mailbox import NotStored
from stigmem.node.replication.page_ingest import IngestPage
from stigmem.node.replication.page_verifier import verify_raw
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.node import Node

__all__ = ["Timers"]

_REST_NS: Final = 60_000_000_000
"""The longest rest: the wall clock by which things fall due may be set at any time."""
_SOONEST_NS: Final = 1_000_000
_LETTERS_PER_CHECKPOINT: Final = 25


class Timers:
    """Sleeps until the next thing is due."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._wake = node.context.clock.signal()
        self._retry_after_ns = 0
        """When facts that could not be stored are tried again, on the monotonic clock."""

    def wake(self) -> None:
        """Something with a deadline was added."""
        self._wake.set()

    async def run(self) -> None:
        """Due thing after due thing."""
        node = self._node
        clock = node.context.clock
        while True:
            await self._wake.wait(self._rest_ns())
            now_ns = clock.wall_ns()
            expiry_us = node.state.ledger.next_expiry_us()
            if expiry_us is not None and expiry_us <= now_ns // 1_000:
                await self._tick()
            for pull in node.long_polls.release(clock.monotonic_ns(), news=False):
                node.mailbox.put(pull)
            if clock.monotonic_ns() >= self._retry_after_ns:
                await self._retry_deferred(now_ns // 1_000_000)
            if node.peer_auth.suppressed:
                await self._tick()

    def _rest_ns(self) -> int:
        node = self._node
        clock = node.context.clock
        wall_ns = clock.wall_ns()
        rest = _REST_NS
        expiry_us = node.state.ledger.next_expiry_us()
        if expiry_us is not None:
            rest = min(rest, expiry_us * 1_000 - wall_ns)
        due_ms = min((letter.retry_ms or 0 for letter in node.state.deferred.values()), default=None)
        if due_ms is not None:
            due_ns = due_ms * 1_000_000 - wall_ns
            rest = min(rest, max(due_ns, self._retry_after_ns - clock.monotonic_ns()))
        deadline_ns = node.long_polls.next_deadline_ns()
        if deadline_ns is not None:
            rest = min(rest, deadline_ns - clock.monotonic_ns())
        return max(rest, _SOONEST_NS)

    async def _tick(self) -> None:
        try:
            await self._node.mailbox.submit(_Tick(self._node))
        except NotStored as failure:
            self._node.peer_auth.suppressed += failure.staged or 0

    async def _retry_deferred(self, now_ms: int) -> None:
        due: dict[str, list[DeadLetter]] = {}
        for letter in self._node.state.deferred.values():
            if (letter.retry_ms or 0) <= now_ms:
                due.setdefault(letter.peer_id, []).append(letter)
        for peer_id, letters in due.items():
            await self._retry(peer_id, letters)

    async def _retry(self, peer_id: str, letters: list[DeadLetter]) -> None:
        node = self._node
        row = node.state.peers.get(peer_id)
        if row is None:
            return
        settings = node.settings
        scopes = crossing(row.scopes, settings.scopes, allow_team=settings.allow_team)
        link = PeerLink(row.node_id, row.dialect, scopes, catching_up=True)
        arrivals = []
        for number, letter in enumerate(letters, 1):
            arrivals.append(verify_raw(node, link, letter.raw or b""))
            if number % _LETTERS_PER_CHECKPOINT == 0:
                await node.context.clock.checkpoint()
        try:
            ingested = await node.mailbox.submit(IngestPage(peer_id, link, node.policy, arrivals, retry=True))
        except NotStored:
            ingested = None
        if ingested is None:
            self._retry_after_ns = node.context.clock.monotonic_ns() + int(limits.BACKOFF_S_MIN * 1e9)


class _Tick:
    """An empty command: its batch applies expiry, and records how many audit rows were not written, which is its
    result."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def stage(self, txn: Transaction) -> int:
        suppressed, self._node.peer_auth.suppressed = self._node.peer_auth.suppressed, 0
        if suppressed:
            txn.audit("strangers_suppressed", "", count=suppressed)
        return suppressed
