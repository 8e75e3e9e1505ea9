"""What a journal holds: the typed records from which a node's whole state is rebuilt.

A record is a fact of the past and never changes; state is the fold of the records in order
(`stigmem.node.state`). The simulated disk keeps their bytes, the SQLite journal a table per type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from stigmem.core.attestation import Attestation
from stigmem.core.audit import AuditRow, erased
from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp
from stigmem.core.nonces import SpentNonce
from stigmem.core.tombstone import Revocation, Tombstone

__all__ = [
    "AgentKeyRow", "AliasRow", "AttestedFact", "ClockDoubt", "ClockMark", "ClockReset", "CursorRow", "DeadLetter",
    "DeliveryMark", "ErasedAudit", "GardenFact", "GardenMember", "GardenRole", "GardenRow", "HorizonMark", "Husk",
    "KeyRow", "OriginRow", "PeerRow", "QuarantineRow", "Receipt", "Record", "RevocationRow", "StatedTrust",
    "SubscriptionRow", "SweptFact", "SweptGardenFact", "TombstoneRow", "audit_rows", "compacted", "decode_record",
    "encode_record",
]  # fmt: skip


class ClockMark(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="clock"):
    """High-water mark of the hybrid clock: no stamp up to this one may be issued again, whatever the wall clock
    says."""

    stamp: Stamp


class ClockReset(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="clock_reset"):
    """The hybrid clock goes on from `stamp` again, which lies behind stamps that were issued: their facts were voided.
    `used` is the newest of those; until the clock has passed it, no stamp of a fact of this node is issued again."""

    stamp: Stamp
    used: Stamp


class ClockDoubt(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="clock_doubt"):
    """The wall clock jumped ahead and is not believed; `line_ms` is the time that the node goes by instead, in ms since
    the epoch. 0: the doubt is over."""

    line_ms: int


class PeerRow(msgspec.Struct, frozen=True, array_like=True, tag="peer"):
    """One peer as this node knows it (federation 2.4). `status` is one of `stigmem.core.declaration`; an empty one is a
    deleted row. `established_us`: when it was approved, in microseconds since the epoch, or None. `reason`: why it was
    rejected, or empty."""

    peer_id: str
    node_id: str
    node_url: str
    public_key: str
    scopes: tuple[str, ...]
    status: str
    dialect: str
    entity_uri: str = ""
    established_us: int | None = None
    reason: str = ""

    @property
    def is_deleted(self) -> bool:
        """Whether this record says that the peer is gone, with its cursor and letters."""
        return not self.status

    def deleted(self) -> PeerRow:
        """The record that deletes this peer."""
        return msgspec.structs.replace(self, status="")


class CursorRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="cursor"):
    """How far this node has read a peer. `cursor` is the peer's own text, None before its first page; `watermark` our
    newest sequence number at that moment, `drained` whether the peer's history had been read to its end, `taken` how
    many facts came from it in all, `updated_us` our wall clock in microseconds since the epoch."""

    peer_id: str
    cursor: str | None
    watermark: int
    drained: bool
    taken: int = 0
    updated_us: int = 0


class OriginRow(msgspec.Struct, frozen=True, array_like=True, tag="origin"):
    """The key of a node whose facts may arrive through others.

    `how`: `certified` (the node id is the key's hash), `pinned` (an operator or our own handshake) or
    `vouched` (on the word of a peer). `vouched_by` is the peer that brought a `vouched` or `certified` one.
    `manifest` is its JSON text, or empty.
    """

    node_id: str
    public_key: str
    how: str
    vouched_by: str = ""
    manifest: str = ""

    @property
    def is_bound(self) -> bool:
        """Whether a key speaks for the origin. A peer whose manifest is bad has a row and no key."""
        return bool(self.public_key)


class DeadLetter(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="letter"):
    """A rejected fact, remembered so that reading it again is not audited again.

    `name` is its fact id, or a hash of its bytes. `raw` and `retry_ms` (wall time in ms since the epoch) are set on a
    fact that was only too early: it is tried again then. With the code `origin_unresolvable`, `raw` is the node id of
    the origin whose key is missing. With `origin_quota`, the letter is about an origin and not about a fact: from the
    cursor `raw` the peer is read again at `retry_ms`. An empty code takes all letters of the name back.
    """

    peer_id: str
    name: str
    code: str
    raw: bytes | None = None
    retry_ms: int | None = None

    @classmethod
    def cleared(cls, peer_id: str, name: str) -> DeadLetter:
        """The record that takes all letters of a name back: the fact has been stored."""
        return cls(peer_id, name, "")

    @classmethod
    def deferred(cls, peer_id: str, name: str, code: str, raw: bytes, retry_ms: int) -> DeadLetter:
        """A fact that is only too early; `raw` is its entry as it came."""
        return cls(peer_id, name, code, raw, retry_ms)

    @classmethod
    def for_origin(cls, peer_id: str, name: str, origin: str) -> DeadLetter:
        """A fact whose origin's key is not known."""
        return cls(peer_id, name, "origin_unresolvable", origin.encode())

    @classmethod
    def for_quota(cls, peer_id: str, origin: str, cursor: str | None, retry_ms: int) -> DeadLetter:
        """An origin of whose facts this peer has more than may be taken in before `retry_ms`: what it served since
        `cursor` is read again then."""
        return cls(peer_id, cls.name_of_quota(origin), "origin_quota", (cursor or "").encode(), retry_ms)

    @staticmethod
    def name_of_quota(origin: str) -> str:
        """What a letter about an origin is called."""
        return f"origin:{origin}"

    @property
    def is_cleared(self) -> bool:
        return not self.code

    @property
    def is_rereading(self) -> bool:
        """Whether the peer is read again at `retry_ms`, from the cursor in `raw` (empty for its beginning)."""
        return self.code == "origin_quota"

    @property
    def is_deferred(self) -> bool:
        """Whether the fact is tried again by itself, at `retry_ms`."""
        return self.retry_ms is not None and not self.is_rereading

    @property
    def missing_origin(self) -> str:
        """The node id of the origin whose key is missing; empty when something else is wrong."""
        return self.raw.decode() if self.code == "origin_unresolvable" and self.raw else ""


class KeyRow(msgspec.Struct, frozen=True, array_like=True, tag="key"):
    """An API key: Argon2id text of the secret, never the secret. An empty `verifier` is a deleted key."""

    key_id: str
    entity_uri: str
    verifier: str
    permissions: tuple[str, ...]
    scopes: tuple[str, ...]
    description: str
    created_us: int
    expires_us: int | None

    @property
    def is_deleted(self) -> bool:
        """Whether this record says that the key is gone."""
        return not self.verifier

    def has_expired(self, now_us: int) -> bool:
        """Whether its time is over at this instant, in microseconds since the epoch."""
        return self.expires_us is not None and self.expires_us <= now_us

    def deleted(self) -> KeyRow:
        """The record that deletes this key."""
        return msgspec.structs.replace(self, verifier="")


class AgentKeyRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="agent_key"):
    """An agent's public key (`stigmem.core.attestation`), of the entity `entity_uri`. Instants are in microseconds
    since the epoch by this node's wall clock; `revoked_us` is 0 for a key that is not revoked. An empty `public_key` is
    a deleted row."""

    key_id: str
    entity_uri: str
    public_key: str
    description: str
    registered_us: int
    expires_us: int | None
    revoked_us: int = 0

    @property
    def is_deleted(self) -> bool:
        return not self.public_key

    def has_expired(self, now_us: int) -> bool:
        """Whether its time is over at this instant, in microseconds since the epoch."""
        return self.expires_us is not None and self.expires_us <= now_us

    def deleted(self) -> AgentKeyRow:
        """The record that deletes this key, as if it had never been."""
        return msgspec.structs.replace(self, public_key="")


