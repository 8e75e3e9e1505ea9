"""How fast a puller goes: page size, rests and backoff (federation 3.3, 3.10).

Arithmetic and jitter only. Silence and refusals have different limits: a peer that is cut off is tried again
soon, because cuts heal; one that says "slow down" is believed.
"""

from __future__ import annotations

from typing import Final

from stigmem.core import limits
from stigmem.node.ports import Entropy
from stigmem.node.settings import NodeSettings

__all__ = ["PullBackoff"]

_BLAMED_PER_DRAIN_MAX: Final = 200
"""Bad entries, each with an audit row, that a peer may bring us before it has to wait for its next turn."""


class PullBackoff:
    """The pace of one puller. All rests are in nanoseconds."""

    def __init__(self, settings: NodeSettings, entropy: Entropy) -> None:
        self._interval_s = settings.pull_interval_s
        self._entropy = entropy
        self.limit = min(settings.pull_limit, limits.PAGE_LIMIT_MAX)
        self._clean = 0
        self._failures = 0
        self._dirty = 0
        self._peer_errors = 0
        self.waiting_for_peer = False

    def first_rest_ns(self) -> int:
        """A random part of an interval, so that a federation started at once does not pull in step."""
        return int(self._unit() * self._interval_s * 1e9)

    def page(self, entries: int, peer_errors: int = 0) -> bool:
        """A page came, with so many entries that are its sender's fault: five full ones double the limit; whether to
        read on. Mostly bad pages, or too many bad entries in one drain, end it and earn the peer a longer rest."""
        self._failures = 0
        self.waiting_for_peer = False
        self._peer_errors += peer_errors
        dirty = peer_errors > entries // 2 or self._peer_errors > _BLAMED_PER_DRAIN_MAX
        self._dirty = self._dirty + 1 if dirty else 0
        self._clean = self._clean + 1 if entries >= self.limit and not dirty else 0
        if self._clean >= limits.CLEAN_PAGES_TO_DOUBLE:
            self.limit = min(self.limit * 2, limits.PAGE_LIMIT_MAX)
            self._clean = 0
        return not dirty

    def shrink(self) -> None:
        """A page took too long or broke the peer: ask for half."""
        self.limit = max(self.limit // 2, limits.PULL_LIMIT_MIN)
        self._clean = 0

    def after_success(self) -> int:
        """The peer was read to its end, or for as long as one turn lasts."""
        self._peer_errors = 0
        if self._dirty:
            return self._backoff_ns(self._dirty, limits.BACKOFF_S_MAX)
        return int(self._interval_s * 1e9)

    def after_silence(self) -> int:
        """No answer."""
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

    def _backoff_ns(self, times: int, most_s: float) -> int:
        base_s = min(max(self._interval_s, limits.BACKOFF_S_MIN) * 2.0 ** min(times - 1, 20), most_s)
        jitter = 1.0 + limits.BACKOFF_JITTER * (2.0 * self._unit() - 1.0)
        return int(base_s * jitter * 1e9)

    def _unit(self) -> float:
        return int.from_bytes(self._entropy.token(4), "big") / 4_294_967_296.0
