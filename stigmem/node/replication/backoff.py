"""How fast a puller goes: page size, rests and backoff (federation 3.3, 3.10).

Arithmetic and jitter only; the puller says what happened, and is told how long to rest.

    what happened                       rest before the next drain
    read to the end                     the interval, spread by `pull_jitter` either way
    pages with mostly bad entries       interval * 2^(n-1), at most BACKOFF_S_MAX
    no answer                           interval * 2^(n-1), at most the larger of UNREACHABLE_S_MAX and the interval
    an answer that is no page           interval * 2^(n-1), at most BACKOFF_S_MAX
    "you are not approved yet"          BACKOFF_S_MIN * 2^(n-1), at most APPROVAL_S_MAX, jitter included
    no room until a window is over      until then, at most the larger of BACKOFF_S_MAX and the interval
    "come back later", with a time      that time, but at least the smaller of BACKOFF_S_MIN * 2^(n-1) and the interval,
                                        and at most BACKOFF_S_MAX

n counts in a row; a good page resets it. What doubles begins at BACKOFF_S_MIN at least, and is spread by
BACKOFF_JITTER either way, so that peers that lost each other at one instant do not all ask again at one instant.
The interval is spread too, a little: pullers whose rests were all equal would keep the phases that they drew at their
start, and two that happen to be badly placed along a chain would stay so until one of them restarts.
Silence and refusals have different limits: a peer that is cut off is tried again soon, because cuts heal, and is
asked at once when it is heard from; one that says "slow down" is believed. A peer that has not approved this node
yet is waited for as one that is cut off: nothing is wrong, and as soon as it approves it asks something of us.

A peer that was approved a moment ago is asked at once, without a first rest. The rest after that drain is a random part
of an interval, so that peers which were approved at one instant do not pull in step from then on.

The page limit doubles after CLEAN_PAGES_TO_DOUBLE full pages without many errors, and is halved when a page took too
long or broke the peer: the size that a pair of nodes can carry is found and not configured.
"""

from __future__ import annotations

from typing import Final

from stigmem.core import limits
from stigmem.core.token_bucket import TokenBucket
from stigmem.node.ports import Entropy
from stigmem.node.settings import NodeSettings

__all__ = ["PullBackoff"]

_PEER_ERRORS_PER_DRAIN_MAX: Final = 200
"""Bad entries, each with an audit row, that a peer may bring us in one drain."""


