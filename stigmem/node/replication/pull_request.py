"""The question that a puller asks a peer: where to go on, how much, and what it need not be sent again.

Text only: who asks, when, and what the answer is worth are the puller's. What a peer makes of the hint is
`stigmem.node.replication.page_server`'s (spec/replication.md, 1).
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Final
from urllib.parse import quote_plus

from stigmem.core import limits
from stigmem.core.ledger import Ledger

__all__ = ["HOLDING_HEADER", "AlreadyHeldHint", "held_by_asker", "target"]

HOLDING_HEADER: Final = "stigmem-holding"
_PULLS: Final = 2
"""How many pulls long a fact is named. A neighbour that may have it from us has it within an interval of its own, and
is asked for it at most one of ours later."""
_SCOPES: Final = ("public",)
_NONE: Final[frozenset[str]] = frozenset()


class AlreadyHeldHint:
    """What a puller took from others while it did not ask this peer: public facts that it would serve the peer itself,
    so that naming them tells nothing new."""

    __slots__ = ("_ledger", "_marks", "_named", "_seen")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = ledger.last_seq
        self._marks = deque([self._seen] * _PULLS, _PULLS)
        """Where the ledger ended at the latest pulls, the oldest first."""
        self._named: deque[tuple[int, str, str]] = deque(maxlen=limits.HOLDING_NAMED_MAX)
        """Sequence number and id of what is named, and whom it came from."""

    def names(self, peer_node_id: str, *, with_its_own: bool = False) -> str:
        """The newest facts taken since some pulls ago, by their ids, which certify what they name; empty when there
        are none. Our own are left out: nobody serves those to us. So are those that the peer brought, unless it may not
        have moved its cursor past them (`with_its_own`)."""
        ledger, named = self._ledger, self._named
        if ledger.last_seq > self._seen:
            begin = max(self._seen, ledger.last_seq - limits.HOLDING_LOOKED_AT_MAX)
            for fact in ledger.exported(_SCOPES, begin):
                if fact.received_from is not None:
                    named.append((fact.seq, fact.id, fact.received_from))
            self._seen = ledger.last_seq
        while named and named[0][0] <= self._marks[0]:
            named.popleft()
        return ",".join([name for _, name, brought in named if with_its_own or brought != peer_node_id])

    def answered(self, asked_seq: int) -> None:
        """The peer answered what was asked when the ledger ended at `asked_seq`."""
        self._marks.append(asked_seq)


@lru_cache(maxsize=64)
def held_by_asker(header: str) -> frozenset[str]:
    """The ids that a question names; one that names more than a puller of ours would, names none."""
    return frozenset(header.split(",")) if 0 < len(header) <= limits.HOLDING_CHARS_MAX else _NONE


@lru_cache(maxsize=1_024)
def target(limit: int, cursor: str | None, wait_s: float, *, echo: bool) -> str:
    """Path and query of a pull."""
    at = "" if cursor is None else f"&cursor={_quoted(cursor)}"
    held = f"&wait={quote_plus(f'{wait_s:g}')}" if wait_s else ""
    return f"/v1/federation/facts?limit={limit}{at}{held}{'&echo=true' if echo else ''}"


def _quoted(cursor: str) -> str:
    # Our own cursors are `s:` and digits; quoting those by the book costs more than the rest of the request.
    head, _, number = cursor.partition("s:")
    return f"s%3A{number}" if not head and number.isascii() and number.isdigit() else quote_plus(cursor)
