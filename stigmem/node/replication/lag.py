"""How far this node lags behind its peers, and whom it turns away because of that (federation 3.10).

A node that has not taken in what its peers have for minutes is a poor relay, and says so. Only arithmetic on what the
pullers know; when a pull is asked about is the operation's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stigmem.core.errors import Refusal
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.replication.puller import Puller

__all__ = ["LagMonitor"]


class LagMonitor:
    """For how long each peer is known to have more than was taken from it."""

    def __init__(self, pullers: dict[str, Puller]) -> None:
        self._pullers = pullers
        self._turned_away: dict[str, None] = {}
        """Peers whose last pull was refused: the next one is not."""

    def worst_ms(self, monotonic_ns: int) -> int:
        """For how long this node has known of facts at a peer that it has not taken yet; the worst peer."""
        return max(self._lags(monotonic_ns), default=0)

    def refuse_if_stale(self, txn: Transaction, peer_id: str) -> None:
        """Raises Refusal 503 when every peer's backlog is past the hard limit.

        Every one: a single peer that pours out facts without end must not silence this node for the others. And every
        other time only: nodes that turn each other away for their lag would never catch up.
        """
        lags = self._lags(txn.monotonic_ns)
        stale = len(lags) > 1 and min(lags) > txn.settings.lag_hard_ms
        if not stale or peer_id in self._turned_away:
            self._turned_away.pop(peer_id, None)
            return
        self._turned_away[peer_id] = None
        lag_ms = max(lags)
        body: dict[str, Any] = {
            "error": "relay_lag_exceeded", "lag_ms": lag_ms, "retry_after_s": max(1, lag_ms // 1000),
        }  # fmt: skip
        header = (("retry-after", str(body["retry_after_s"])),)
        raise Refusal(503, "relay_lag_exceeded", "this node lags", style="raw", extra=body, headers=header)

    def _lags(self, monotonic_ns: int) -> list[int]:
        return [
            0 if puller.behind_since_ns is None else (monotonic_ns - puller.behind_since_ns) // 1_000_000
            for puller in self._pullers.values()
        ]