class AttestedFact(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="attested"):
    """An attestation that was verified when it came, beside the fact of this origin and id, whose stamp it repeats.
    None where it went with its fact: that was erased."""

    origin: str
    fact_id: str
    stamp: Stamp
    attestation: Attestation | None

    @property
    def is_deleted(self) -> bool:
        return self.attestation is None

    def deleted(self) -> AttestedFact:
        """The record that deletes this one."""
        return msgspec.structs.replace(self, attestation=None)


class Receipt(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="receipt"):
    """What an idempotency key was answered: hash of the request's body, and the response's bytes."""

    key: str
    body_hash: str
    response: bytes
    at_us: int

    @property
    def is_deleted(self) -> bool:
        """Whether this record says that the answer is gone."""
        return self.at_us < 0

    def deleted(self) -> Receipt:
        """The record that deletes this receipt."""
        return Receipt(self.key, "", b"", -1)


class SubscriptionRow(msgspec.Struct, frozen=True, array_like=True, tag="subscription"):
    """Somebody who is told of facts by a webhook (http-api 3.15).

    `target_kind` is `scope` or `entity`, `on_change` `webhook` or `wake`; an empty one is a deleted row. `scopes`: what
    the subscriber could read when it subscribed. `begins_after`: our newest sequence number at that moment. `has_key`:
    whether it came with an API key, without which it then hears nothing.
    """

    subscription_id: str
    subscriber: str
    target: str
    target_kind: str
    on_change: str
    address: str
    idempotency_key: str
    scopes: tuple[str, ...]
    begins_after: int
    has_key: bool
    created_us: int

    @property
    def is_deleted(self) -> bool:
        """Whether this record says that the subscription is gone, with its marks."""
        return not self.on_change

    def deleted(self) -> SubscriptionRow:
        """The record that deletes this subscription."""
        return msgspec.structs.replace(self, on_change="")


