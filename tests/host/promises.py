"""What a node has promised by its answers, and whether what it holds after a crash keeps every promise.

Values in, sentences out: nothing here knows whether the node was a process on SQLite or a machine of the laboratory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stigmem.core.audit import AuditRow, verify
from stigmem.core.fact import Fact
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import CursorRow, KeyRow, PeerRow, Receipt, Record

__all__ = ["Held", "Promises", "held"]


@dataclass
class Held:
    """What a node's disk holds, by kind."""

    facts: list[Fact] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)
    nonces: set[bytes] = field(default_factory=set)
    keys: dict[str, KeyRow] = field(default_factory=dict)
    peers: dict[str, PeerRow] = field(default_factory=dict)
    cursors: dict[str, CursorRow] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)


def held(records: Sequence[Record]) -> Held:
    """Records in order, the last of each name standing."""
    found = Held()
    for record in records:
        if isinstance(record, Fact):
            found.facts.append(record)
        elif isinstance(record, AuditRow):
            found.audit.append(record)
        elif isinstance(record, SpentNonce):
            found.nonces.add(record.digest)
        elif isinstance(record, PeerRow):
            found.peers[record.peer_id] = record
        elif isinstance(record, CursorRow):
            found.cursors[record.peer_id] = record
        elif isinstance(record, Receipt):
            found.receipts[record.key] = record
        elif isinstance(record, KeyRow) and record.verifier:
            found.keys[record.key_id] = record
        elif isinstance(record, KeyRow):
            found.keys.pop(record.key_id, None)
    return found


@dataclass
class Promises:
    """Everything that was answered. Each list is in the order of the answers."""

    writes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fact id -> the record that the answer showed."""
    batches: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Body sent with an idempotency key, and the answer."""
    tokens: list[tuple[str, str]] = field(default_factory=list)
    """Peer token that was taken, and its nonce."""
    keys: dict[str, str] = field(default_factory=dict)
    """Entity -> secret of a key that was made and not revoked since."""
    revoked: dict[str, str] = field(default_factory=dict)
    seen: dict[str, None] = field(default_factory=dict)
    """Ids of the peer's facts that an answer showed."""
    heads: dict[int, str] = field(default_factory=dict)
    """Audit rows that were read: sequence number -> hash."""
    taken: int = 0
    """Facts of the peer that were stored when somebody last looked."""
    answers: int = 0
    """Writes and batches that were answered."""
    cut: int = 0
    """Requests that a kill left without an answer."""

    def broken(self, found: Held, node_id: str, peer_id: str, peer_wrote: Sequence[str]) -> list[str]:
        """What is not as promised; `peer_wrote` are the ids of the peer's own facts in the order it serves them."""
        wrong = [*self._facts(found, node_id), *self._audit(found, node_id), *self._rest(found)]
        wrong += self._cursor(found, peer_id, peer_wrote)
        self.heads.update({row.seq: row.hash for row in found.audit})
        return wrong

    def _facts(self, found: Held, node_id: str) -> list[str]:
        wrong = []
        by_id = {fact.id: fact for fact in found.facts}
        if [fact.seq for fact in found.facts] != list(range(1, len(found.facts) + 1)) or len(by_id) != len(found.facts):
            wrong.append("facts have gaps, or are there twice")
        own = [fact.stamp for fact in found.facts if fact.origin == node_id]
        if own != sorted(set(own)):
            wrong.append("a stamp was issued twice, or an older one after a newer one")
        for fact_id, record in self.writes.items():
            fact = by_id.get(fact_id)
            if fact is None:
                wrong.append(f"fact {fact_id} was acknowledged and is gone")
            elif (fact.cid, fact.entity, fact.text) != (record["cid"], record["entity"], record["value"]["v"]):
                wrong.append(f"fact {fact_id} is not what was acknowledged")
        wrong += [f"fact {fact_id} of the peer was shown and is gone" for fact_id in self.seen if fact_id not in by_id]
        return wrong

    def _audit(self, found: Held, node_id: str) -> list[str]:
        _, reason = verify(found.audit)
        wrong = [f"the audit chain is broken: {reason}"] if reason else []
        hashes = {row.seq: row.hash for row in found.audit}
        wrong += [f"audit row {seq} is gone or another" for seq, told in self.heads.items() if hashes.get(seq) != told]
        told = [row.fact_id for row in found.audit if row.event == "fact_write"]
        if sorted(map(str, told)) != sorted(fact.id for fact in found.facts if fact.origin == node_id):
            wrong.append("the audit log and the facts do not tell of the same writes")
        events = [row.event for row in found.audit]
        if events.count("key_created") - events.count("key_revoked") != len(found.keys):
            wrong.append("the audit log and the keys do not tell of the same keys")
        return wrong

    def _rest(self, found: Held) -> list[str]:
        wrong = []
        for _, nonce in self.tokens:
            if hashlib.blake2b(nonce.encode(), digest_size=16).digest() not in found.nonces:
                wrong.append(f"nonce {nonce} was spent and is forgotten")
        entities = [row.entity_uri for row in found.keys.values()]
        wrong += [f"the key of {entity} was made and is gone" for entity in self.keys if entity not in entities]
        wrong += [f"the key of {entity} was revoked and is there" for entity in self.revoked if entity in entities]
        answers = [row.response for row in found.receipts.values()]
        wrong += ["the receipt of a batch is gone" for _, answer in self.batches if answer not in answers]
        return wrong

    def _cursor(self, found: Held, peer_id: str, peer_wrote: Sequence[str]) -> list[str]:
        row = next((c for c in found.cursors.values() if found.peers[c.peer_id].node_id == peer_id), None)
        if row is None:
            return ["the peer's cursor is gone"]
        received = [fact.id for fact in found.facts if fact.origin == peer_id]
        wrong = []
        if row.taken != len(received) or received != list(peer_wrote[: len(received)]):
            wrong.append(f"the cursor has taken {row.taken} facts, and {len(received)} of the peer's are there")
        if row.taken < self.taken:
            wrong.append(f"the cursor went back from {self.taken} facts to {row.taken}")
        self.taken = row.taken
        return wrong
