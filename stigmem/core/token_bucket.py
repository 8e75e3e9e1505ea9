"""Token buckets: how much somebody may ask for, as arithmetic on a given time.

One bucket for each principal and dimension; who has which is `stigmem.node.quotas`.
"""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """`burst` tokens at most, refilled at `per_s` a second; a new bucket is full. With `per_s` 0 it is never
    refilled."""

    __slots__ = ("_at_ns", "_level", "burst", "per_s")

    def __init__(self, burst: float, per_s: float, now_ns: int) -> None:
        self.burst = burst
        self.per_s = per_s
        self._level = burst
        self._at_ns = now_ns

    def take(self, now_ns: int, amount: float = 1.0) -> float:
        """Take `amount` tokens; 0.0 when they were there, else the seconds until they will be (nothing is taken then;
        infinite when they never will). `now_ns` is monotonic; an earlier time than the last one refills nothing."""
        if now_ns > self._at_ns:
            self._level = min(self.burst, self._level + (now_ns - self._at_ns) * 1e-9 * self.per_s)
        self._at_ns = now_ns
        if self._level >= amount:
            self._level -= amount
            return 0.0
        return (amount - self._level) / self.per_s if self.per_s else float("inf")
