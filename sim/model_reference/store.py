"""What a node of the model holds, and what it serves to whom (contract, 3.1, 3.5 and 3.7).

Everything is changed by `apply` of a transaction, which is what is on the disk as well, so that a restart leads to the
same state. A transaction is a dict with some of: `fact`, `moot` (facts of its slot that it is in no conflict with),
`peer`, `cursor`, `nonce`, `settled` (two facts whose conflict is resolved).

A fact is in conflict with every fact of its slot that was live when it came, so that conflicts grow with the square of
a slot. They are therefore counted and not kept: a pair is open unless it was moot or is settled.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from sim.model_reference.facts import StoredFact

__all__ = [
    "Peer",
    "ReferenceStore",
]


class Peer(msgspec.Struct, kw_only=True):
    """A registered peer."""

    peer_id: str
    node_id: str
    node_url: str
    public_key: str
    scopes: list[str]
    status: str
    """`pending_verification`, `pending_approval`, `rejected` or `active`."""


class ReferenceStore:
    """The state of one node."""

    def __init__(self) -> None:
        self.facts: dict[str, StoredFact] = {}
        """By id, in the order of storing."""
        self.peers: dict[str, Peer] = {}
        """By node id, in the order of registration."""
        self.cursors: dict[str, Any] = {}
        """Peer id -> where the last page ended."""
        self.nonces: dict[str, int] = {}
        """Nonce -> until when it is kept, in ms."""
        self.closed: dict[tuple[str, str], None] = {}
        """Pairs of one slot, the later fact first, that are no open conflict: moot from the start, or settled."""
        self.open_conflicts = 0
        self._places: dict[str, int] = {}
        """Fact -> how many of its slot came before it."""
        self._slots: dict[tuple[str, str, str], list[str]] = {}
        self._served: list[tuple[str, str]] = []
        """(stamp, id) of what may be served at all, in the order of the text of stamps."""

    def apply(self, transaction: dict[str, Any]) -> None:
        """Change the state by a transaction that is on the disk."""
        if "fact" in transaction:
            self._add(msgspec.convert(transaction["fact"], StoredFact), transaction.get("moot", ()))
        if "settled" in transaction:
            newer, older = transaction["settled"]
            self.open_conflicts -= (newer, older) not in self.closed
            self.closed[newer, older] = None
        if "peer" in transaction:
            peer = msgspec.convert(transaction["peer"], Peer)
            self.peers[peer.node_id] = peer
        if "cursor" in transaction:
            peer_id, cursor = transaction["cursor"]
            self.cursors[peer_id] = cursor
        if "nonce" in transaction:
            nonce, until_ms, now_ms = transaction["nonce"]
            for old in [each for each, end in self.nonces.items() if end < now_ms]:
                del self.nonces[old]
            self.nonces[nonce] = until_ms

    def _add(self, fact: StoredFact, moot: Sequence[str]) -> None:
        self.facts[fact.id] = fact
        slot = self._slots.setdefault(fact.slot, [])
        self._places[fact.id] = len(slot)
        self.open_conflicts += len(slot) - len(moot)
        self.closed.update(((fact.id, older), None) for older in moot)
        slot.append(fact.id)
        hidden = fact.entity.startswith("stigmem:conflict:") or fact.relation.startswith("stigmem:")
        if fact.received_from is None and not hidden and not fact.derived:
            insort(self._served, (fact.hlc, fact.id))

    def moot(self, fact: StoredFact, now_s: float) -> list[str]:
        """The facts of its slot that a new one is in no conflict with: retractions, and what has expired. Values do not
        matter."""
        found = [self.facts[fact_id] for fact_id in self._slots.get(fact.slot, ())]
        return [each.id for each in found if not each.confidence > 0 or each.is_expired(now_s)]

    def is_open(self, one: str, other: str) -> bool:
        """Whether this node shows an open conflict between two facts."""
        first, second = self.facts.get(one), self.facts.get(other)
        if first is None or second is None or first.slot != second.slot or one == other:
            return False
        newer, older = (one, other) if self._places[one] > self._places[other] else (other, one)
        return (newer, older) not in self.closed

    def open_pairs(self) -> Iterator[tuple[str, str]]:
        """Every open conflict, the later fact first."""
        for slot in self._slots.values():
            for place, newer in enumerate(slot):
                yield from ((newer, older) for older in slot[:place] if (newer, older) not in self.closed)

    def page(self, scopes: frozenset[str], cursor: str | None, limit: int) -> tuple[list[StoredFact], bool]:
        """The next facts behind a cursor, as texts compare, and whether there are more."""
        found: list[StoredFact] = []
        start = 0 if cursor is None else bisect_right(self._served, cursor, key=lambda each: each[0])
        for _, fact_id in self._served[start:]:
            fact = self.facts[fact_id]
            if fact.scope in scopes:
                if len(found) == limit:
                    return found, True
                found.append(fact)
        return found, False
