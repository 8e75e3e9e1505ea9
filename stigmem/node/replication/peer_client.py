"""Asking one peer: a signed request, and what its refusals mean.

One token a request, aimed at the peer's clock once it told us that; a refusal slows the asker's pace. What is asked,
and what becomes of the answer, is the puller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from stigmem.core import limits
from stigmem.core.declaration import CERTIFYING
from stigmem.core.errors import Rejection
from stigmem.core.records import PeerRow
from stigmem.core.scopes import crossing
from stigmem.core.token import mint
from stigmem.core.wire import CLOCK_HEADER, Request, Response
from stigmem.node.identity import Identity, new_uuid
from stigmem.node.ports import Clock, Entropy, Transport, Unreachable
from stigmem.node.replication.backoff import PullBackoff
from stigmem.node.settings import NodeSettings

__all__ = ["NotApproved", "PeerClient", "Throttled", "granted_scopes"]

_NO_HINTS: Final[Mapping[str, str]] = MappingProxyType({})
_TIME_CODES: Final = ("iat_in_future", "iat_too_old", "nbf_in_future", "token_expired")
_NOT_APPROVED: Final = ("peer_not_approved", "peer not registered")
"""How a node says that its operator has not let us in (federation 2.6)."""


class _Told(msgspec.Struct):
    detail: str


class Throttled(Exception):
    """A peer told us to come back later; `retry_after_s` is its advice, if it gave one."""

    def __init__(self, retry_after_s: float | None) -> None:
        super().__init__("throttled")
        self.retry_after_s = retry_after_s


class NotApproved(Exception):
    """A peer does not serve us yet: its operator has not approved this node, or has not been asked to."""


def granted_scopes(settings: NodeSettings, row: PeerRow) -> tuple[str, ...]:
    """Scopes that this node offers to a peer and takes from it."""
    return crossing(row.scopes, settings.scopes, allow_team=settings.allow_team)


class PeerClient:
    """Sends requests to one peer on behalf of its puller."""

    def __init__(
        self,
        *,
        identity: Identity,
        settings: NodeSettings,
        clock: Clock,
        transport: Transport,
        backoff: PullBackoff,
        entropy: Entropy,
    ) -> None:
        """`entropy` is what nonces are drawn from."""
        self._identity = identity
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self.backoff = backoff
        self._entropy = entropy
        self._clock_offset_ms = 0

    def scopes(self, row: PeerRow) -> tuple[str, ...]:
        """What may cross the link to the peer."""
        settings = self._settings  # as granted_scopes, once a pull
        return crossing(row.scopes, settings.scopes, allow_team=settings.allow_team)

    def wait_s(self, row: PeerRow) -> float:
        """How long a pull may wait at the peer for news, in seconds; 0 for one that does not offer it."""
        return self._settings.pull_wait_s if row.dialect == CERTIFYING else 0.0

    async def ask(
        self, row: PeerRow, target: str, wait_s: float = 0.0, hints: Mapping[str, str] = _NO_HINTS
    ) -> Response:
        """The 200 answer to a request with a fresh token. Raises Unreachable, Rejection, Throttled or NotApproved."""
        response = await self._send(row, target, wait_s, hints)
        # A spent nonce in a new token: the wire doubled our request, and the other answer is lost or still to come.
        if response.status == 401 and (self._learn_clock(response) or b"nonce_already_seen" in response.body):
            response = await self._send(row, target, wait_s, hints)
        if response.status == 200:
            return response
        if response.status == 401 and _detail_of(response) in _NOT_APPROVED:
            raise NotApproved
        if response.status in (429, 503):
            raise Throttled(_seconds(response.headers.get("retry-after")))
        if response.status >= 500:
            self.backoff.shrink()
        raise Rejection("unexpected_status", f"the peer answered {response.status}", detail={"status": response.status})

    async def _send(self, row: PeerRow, target: str, wait_s: float, hints: Mapping[str, str]) -> Response:
        identity = self._identity
        token = mint(
            identity.signer,
            issuer=identity.node_id,
            audience=row.node_id,
            scopes=self.scopes(row),
            nonce=new_uuid(self._entropy),
            now_ms=self._clock.wall_ns() // 1_000_000 + self._clock_offset_ms,
        )
        headers = {"authorization": f"Bearer {token}", "accept": "application/json", **hints}
        request = Request("GET", target, headers)
        timeout_ns = int((self._settings.pull_timeout_s + wait_s) * 1e9)
        try:
            return await self._transport.request(row.node_url, request, timeout_ns, limits.RESPONSE_BYTES_MAX)
        except Unreachable as silence:
            if silence.code == "timeout":
                self.backoff.shrink()
            if silence.code == "body_too_large":  # an answer, and not one to ask for again soon, nor as long
                self.backoff.shrink()
                raise Rejection("page_malformed", silence.message) from silence
            raise

    def _learn_clock(self, response: Response) -> bool:
        """Whether the peer refused our token's times and told us its own: then aim the next token at them."""
        there_ms = response.headers.get(CLOCK_HEADER, "")
        if not (there_ms.isascii() and there_ms.isdigit() and len(there_ms) < 17):
            return False
        if not any(code.encode() in response.body for code in _TIME_CODES):
            return False
        self._clock_offset_ms = int(there_ms) - self._clock.wall_ns() // 1_000_000
        return True


def _detail_of(response: Response) -> str:
    """The text that a refusal carries; empty when it has none."""
    try:
        return msgspec.json.decode(response.body, type=_Told).detail
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else None
