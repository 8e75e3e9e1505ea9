"""One puller per peer: asks for pages, has them checked, hands them to the writer, and knows when to rest.

Each puller has a task and a pace of its own, so a slow, lying or unreachable peer delays nobody else. It only
reads the ledger; what it learned becomes true in the writer's turn.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.errors import Rejection
from stigmem.core.ingest import PeerLink
from stigmem.core.page import Page, decode_page
from stigmem.core.records import PeerRow
from stigmem.node.mailbox import NotStored
from stigmem.node.ports import Unreachable
from stigmem.node.replication.backoff import PullBackoff
from stigmem.node.replication.page_ingest import IngestPage, PageIngested
from stigmem.node.replication.page_verifier import PageVerifier
from stigmem.node.replication.peer_client import PeerClient, Throttled, granted_scopes
from stigmem.node.replication.pull_request import AlreadyHeldHint, target
from stigmem.node.replication.stamp_cursor import StampCursor

if TYPE_CHECKING:
    from stigmem.node.node import Node

__all__ = ["Puller"]

_TIMES_RETRIED_MAX: Final = 2
"""How often a page is read again before what is wrong in it is taken for its sender's fault and not the wire's."""


class _Next(Enum):
    """What follows a page."""

    REST = "rest"
    MORE = "more"
    NEWS = "news"
    """Ask again at once: the peer holds the answer until there is something to tell."""


class Puller:
    """Reads one peer to the end, rests, and reads again."""

    def __init__(self, node: Node, peer_id: str) -> None:
        self._node = node
        self._clock = node.context.clock
        self.peer_id = peer_id
        self.backoff = PullBackoff(node.settings, node.context.entropy)
        self._client = PeerClient(node, self.backoff)
        self._verifier = PageVerifier(node, self._client.ask)
        self._stamp_cursor = StampCursor(self._clock.monotonic_ns())
        self._hint = AlreadyHeldHint(node.state.ledger)
        self._stored_ns = self._clock.monotonic_ns()
        """When the cursor was stored last."""
        self._wake = self._clock.signal()
        self._refused_for = ""
        self._retried: tuple[str | None, int] = ("", 0)
        """Where a page began that comes again because of what was refused in it, and how often it did."""
        self.behind_since_ns: int | None = None
        """Since when this peer is known to have more than we have taken, on the monotonic clock."""

    def wake(self) -> None:
        """The peer was heard from: if we gave up on it for a while, try now."""
        if self.backoff.waiting_for_peer:
            self._wake.set()

    def stop(self) -> None:
        """Let the task notice that the peer is no longer active."""
        self._wake.set()

    async def run(self) -> None:
        """The life of the task: ends when the peer is not active any more."""
        await self._wake.wait(self.backoff.first_rest_ns())
        while True:
            row = self._node.state.peers.get(self.peer_id)
            if row is None or row.status != ACTIVE or self._is_replaced():
                return
            rest_ns = await self._drain(row)
            await self._wake.wait(rest_ns)

    def _is_replaced(self) -> bool:
        # A peer that was revoked and approved again while we waited at it has a new puller.
        return self._node.pullers.get(self.peer_id) is not self

    async def _drain(self, row: PeerRow) -> int:
        """Read pages until the end or a reason to stop; the rest before the next drain, in ns."""
        try:
            await self._node.handshakes.bind(row)
            await self._verifier.seek_origins(row)
            self._stamp_cursor.begin(self._stored(), self._clock.monotonic_ns())
            left = limits.PULL_PAGES_PER_DRAIN_MAX
            while left and not self._is_replaced():
                follows = await self._pull(row)
                if follows is _Next.REST:
                    break
                left -= follows is _Next.MORE
            return self.backoff.after_success()
        except Unreachable:
            self._stamp_cursor.interrupted()
            return self.backoff.after_silence()
        except Throttled as throttled:
            return self.backoff.after_refusal(throttled.retry_after_s)
        except Rejection as rejection:
            if rejection.code != self._refused_for:  # told once, until a page was good or is bad in another way
                self._refused_for = rejection.code
                self._node.page_refused(self.peer_id, rejection)
            if rejection.code in ("page_version", "page_malformed"):
                await self._node.handshakes.ask_dialect(row)
            return self.backoff.after_refusal(None)

    async def _pull(self, row: PeerRow) -> _Next:
        """One page, and what follows it. Raises Unreachable, Rejection or Throttled."""
        held = self._node.state.cursors.get(self.peer_id)
        stored = self._stored()
        cursor = self._stamp_cursor.start(stored)
        limit = self.backoff.limit
        wait_s = self._wait_s(row)
        # A disk may have been lost: with `echo` what only peers still hold of ours comes back.
        echo = held is not None and not held.drained and row.dialect == CERTIFYING
        asked_ns, asked_seq = self._clock.monotonic_ns(), self._node.state.ledger.last_seq
        response = await self._client.ask(row, target(limit, cursor, wait_s, echo=echo), wait_s, self._names(row))
        now_ns = self._clock.monotonic_ns()
        waited = wait_s > 0 and now_ns - asked_ns >= int(wait_s * 5e8)
        page = decode_page(response.body, row.dialect, limit)
        self._refused_for = ""
        self._hint.answered(asked_seq)
        drained = held is not None and held.drained
        if not page.entries and drained and self._may_pass(row, stored, cursor, page, now_ns):
            self.backoff.page(0)
            self.behind_since_ns = None
            self._stamp_cursor.arrived(stored, page.cursor or cursor, now_ns, drained=True)
            # An empty answer at once to a question that may wait is not worth asking again before our time.
            return _Next.NEWS if waited else _Next.REST
        again = self._stamp_cursor.whole or held is None or not held.drained
        link = PeerLink(row.node_id, row.dialect, self._scopes(row), again)
        now_ms = self._clock.wall_ns() // 1_000_000
        kept = self._stamp_cursor.store(stored, page.cursor, now_ms, drained=not page.has_more)
        ingested = await self._ingest(row, link, page, stored, kept)
        moved = page.cursor is not None and page.cursor != cursor and not ingested.page_retry
        if not ingested.page_retry:
            self._stored_ns = self._clock.monotonic_ns()
            self._stamp_cursor.arrived(kept, page.cursor, self._stored_ns, drained=not page.has_more)
        clean = self.backoff.page(len(page.entries), ingested.peer_errors)
        if not page.has_more:
            self.behind_since_ns = None
        elif self.behind_since_ns is None and moved:
            self.behind_since_ns = self._clock.monotonic_ns()
        if not clean or ingested.deferred_full:
            return _Next.REST
        if ingested.page_retry:
            return _Next.MORE
        if page.has_more:  # one that says "more" without moving or showing anything would have us ask for ever
            return _Next.MORE if moved and page.entries else _Next.REST
        return _Next.NEWS if waited or (wait_s > 0 and moved and ingested.stored > 0) else _Next.REST

    def _names(self, row: PeerRow) -> str:
        """What the peer need not send us; nothing to one that would not be told of it anyway."""
        told = row.dialect == CERTIFYING and "public" in self._scopes(row)
        return self._hint.names(row.node_id) if told else ""

    def _may_pass(self, row: PeerRow, stored: str | None, cursor: str | None, page: Page, now_ns: int) -> bool:
        """Whether an empty page needs no commit: its cursor may wait for the next one that does, if one was stored
        before (a cursor that is set back to the beginning must be told from that one)."""
        if page.cursor is None or page.cursor == cursor:
            return True
        lately = stored is not None and now_ns - self._stored_ns < limits.CURSOR_UNSTORED_NS
        return lately and not page.has_more and row.dialect == CERTIFYING

    def _stored(self) -> str | None:
        held = self._node.state.cursors.get(self.peer_id)
        return held.cursor if held is not None else None

    def _wait_s(self, row: PeerRow) -> float:
        return self._node.settings.pull_wait_s if row.dialect == CERTIFYING else 0.0

    def _scopes(self, row: PeerRow) -> tuple[str, ...]:
        return granted_scopes(self._node, row)

    async def _ingest(
        self, row: PeerRow, link: PeerLink, page: Page, begun: str | None, kept: str | None
    ) -> PageIngested:
        """Have a page checked and stored, and the cursor `kept` in place of `begun`. Raises Unreachable when it could
        not be stored."""
        arrivals = await self._verifier.inspect(row, link, page)
        times = self._retried[1] if self._retried[0] == begun else 0
        command = IngestPage(
            self.peer_id, link, self._node.policy, arrivals,
            begun=begun, cursor=kept, drained=not page.has_more, last_attempt=times == _TIMES_RETRIED_MAX,
        )  # fmt: skip
        try:
            ingested = await self._node.mailbox.submit(command)
        except NotStored as failure:
            if isinstance(failure.staged, PageIngested):
                self._count_retry(begun, times, failure.staged)
            raise Unreachable("not_stored", failure.message) from failure
        if ingested is None:
            raise Unreachable("not_stored", "the peer was revoked meanwhile")
        self._count_retry(begun, times, ingested)
        return ingested

    def _count_retry(self, begun: str | None, times: int, ingested: PageIngested) -> None:
        self._retried = (begun, min(times + 1, _TIMES_RETRIED_MAX)) if ingested.page_retry else ("", 0)
