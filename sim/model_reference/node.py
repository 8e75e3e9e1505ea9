"""One life of a node of the model: its parts, and how a fact comes to be stored (contract, 3.5 and 3.7).

A fact is stored with a stamp of this node's own, whoever wrote it, and is in conflict with every live fact of its slot,
of whatever value. Each is a transaction of its own: what stood before a bad fact on a page stays stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from sim.model_reference.facts import Aborted, StoredFact, check_columns, check_record
from sim.model_reference.journal import ReferenceJournal
from sim.model_reference.stamps import Skewed, StampClock
from sim.model_reference.store import ReferenceStore
from sim.world.ports import SimClock, SimEntropy, SimTransport
from stigmem.core.keys import Signer, Suite
from stigmem.core.scopes import Scope

__all__ = ["Identity", "Ports", "ReferenceNode"]

_MS: Final = 1_000_000


class Ports(NamedTuple):
    """What a node reaches the world by."""

    clock: SimClock
    entropy: SimEntropy
    transport: SimTransport
    journal: ReferenceJournal


class Identity(NamedTuple):
    """Who a node is, and what its operator set."""

    node_id: str
    url: str
    signer: Signer
    suite: Suite
    allow_team: bool
    pull_interval_ns: int


class ReferenceNode:
    """State, clock and ports, and the few things that both the API and the puller do with them."""

    def __init__(self, identity: Identity, ports: Ports, stored: Callable[[StoredFact], None]) -> None:
        """`stored` is told of every fact when it is on the disk."""
        self.identity = identity
        self.clock, self.entropy, self.transport, self._journal = ports
        self.store = ReferenceStore()
        self.stamps = StampClock(lambda: self.now_ms)
        self._stored = stored

    @property
    def now_ms(self) -> int:
        return self.clock.wall_ns() // _MS

    def uuid(self) -> str:
        """A random id of version 4."""
        digits = self.entropy.token(16).hex()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def restore(self, transactions: Iterable[dict[str, Any]]) -> None:
        """Take in what was on the disk."""
        for transaction in transactions:
            self.store.apply(transaction)

    async def commit(self, **transaction: Any) -> None:
        """Put a transaction on the disk, and then into force. Raises JournalFull."""
        plain = msgspec.to_builtins(transaction)
        await self._journal.commit(plain)
        self.store.apply(plain)

    async def insert(self, fact: StoredFact, **more: Any) -> None:
        """Store a new fact with the conflicts that it brings. Raises JournalFull."""
        await self.commit(fact=fact, moot=self.store.moot(fact, self.now_ms / 1e3), **more)
        self._stored(fact)

    async def ingest(self, record: Any, sender: str) -> None:
        """Take in one record of a page. Raises Aborted, and JournalFull."""
        known = self.store.facts.get(record["id"]) if isinstance(record, dict) and _is_name(record) else None
        fact = check_record(record, known)
        if fact is None:
            return
        try:
            fact.hlc = self.stamps.receive(fact.hlc) if fact.hlc else self.stamps.tick()
        except (Skewed, ValueError, AttributeError) as error:
            raise Aborted(f"peer_hlc_anomaly: {error!r:.60}") from error
        fact.received_from = sender
        check_columns(fact)
        await self.insert(fact)


def _is_name(record: dict[str, Any]) -> bool:
    return isinstance(record.get("id"), str)


def scopes_of(names: Iterable[Any], *, allow_team: bool) -> frozenset[Scope]:
    """What of some scopes may leave a node at all."""
    allowed: tuple[Scope, ...] = ("team", "company", "public") if allow_team else ("company", "public")
    given = list(names)
    return frozenset(scope for scope in allowed if scope in given)
