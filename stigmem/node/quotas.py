"""How much a caller may ask for, how many of its requests may be under way, and how many audit rows it may cause.

Buckets and counts by name, in memory and bounded, so a restart forgives. Whether a caller is who it says is decided
before anything is charged (`stigmem.node.api.peer_auth`, `stigmem.node.api.api_keys`).
"""

from __future__ import annotations

from typing import Final, Literal

from stigmem.core import limits
from stigmem.core.errors import Refusal
from stigmem.core.records import PeerRow
from stigmem.core.token_bucket import TokenBucket
from stigmem.node.callers import PeerCaller, Principal
from stigmem.node.responses import quota_exceeded
from stigmem.node.transaction import Transaction

__all__ = ["Quotas", "slow_down_status"]

_HOUR_S: Final = 3_600


def slow_down_status(row: PeerRow) -> int:
    """The status that tells a peer to come back later."""
    # A 429 stops a reference subscriber for all of its peers (federation 0.2).
    return 503 if row.dialect == "0.5" else 429


class Quotas:
    """Buckets and counts under a kind and a name: kinds are ours (`fact_write`, `push`), names are callers'."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._pulls: dict[str, TokenBucket] = {}
        self._audit_rows: dict[str, TokenBucket] = {}
        self._under_way: dict[tuple[str, str], int] = {}
        self.suppressed = 0
        """Audit rows not written because callers caused too many, since the last row that told how many they were."""

    # --- rates ---

    def wait_s(self, kind: str, name: str, burst: float, per_s: float, monotonic_ns: int, amount: float = 1.0) -> float:
        """Take `amount`; 0.0 when it was there, else the seconds until it will be. `burst`: how many at once, `per_s`:
        how many a second in the long run; both count when the bucket is made."""
        bucket = self._buckets.get((kind, name))
        if bucket is None:
            bucket = self._buckets[kind, name] = TokenBucket(burst, per_s, monotonic_ns)
            if len(self._buckets) > limits.QUOTA_NAMES_MAX:
                del self._buckets[next(iter(self._buckets))]
        return bucket.take(monotonic_ns, amount)

    def charge(
        self, txn: Transaction, principal: Principal, dimension: Literal["fact_write", "fact_read"], facts: int = 1
    ) -> None:
        """Take facts to be written, or one request that reads, from what the principal's entity may do; over all of its
        keys. An hour's worth may come at once (http-api 4.5).

        Raises Refusal 429, and 413 for more facts than may ever come at once.
        """
        per_s = txn.settings.write_per_s if dimension == "fact_write" else txn.settings.read_per_s
        if not (per_s and principal.key_id):  # whoever needs no key has no limit either (http-api 4.5)
            return
        burst = max(1.0, round(_HOUR_S * per_s))
        if facts > burst:
            message = f"{facts} facts at once are more than an hour's {burst:.0f} of this entity; send them in parts"
            raise Refusal(413, "above_hourly_limit", message)
        wait_s = self.wait_s(dimension, principal.entity_uri, burst, per_s, txn.monotonic_ns, facts)
        if wait_s:
            if self.may_audit(principal.entity_uri, txn.monotonic_ns):
                txn.audit("quota_breach", principal.entity_uri, dimension=dimension)
            raise quota_exceeded(dimension, principal.entity_uri, wait_s)

    def charge_pull(self, txn: Transaction, caller: PeerCaller) -> None:
        """Take one pull from the peer's bucket; raises Refusal 429, or 503 toward dialect 0.5."""
        row = caller.row
        bucket = self._pulls.get(row.peer_id)
        if bucket is None:
            settings = txn.settings
            bucket = TokenBucket(settings.pull_burst, settings.pull_rate_per_s, txn.monotonic_ns)
            self._pulls[row.peer_id] = bucket
        wait_s = bucket.take(txn.monotonic_ns)
        if wait_s:
            raise quota_exceeded("federation_pull", row.node_id, wait_s, status=slow_down_status(row))

    # --- audit rows that callers cause ---

    def may_audit(self, who: str, monotonic_ns: int) -> bool:
        """Whether one more row of what somebody causes by asking may be written now. Each peer and principal has a
        ration; all unknown names together have one, the empty name's, since anybody can call himself anything. What
        exceeds it is counted in `suppressed`."""
        bucket = self._audit_rows.get(who)
        if bucket is None:
            per_minute = float(limits.STRANGER_AUDIT_ROWS_PER_MINUTE)
            bucket = self._audit_rows[who] = TokenBucket(per_minute, per_minute / 60.0, monotonic_ns)
        if bucket.take(monotonic_ns) == 0.0:
            return True
        self.suppressed += 1
        return False

    # --- what is under way ---

    def enter(self, kind: str, name: str, most: int) -> bool:
        """Begin something, unless `most` of it are under way; whoever began must `leave`."""
        count = self._under_way.get((kind, name), 0)
        if count >= most:
            return False
        self._under_way[kind, name] = count + 1
        return True

    def leave(self, kind: str, name: str) -> None:
        """End something that was begun with `enter`; KeyError when nothing was."""
        left = self._under_way[kind, name] - 1
        if left:
            self._under_way[kind, name] = left
        else:
            del self._under_way[kind, name]
