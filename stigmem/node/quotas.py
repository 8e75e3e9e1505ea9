"""How much a caller may ask for, and how many of its requests may be under way: buckets and counts by name.

In memory and bounded; what an amount is and what follows from a refusal is the business of whoever asks here.
Whether a caller is who it says is `stigmem.node.api.peer_auth`.
"""

from __future__ import annotations

from stigmem.core import limits
from stigmem.core.token_bucket import TokenBucket

__all__ = ["Quotas"]


class Quotas:
    """Every bucket and count of a node, under a kind and a name."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._under_way: dict[tuple[str, str], int] = {}

    def wait_s(self, kind: str, name: str, burst: float, per_s: float, monotonic_ns: int) -> float:
        """Take one; 0.0 when there was one, else the seconds until there will be."""
        bucket = self._buckets.get((kind, name))
        if bucket is None:
            bucket = self._buckets[kind, name] = TokenBucket(burst, per_s, monotonic_ns)
            if len(self._buckets) > limits.QUOTA_NAMES_MAX:
                del self._buckets[next(iter(self._buckets))]
        return bucket.take(monotonic_ns)

    def enter(self, kind: str, name: str, most: int) -> bool:
        """Begin something, unless `most` of it are under way; whoever began must `leave`."""
        count = self._under_way.get((kind, name), 0)
        if count >= most:
            return False
        self._under_way[kind, name] = count + 1
        return True

    def leave(self, kind: str, name: str) -> None:
        """End something that was begun."""
        left = self._under_way[kind, name] - 1
        if left:
            self._under_way[kind, name] = left
        else:
            del self._under_way[kind, name]
