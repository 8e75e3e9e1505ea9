"""How reading each peer goes, how far this node lags behind them, and whom it turns away because of that
(federation 3.10).

A node that has not taken in what its peers have for minutes is a poor relay, and says so. Pullers report, each for its
own peer; when somebody is turned away is the operation's to ask.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from stigmem.core.errors import Refusal
from stigmem.node.transaction import Transaction

__all__ = ["LagMonitor", "PeerProgress", "PullFailure"]

_SENTENCE_CHARS_MAX: Final = 300
"""Of what is kept of a reason: some of it is the peer's own words."""
_CODES_MAX: Final = 50
"""Codes are ours, and there are some thirty."""


class PullFailure(NamedTuple):
    """A pull that brought no page: the code of the reason, a sentence, and when it was on the monotonic clock."""

    code: str
    sentence: str
    at_ns: int


class PeerProgress:
    """What one puller reports. A puller that was replaced reports to a value that nobody looks at any more."""

    __slots__ = (
        "awaits_approval", "behind_since_ns", "contact_ns", "failure", "failures", "next_pull_ns", "page_ns",
    )  # fmt: skip

    def __init__(self) -> None:
        """All times are on the monotonic clock; None means that it has not been yet, since this process began."""
        self.behind_since_ns: int | None = None
        """Since when the peer is known to have more than was taken from it; None when it is not."""
        self.contact_ns: int | None = None
        """When it last answered, whatever it said, or asked something of us."""
        self.page_ns: int | None = None
        """When a page of it was last good."""
        self.failure: PullFailure | None = None
        """Why the last pull brought no page; None when it did."""
        self.awaits_approval = False
        """Whether the peer last answered that its operator has not approved this node: nothing failed, and it is asked
        again soon."""
        self.failures: dict[str, int] = {}
        """Code of a reason -> how many pulls brought no page because of it."""
        self.next_pull_ns: int | None = None
        """When the puller means to ask again; None while it is asking."""

    def page_came(self, now_ns: int) -> None:
        """A pull brought a page."""
        self.contact_ns = self.page_ns = now_ns
        self.failure = None
        self.awaits_approval = False

    def not_approved(self, now_ns: int) -> None:
        """The peer answered that it does not serve this node yet."""
        self.contact_ns = now_ns
        self.failure = None
        self.awaits_approval = True

    def failed(self, code: str, sentence: str, now_ns: int, *, answered: bool) -> None:
        """A pull brought none. `answered`: whether the peer said anything at all."""
        if answered:
            self.contact_ns = now_ns
        self.awaits_approval = False
        self.failure = PullFailure(code, sentence[:_SENTENCE_CHARS_MAX], now_ns)
        if code not in self.failures and len(self.failures) >= _CODES_MAX:
            code = "other"
        self.failures[code] = self.failures.get(code, 0) + 1


class LagMonitor:
    """For how long each peer is known to have more than was taken from it."""

    def __init__(self) -> None:
        self._peers: dict[str, PeerProgress] = {}
        self._turned_away: dict[str, None] = {}
        """Peers whose last pull was refused: the next one is not."""

    def watch(self, peer_id: str) -> PeerProgress:
        """Begin to watch a peer; whoever pulls from it reports to the result."""
        lag = self._peers[peer_id] = PeerProgress()
        return lag

    def of(self, peer_id: str) -> PeerProgress | None:
        """How reading a peer goes; None when nobody reads it."""
        return self._peers.get(peer_id)

    def heard(self, peer_id: str, now_ns: int) -> None:
        """A peer asked something of us."""
        progress = self._peers.get(peer_id)
        if progress is not None:
            progress.contact_ns = now_ns

    def forget(self, peer_id: str) -> None:
        """Nobody pulls from this peer any more."""
        self._peers.pop(peer_id, None)

    def by_peer_ns(self, monotonic_ns: int) -> dict[str, int]:
        """Peer -> for how many nanoseconds this node has known of facts there that it has not taken yet."""
        return {
            peer_id: 0 if lag.behind_since_ns is None else monotonic_ns - lag.behind_since_ns
            for peer_id, lag in self._peers.items()
        }

    def worst_ms(self, monotonic_ns: int) -> int:
        """For how long this node has known of facts at a peer that it has not taken yet; the worst peer."""
        return max(self._lags(monotonic_ns), default=0)

    def refuse_if_stale(self, txn: Transaction, peer_id: str) -> None:
        """Raises Refusal 503 when the lag behind every peer is past the hard limit.

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
        raise Refusal(503, "relay_lag_exceeded", "this node lags", extra=body, headers=header)

    def _lags(self, monotonic_ns: int) -> list[int]:
        return [
            0 if lag.behind_since_ns is None else (monotonic_ns - lag.behind_since_ns) // 1_000_000
            for lag in self._peers.values()
        ]
