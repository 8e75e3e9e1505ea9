"""Staller: an answer that is no page, or comes too slowly, or never (S-36).

A node backs off from such a peer alone, up to a limit and whatever `Retry-After` the peer sends; believes neither its
redirections nor its clock; keeps the cursor; and reads every other peer in its usual rhythm.
"""

from __future__ import annotations

from typing import Final, Literal

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PeerEnv
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["WAYS", "Staller", "Way"]

Way = Literal[
    "429", "429-retry-after", "429-at-once", "503", "500", "401", "302", "204", "html", "silence", "slow", "late"
]
WAYS: Final[tuple[Way, ...]] = (
    "429", "429-retry-after", "429-at-once", "503", "500", "401", "302", "204", "html", "silence", "slow", "late",
)  # fmt: skip
_SECOND: Final = 1_000_000_000
_HTML: Final = Response(200, {"content-type": "text/html"}, b"<!doctype html><title>Please log in</title>")
_DETAIL: Final = b'{"detail":"not now"}'


@kind("staller")
class Staller(Adversary):
    """Stalls in one of `ways` for ever, or in several in turn (default: all of them)."""

    ways: list[Way] | None = None
    """The ways it stalls in turn; left out, all of them."""

    def _way(self, peer: PeerEnv) -> Way:
        ways = self.ways or WAYS
        return ways[peer.served % len(ways)]

    def answer(self, peer: PeerEnv, victim: str, request: Request) -> Response | None:
        way = self._way(peer)
        if way in ("slow", "late"):
            return super().answer(peer, victim, request)
        if way == "silence":
            return None
        if way == "html":
            return _HTML
        headers = {
            "429-retry-after": {"retry-after": "100000"},
            "429-at-once": {"retry-after": "0"},
            "302": {"location": peer.settings(victim).node_url + "/v1/facts"},
            "401": {"x-stigmem-now": "99999999999999", "www-authenticate": "Bearer"},
        }.get(way, {})
        body = b'{"detail":"token_expired"}' if way == "401" else _DETAIL
        return Response(int(way[:3]), JSON_TYPE | headers, body)

    def delay(self, peer: PeerEnv, victim: str) -> int:
        """`slow` is just in time, `late` is not."""
        share = {"slow": 0.8, "late": 3.0}.get(self._way(peer), 0.0)
        return int(share * peer.settings(victim).pull_timeout_s * _SECOND)
