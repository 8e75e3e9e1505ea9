"""One puller per peer: asks for pages, checks them, hands them to the writer, and knows when to rest.

Each puller has a task and a pace of its own, so a slow, lying or unreachable peer delays nobody else. It only
reads the ledger; what it learned becomes true in the writer's turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.entry import Page, decode_entry, decode_page, entry_name
from stigmem.core.errors import Rejection
from stigmem.core.ingest import Link, examine, is_repeat
from stigmem.core.records import PeerRow
from stigmem.core.scopes import crossing
from stigmem.core.token import mint
from stigmem.core.wire import Request, Response
from stigmem.node.context import Unreachable
from stigmem.node.intake import Arrival, PageArrived, Refused
from stigmem.node.pace import Pace

if TYPE_CHECKING:
    from stigmem.node.node import Node

__all__ = ["Puller"]

_TIME_CODES: Final = ("iat_in_future", "iat_too_old", "nbf_in_future", "token_expired")
_ENTRIES_PER_BREATH: Final = 25
_ORIGINS_PER_DRAIN: Final = 10
_TIMES_HELD_BACK: Final = 2


class Puller:
    """Reads one peer to the end, rests, and reads again."""

    def __init__(self, node: Node, peer_id: str) -> None:
        self._node = node
        self._clock = node.context.clock
        self.peer_id = peer_id
        self.pace = Pace(node.settings, node.context.entropy)
        self._wake = self._clock.signal()
        self._clock_offset_ms = 0
        self._unknown: dict[str, int] = {}
        self._held_back: tuple[str | None, int] = ("", 0)
        """Where a page began that comes again because of what was rejected in it, and how often it did."""
        self.behind_since_ns: int | None = None
        """Since when this peer is known to have more than we have taken, on the monotonic clock."""

    def nudge(self) -> None:
        """The peer was heard from: if we gave up on it for a while, try now."""
        if self.pace.waiting_for_peer:
            self._wake.set()

    def stop(self) -> None:
        """Let the task notice that the peer is no longer active."""
        self._wake.set()

    async def run(self) -> None:
        """The life of the task: ends when the peer is not active any more."""
        await self._wake.wait(self.pace.first_rest_ns())
        while True:
            row = self._node.state.peers.get(self.peer_id)
            if row is None or row.status != ACTIVE:
                return
            rest_ns = await self._drain(row)
            await self._wake.wait(rest_ns)

    async def _drain(self, row: PeerRow) -> int:
        """Read pages until the end or a reason to stop; the rest before the next drain, in ns."""
        try:
            for _ in range(limits.PULL_PAGES_PER_DRAIN_MAX):
                if not await self._pull(row):
                    await self._ask_again(row)
                    return self.pace.after_success()
            return 0
        except Unreachable:
            return self.pace.after_silence()
        except _Throttled as throttled:
            return self.pace.after_refusal(throttled.retry_after_s)
        except Rejection as rejection:
            self._node.refused_page(self.peer_id, rejection)
            return self.pace.after_refusal(None)

    async def _pull(self, row: PeerRow) -> bool:
        """One page; whether to go on at once. Raises Unreachable, Rejection or _Throttled."""
        held = self._node.state.cursors.get(self.peer_id)
        cursor = held.cursor if held is not None else None
        limit = self.pace.limit
        wait_s = self._wait_s(row)
        query = {"limit": str(limit)}
        if cursor is not None:
            query["cursor"] = cursor
        if wait_s:
            query["wait"] = f"{wait_s:g}"
        if held is not None and not held.drained and row.dialect == CERTIFYING:
            query["echo"] = "true"  # a disk may have been lost: what only peers still hold of ours comes back
        response = await self._ask(row, f"/v1/federation/facts?{urlencode(query)}", wait_s)
        page = decode_page(response.body, row.dialect, limit)
        link = Link(row.node_id, row.dialect, self._scopes(row), held is None or not held.drained)
        if not page.entries and (page.cursor == cursor or page.cursor is None) and held is not None and held.drained:
            self.pace.page(0)
            return bool(wait_s)
        message = await self._hand_over(row, link, page, cursor)
        if message.error is not None:
            raise Unreachable("not_stored", message.error.message)
        moved = page.cursor is not None and page.cursor != cursor and not message.held_back
        self.pace.page(len(page.entries), dirty=message.refused > len(page.entries) // 2)
        if not page.has_more:
            self.behind_since_ns = None
        elif self.behind_since_ns is None and moved:
            self.behind_since_ns = self._clock.monotonic_ns()
        # A peer that says "more" without moving would have us ask for ever.
        return moved and (page.has_more or (bool(wait_s) and bool(page.entries)))

    def _wait_s(self, row: PeerRow) -> float:
        return self._node.settings.pull_wait_s if row.dialect == CERTIFYING else 0.0

    def _scopes(self, row: PeerRow) -> tuple[str, ...]:
        return crossing(row.scopes, self._node.settings.scopes, allow_team=self._node.settings.allow_team)

    # --- asking ---

    async def _ask(self, row: PeerRow, target: str, wait_s: float = 0.0) -> Response:
        """The 200 answer to a request with a fresh token. Raises Unreachable, Rejection or _Throttled."""
        response = await self._send(row, target, wait_s)
        if response.status == 401 and self._learn_clock(response):
            response = await self._send(row, target, wait_s)
        if response.status == 200:
            return response
        if response.status in (429, 503):
            raise _Throttled(_seconds(response.headers.get("retry-after")))
        if response.status >= 500:
            self.pace.shrink()
        raise Rejection("unexpected_status", f"the peer answered {response.status}", detail={"status": response.status})

    async def _send(self, row: PeerRow, target: str, wait_s: float) -> Response:
        node = self._node
        token = mint(
            node.signer,
            issuer=node.node_id,
            audience=row.node_id,
            scopes=self._scopes(row),
            nonce=node.new_uuid(),
            now_ms=self._clock.wall_ns() // 1_000_000 + self._clock_offset_ms,
        )
        request = Request("GET", target, {"authorization": f"Bearer {token}", "accept": "application/json"})
        timeout_ns = int((node.settings.pull_timeout_s + wait_s) * 1e9)
        try:
            return await node.context.transport.request(row.node_url, request, timeout_ns, limits.RESPONSE_BYTES_MAX)
        except Unreachable as silence:
            if silence.code == "timeout":
                self.pace.shrink()
            raise

    def _learn_clock(self, response: Response) -> bool:
        """Whether the peer refused our token's times and told us its own: then aim the next token at them."""
        there_ms = response.headers.get("x-stigmem-now", "")
        if not (there_ms.isascii() and there_ms.isdigit() and len(there_ms) < 17):
            return False
        if not any(code.encode() in response.body for code in _TIME_CODES):
            return False
        self._clock_offset_ms = int(there_ms) - self._clock.wall_ns() // 1_000_000
        return True

    # --- checking ---

    async def _hand_over(self, row: PeerRow, link: Link, page: Page, begun: str | None) -> PageArrived:
        """Check a page's entries and let the writer store it. `begun`: the cursor it was asked with."""
        arrivals: list[Arrival] = []
        repeats = 0
        for number, raw in enumerate(page.entries):
            if number % _ENTRIES_PER_BREATH == _ENTRIES_PER_BREATH - 1:
                await self._clock.breathe()
            arrival = await self._check(row, link, raw)
            if arrival is None:
                repeats += 1
            else:
                arrivals.append(arrival)
        done = self._clock.signal()
        times = self._held_back[1] if self._held_back[0] == begun else 0
        message = PageArrived(
            self.peer_id, link, self._node.policy, arrivals, done,
            begun=begun, cursor=page.cursor, drained=not page.has_more, final=times == _TIMES_HELD_BACK,
        )  # fmt: skip
        self._node.mailbox.put(message)
        await done.wait()
        self._held_back = (begun, min(times + 1, _TIMES_HELD_BACK)) if message.held_back else ("", 0)
        message.repeated += repeats
        return message

    async def _check(self, row: PeerRow, link: Link, raw: bytes) -> Arrival | None:
        """The outcome of the stateless checks; None for a plain repetition."""
        origin = ""
        try:
            entry = decode_entry(raw, link.dialect)
            if is_repeat(entry, link, self._node.state.ledger):
                return None
            origin = entry.origin.node_id if entry.origin is not None else link.sender
            if origin != link.sender and self._node.policy.key_of(origin) is None:
                await self._learn_origin(row, origin)
            return Arrival(raw, examine(entry, link, self._node.policy))
        except Rejection as rejection:
            return Arrival(raw, Refused(entry_name(raw), rejection, origin))

    async def _learn_origin(self, row: PeerRow, origin: str) -> None:
        """Fetch the manifest of an unknown origin from the peer that serves its facts."""
        now_ns = self._clock.monotonic_ns()
        if self._unknown.get(origin, 0) > now_ns or len(origin) > limits.NODE_ID_CHARS_MAX:
            return
        if len(self._unknown) >= limits.UNKNOWN_ORIGINS_MAX:
            del self._unknown[next(iter(self._unknown))]
        self._unknown.pop(origin, None)  # to the end of the line
        self._unknown[origin] = now_ns + limits.UNKNOWN_ORIGIN_REST_NS
        try:
            response = await self._ask(row, f"/v1/federation/manifest/{quote(origin, safe='')}")
        except Rejection:
            return
        await self._node.steward.learn_origin(origin, response.body, row)

    async def _ask_again(self, row: PeerRow) -> None:
        """Ask once more for origins whose facts were rejected because their key could not be learned."""
        for origin in list(self._unknown)[:_ORIGINS_PER_DRAIN]:
            if self._node.policy.key_of(origin) is None:
                await self._learn_origin(row, origin)
            else:
                del self._unknown[origin]


class _Throttled(Exception):
    def __init__(self, retry_after_s: float | None) -> None:
        super().__init__("throttled")
        self.retry_after_s = retry_after_s


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else None