class PullBackoff:
    """The rests and the page limit of one puller. All rests are in nanoseconds."""

    def __init__(self, settings: NodeSettings, entropy: Entropy) -> None:
        self._interval_s = settings.pull_interval_s
        self._jitter = settings.pull_jitter
        self._entropy = entropy
        self.limit = min(settings.pull_limit, limits.PAGE_LIMIT_MAX)
        """Entries to ask for in one page."""
        self._clean = 0
        """Full pages in a row without many errors."""
        self._failures = 0
        """Drains in a row that ended without a page."""
        self._unapproved = 0
        """Drains in a row that ended because the peer has not approved this node."""
        self._dirty = 0
        """Pages in a row that were mostly bad."""
        self._peer_errors = 0
        """Bad entries in this drain."""
        self._repeated: TokenBucket | None = None
        self._is_in_step = False
        """Whether others may pull at the same instants as this puller."""
        self.waiting_for_peer = False
        """Whether the last drain ended in silence, or before an approval: then hearing from the peer ends the rest."""

    def first_rest_ns(self) -> int:
        """A random part of an interval, so that a federation started at once does not pull in step."""
        return int(self._unit() * self._interval_s * 1e9)

    def out_of_step(self) -> None:
        """The first drain begins without a rest, so the first rest after a success is a random part of an interval."""
        self._is_in_step = True

    def page(self, entries: int, peer_errors: int = 0) -> bool:
        """A page came, `peer_errors` of whose entries are its sender's doing; whether to read on. A page that is mostly
        bad, or too many bad entries in one drain, end the drain and earn the peer a longer rest."""
        self._failures = self._unapproved = 0
        self.waiting_for_peer = False
        self._peer_errors += peer_errors
        dirty = peer_errors > entries // 2 or self._peer_errors > _PEER_ERRORS_PER_DRAIN_MAX
        self._dirty = self._dirty + 1 if dirty else 0
        self._clean = self._clean + 1 if entries >= self.limit and not dirty else 0
        if self._clean >= limits.CLEAN_PAGES_TO_DOUBLE:
            self.limit = min(self.limit * 2, limits.PAGE_LIMIT_MAX)
            self._clean = 0
        return not dirty

    def may_repeat(self, now_ns: int) -> bool:
        """Whether a page of which nothing was new may be followed by another question at once."""
        if self._repeated is None:
            self._repeated = TokenBucket(limits.REPEATED_PAGES_BURST, limits.REPEATED_PAGES_PER_S, now_ns)
        return self._repeated.take(now_ns) == 0.0

    def shrink(self) -> None:
        """A page took too long or broke the peer: ask for half."""
        self.limit = max(self.limit // 2, limits.PULL_LIMIT_MIN)
        self._clean = 0

    def until_quota(self, waits_ns: int) -> int:
        """No more of the peer is taken in for so long. A little later, so that readers do not all go on at midnight."""
        self._peer_errors = 0
        longest_s = max(limits.BACKOFF_S_MAX, self._interval_s)
        return int(min(waits_ns / 1e9 + self._unit() * self._interval_s * self._jitter, longest_s) * 1e9)

    def after_success(self) -> int:
        """The peer was read to its end, or for as many pages as one drain may take."""
        self._peer_errors = 0
        if self._dirty:
            return self._backoff_ns(self._dirty, limits.BACKOFF_S_MAX)
        if self._is_in_step:
            self._is_in_step = False
            return self.first_rest_ns()
        return self._spread_ns(self._interval_s, self._jitter)

    def after_silence(self) -> int:
        """The peer did not answer."""
        self._failures += 1
        self.waiting_for_peer = True
        return self._backoff_ns(self._failures, max(limits.UNREACHABLE_S_MAX, self._interval_s))

    def after_refusal(self, retry_after_s: float | None) -> int:
        """An answer that is no page; the peer's own advice counts when it gives one, but one that advises to come
        back at once, again and again, is not asked more often than others."""
        self._failures += 1
        self.waiting_for_peer = False
        if retry_after_s is None:
            return self._backoff_ns(self._failures, limits.BACKOFF_S_MAX)
        patience_s = min(limits.BACKOFF_S_MIN * 2.0 ** min(self._failures - 1, 20), self._interval_s)
        return int(min(max(retry_after_s, patience_s, limits.BACKOFF_S_MIN), limits.BACKOFF_S_MAX) * 1e9)

    def until_approved(self) -> int:
        """The peer answered that it has not approved this node, or does not know it yet."""
        self._unapproved += 1
        self.waiting_for_peer = True
        rest_s = limits.BACKOFF_S_MIN * 2.0 ** min(self._unapproved - 1, 20)
        return min(self._spread_ns(min(rest_s, limits.APPROVAL_S_MAX)), int(limits.APPROVAL_S_MAX * 1e9))

    def _backoff_ns(self, times: int, most_s: float) -> int:
        return self._spread_ns(min(max(self._interval_s, limits.BACKOFF_S_MIN) * 2.0 ** min(times - 1, 20), most_s))

    def _spread_ns(self, base_s: float, jitter: float = limits.BACKOFF_JITTER) -> int:
        return int(base_s * (1.0 + jitter * (2.0 * self._unit() - 1.0)) * 1e9)

    def _unit(self) -> float:
        return int.from_bytes(self._entropy.token(4), "big") / 4_294_967_296.0