class DeliveryMark(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="delivery"):
    """How far a subscriber has been told: everything up to local sequence number `seq` was taken, refused for good or
    is none of its business. `at_us`: when it last took something, in microseconds since the epoch; 0 before that.
    `refused`: the status with which the fact at `seq` was refused for good; 0 when it was not."""

    subscription_id: str
    seq: int
    at_us: int
    refused: int = 0


GardenRole = Literal["admin", "writer", "reader", "quarantine:moderator"]
"""What a member of a garden may do (http-api 3.13): all of it, write and read, read, or decide on what waits there."""


class GardenMember(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One member of a garden; `entity_uri` as whoever added it wrote it."""

    entity_uri: str
    role: GardenRole
    added_by: str
    added_us: int


class GardenRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="garden"):
    """A garden with its members. Each change is the whole row anew; an empty slug is a deleted garden.

    `is_quarantine`: whether it is one for facts that wait to be admitted. `created_us`: this node's wall clock in
    microseconds since the epoch.
    """

    garden_id: str
    slug: str
    name: str
    scope: str
    description: str | None
    created_by: str
    created_us: int
    is_quarantine: bool
    members: tuple[GardenMember, ...]

    @property
    def is_deleted(self) -> bool:
        """Whether this record says that the garden is gone."""
        return not self.slug

    def deleted(self) -> GardenRow:
        """The record that deletes this garden."""
        return msgspec.structs.replace(self, slug="", members=())


class GardenFact(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="garden_fact"):
    """A fact in a garden. Its `seq` counts within the garden; it is no `Fact` record, so that nothing that deals with
    the facts of a node can meet it by accident."""

    garden_id: str
    fact: Fact


class SweptGardenFact(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="swept_garden_fact"):
    """A sweep ended a fact of a garden for its members: the one with this sequence number within the garden."""

    garden_id: str
    seq: int
    at_us: int


class SweptFact(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="swept"):
    """A sweep ended a fact for the readers of this node (`stigmem.core.decay`): the fact with local sequence number
    `seq`, at `at_us`, in microseconds since the epoch. No peer is told."""

    seq: int
    at_us: int


class StatedTrust(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="stated_trust"):
    """The trust class that the author of a fact of this node stated (`stigmem.core.trust`), the latest one if there
    are several. No peer is told."""

    fact_id: str
    trust_class: str


class HorizonMark(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="horizon"):
    """A batch stored facts: those with local sequence numbers above `after`, up to `seq`. `horizon_us`: the instant up
    to which expiry was applied then, in microseconds since the epoch; `sweeps`: how many facts sweeps had ended. What
    this node answered at that moment can be told again from it (`stigmem.core.past`)."""

    after: int
    seq: int
    horizon_us: int
    sweeps: int


class AliasRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="alias"):
    """Another name of an entity (http-api 2.3), both normalised. An empty `canonical` is a deleted row. `by`: who gave
    it, with a key for these `scopes`."""

    raw: str
    canonical: str
    by: str
    scopes: tuple[str, ...]
    created_us: int

    @property
    def is_deleted(self) -> bool:
        return not self.canonical


class QuarantineRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="quarantine"):
    """A fact that was held back, and the decision on it. `arrived_us` and `acted_us`: this node's wall clock in
    microseconds since the epoch; `arrived_us` is 0 where it was not recorded. `acted_by`, `note` and `garden_id` (into
    which garden it was admitted, empty for none) are of the decision."""

    origin: str
    fact_id: str
    status: Literal["pending", "promoted", "rejected"]
    arrived_us: int
    acted_by: str = ""
    acted_us: int = 0
    note: str = ""
    garden_id: str = ""


class TombstoneRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="tombstone"):
    """An entity is to be forgotten: the one place in a journal where its name stays.

    `husk_key`: hex, what the hashes in husks are made with. `arrived_us`: this node's wall clock. `received_from`: node
    id of the peer that brought it, None for one that was made here. `finished_us`: when everything that it covers was
    out of the journal, or 0.
    """

    tombstone: Tombstone
    husk_key: str
    arrived_us: int
    received_from: str | None = None
    finished_us: int = 0


class RevocationRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="tombrevoke"):
    """A tombstone counts no more; members as in `TombstoneRow`."""

    revocation: Revocation
    arrived_us: int
    received_from: str | None = None


class Husk(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="husk"):
    """A fact was erased: what is left of it takes its place (`stigmem.core.erasure`). `garden_id` is empty for facts
    of the node itself."""

    fact: Fact
    garden_id: str = ""


class ErasedAudit(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="erased_audit"):
    """What the audit row `seq` said was erased; its `commitment` stays."""

    seq: int
    commitment: str


Record = (
    Fact
    | AuditRow
    | SpentNonce
    | ClockMark
    | ClockReset
    | ClockDoubt
    | PeerRow
    | CursorRow
    | OriginRow
    | DeadLetter
    | KeyRow
    | AgentKeyRow
    | AttestedFact
    | Receipt
    | SubscriptionRow
    | DeliveryMark
    | GardenRow
    | GardenFact
    | SweptFact
    | SweptGardenFact
    | StatedTrust
    | HorizonMark
    | AliasRow
    | QuarantineRow
    | TombstoneRow
    | RevocationRow
    | Husk
    | ErasedAudit
)


def audit_rows(records: Iterable[Record]) -> list[AuditRow]:
    """The audit log that records come to, oldest row first: what was erased of it is gone."""
    rows: dict[int, AuditRow] = {}
    for record in records:
        if isinstance(record, AuditRow):
            rows[record.seq] = record
        elif isinstance(record, ErasedAudit):
            rows[record.seq] = erased(rows[record.seq])
    return list(rows.values())


def _place(record: Record) -> tuple[str, ...] | None:
    """What a record is the newest state of, for those of which the newest says everything."""
    if isinstance(record, KeyRow):
        return ("key", record.key_id)
    if isinstance(record, AgentKeyRow):
        return ("agent_key", record.key_id)
    if isinstance(record, AttestedFact):
        return ("attested", record.origin, record.fact_id)
    if isinstance(record, GardenRow):
        return ("garden", record.garden_id)
    if isinstance(record, AliasRow):
        return ("alias", record.raw)
    if isinstance(record, SubscriptionRow):
        return ("subscription", record.subscription_id)
    if isinstance(record, StatedTrust):
        return ("trust", record.fact_id)
    return ("quarantine", record.origin, record.fact_id) if isinstance(record, QuarantineRow) else None


def compacted(batches: Iterable[Sequence[Record]]) -> list[list[Record]]:
    """Batches that come to the same without what was erased: for journals that keep records as they came."""
    held = [list(batch) for batch in batches]
    every = [record for batch in held for record in batch]
    husks = {(record.garden_id, record.fact.seq): record.fact for record in every if isinstance(record, Husk)}
    rows = {row.seq: row for row in audit_rows(every)}
    receipts = {record.key: record for record in every if isinstance(record, Receipt)}
    newest = {name: record for record in every if (name := _place(record)) is not None}
    letters = {(record.peer_id, record.name): record for record in every if isinstance(record, DeadLetter)}

    def replaced(record: Record) -> Record | None:
        if isinstance(record, Fact):
            return husks.get(("", record.seq), record)
        if isinstance(record, GardenFact):
            garden = newest.get(("garden", record.garden_id))
            if isinstance(garden, GardenRow) and garden.is_deleted:
                return None
            husk = husks.get((record.garden_id, record.fact.seq))
            return record if husk is None else GardenFact(record.garden_id, husk)
        if isinstance(record, AuditRow):
            return rows[record.seq]
        if isinstance(record, Receipt):
            return None if receipts[record.key].is_deleted else record
        name = _place(record)
        if name is not None:
            found = newest[name]
            deletable = (KeyRow, AgentKeyRow, AttestedFact, AliasRow, SubscriptionRow)
            return None if isinstance(found, deletable) and found.is_deleted else found
        if isinstance(record, DeadLetter) and letters[record.peer_id, record.name].is_cleared:
            return DeadLetter.cleared(record.peer_id, record.name)
        return record

    return [[new for record in batch if (new := replaced(record)) is not None] for batch in held]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Record]] = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """The MessagePack bytes of a record, as the journals keep them."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """A record from its bytes; raises ValueError when they are none."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a journal record: {error}") from error
