"""Records to rows and back: what the columns of the journal mean.

Every row but those of the audit log, which are chained by hash, carries a checksum over its members, so that a
bit that flipped on the disk is found when the row is read and not believed.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from stigmem.core import limits
from stigmem.core.attestation import Attestation
from stigmem.core.audit import AuditRow, row_hash, unsalted_hash
from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp, format_stamp
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import (
    AgentKeyRow,
    AliasRow,
    AttestedFact,
    ClockDoubt,
    ClockMark,
    ClockReset,
    CursorRow,
    DeadLetter,
    DeliveryMark,
    ErasedAudit,
    GardenFact,
    GardenMember,
    GardenRow,
    HorizonMark,
    Husk,
    KeyRow,
    OriginRow,
    PeerRow,
    QuarantineRow,
    Receipt,
    Record,
    RevocationRow,
    StatedTrust,
    SubscriptionRow,
    SweptFact,
    SweptGardenFact,
    TombstoneRow,
)
from stigmem.core.tombstone import Revocation, Tombstone

__all__ = [
    "AUDIT_COLUMNS", "FACTS", "FACT_COLUMNS", "LOADERS", "REPLACE_AUDIT", "WRITERS", "Damaged", "Loader", "checksum",
    "fact_reader", "read_audit", "read_fact",
]  # fmt: skip

Row = tuple[Any, ...]


class Damaged(Exception):
    """What was read cannot have been written so; the text says what it is."""


_encode: Final = msgspec.msgpack.Encoder().encode
_intern: Final = sys.intern


def checksum(row: Row) -> int:
    """CRC-32 of a row's members."""
    return zlib.crc32(_encode(row))


# --- records to rows: pairs of a statement and its row, in order ---

Write = tuple[str, Row]


def _insert(table: str, columns: str, *, key: str = "", replace: bool = False) -> str:
    """The statement that stores a row: as a new one, over the one of its key in place, or behind all others."""
    names = [*columns.split(", "), "checksum"]
    places = ", ".join("?" * len(names))
    verb = "INSERT OR REPLACE" if replace else "INSERT"
    sql = f"{verb} INTO {table} ({', '.join(names)}) VALUES ({places})"
    if key and not replace:
        changed = ", ".join(f"{name} = excluded.{name}" for name in names if name != key)
        sql += f" ON CONFLICT ({key}) DO UPDATE SET {changed}"
    return sql


FACT_COLUMNS: Final = (
    "stamp, origin, id, entity, relation, scope, source, value_type, value, interpret_as, confidence, timestamp_us, "
    "valid_until, derived_from, signature, entity_uri, origin_scopes, seq, received_from, certified, quarantine"
)
"""The columns of a fact in the order of the struct's members."""
FACTS: Final = f"SELECT {FACT_COLUMNS}, hlc, checksum FROM facts"  # noqa: S608 - a constant of this module
"""Reads rows for `read_fact`; a WHERE may follow."""
_FACT: Final = _insert("facts", FACT_COLUMNS + ", hlc")
AUDIT_COLUMNS: Final = "seq, event, subject, fact_id, detail, ts_us, previous, hash, salt, commitment"
"""The columns of an audit row in the order of the struct's members."""
_AUDIT: Final = f"INSERT INTO audit ({AUDIT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - ours
REPLACE_AUDIT: Final = _AUDIT.replace("INSERT", "INSERT OR REPLACE", 1)
"""Stores an audit row over the one with its number."""
_NONCE_COLUMNS: Final = "digest, peer, until_ms"
_NONCE: Final = _insert("nonces", _NONCE_COLUMNS) + " ON CONFLICT (digest) DO NOTHING"
_CLOCK: Final = _insert("clock", "one, stamp, hlc", key="one") + " WHERE excluded.stamp > clock.stamp"
_RESET: Final = _insert("clock_resets", "one, stamp, used", key="one")
_DOUBT: Final = _insert("clock_doubts", "one, line_ms", key="one")
_PEER_COLUMNS: Final = (
    "peer_id, node_id, node_url, public_key, scopes, status, dialect, entity_uri, established_us, reason"
)
_PEER: Final = _insert("peers", _PEER_COLUMNS, key="peer_id")
_CURSOR_COLUMNS: Final = "peer_id, cursor, watermark, drained, taken, updated_us"
_CURSOR: Final = _insert("cursors", _CURSOR_COLUMNS, key="peer_id")
_ORIGIN_COLUMNS: Final = "node_id, public_key, how, vouched_by, manifest"
_ORIGIN: Final = _insert("origins", _ORIGIN_COLUMNS, key="node_id")
_LETTER_COLUMNS: Final = "peer_id, name, code, raw, retry_ms"
_LETTER: Final = _insert("dead_letters", _LETTER_COLUMNS, replace=True)  # a letter set again is the newest one
_KEY_COLUMNS: Final = "digest, entity_uri, verifier, permissions, scopes, description, created_us, expires_us"
_KEY: Final = _insert("api_keys", _KEY_COLUMNS, key="digest")
_AGENT_KEY_COLUMNS: Final = "key_id, entity_uri, public_key, description, registered_us, expires_us, revoked_us"
_AGENT_KEY: Final = _insert("agent_keys", _AGENT_KEY_COLUMNS, key="key_id")
_ATTESTED_COLUMNS: Final = "origin, fact_id, stamp, attestation"
_ATTESTED: Final = _insert("attestations", _ATTESTED_COLUMNS, key="origin, fact_id")
_RECEIPT_COLUMNS: Final = "key, body_hash, response, at_us"
_RECEIPT: Final = _insert("receipts", _RECEIPT_COLUMNS, replace=True)  # and so is a receipt given again
_GARDEN_COLUMNS: Final = "garden_id, slug, name, scope, description, created_by, created_us, is_quarantine, members"
_GARDEN: Final = _insert("gardens", _GARDEN_COLUMNS, key="garden_id")
_GARDEN_FACT_COLUMNS: Final = "garden_id, " + FACT_COLUMNS + ", hlc"
_GARDEN_FACT: Final = _insert("garden_facts", _GARDEN_FACT_COLUMNS)
_QUARANTINE_COLUMNS: Final = "origin, fact_id, status, arrived_us, acted_by, acted_us, note, garden_id"
_QUARANTINE: Final = _insert("quarantine", _QUARANTINE_COLUMNS, key="origin, fact_id")

_SUBSCRIPTION_COLUMNS: Final = (
    "subscription_id, subscriber, target, target_kind, on_change, address, idempotency_key, scopes, begins_after, "
    "has_key, created_us"
)
_SUBSCRIPTION: Final = _insert("subscriptions", _SUBSCRIPTION_COLUMNS, key="subscription_id")
_DELIVERY_COLUMNS: Final = "subscription_id, seq, at_us, refused"
_DELIVERY: Final = _insert("deliveries", _DELIVERY_COLUMNS, key="subscription_id")
_REFUSED: Final = _insert("refused_deliveries", _DELIVERY_COLUMNS, replace=True)
_REFUSED_KEPT: Final = """
DELETE FROM refused_deliveries WHERE subscription_id = ?1 AND seq <= (
  SELECT seq FROM refused_deliveries WHERE subscription_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)
"""


_SWEPT_COLUMNS: Final = "seq, at_us"
_SWEPT: Final = _insert("swept_facts", _SWEPT_COLUMNS, key="seq")
_SWEPT_GARDEN_COLUMNS: Final = "garden_id, seq, at_us"
_SWEPT_GARDEN: Final = _insert("swept_garden_facts", _SWEPT_GARDEN_COLUMNS, replace=True)
_TRUST_COLUMNS: Final = "fact_id, trust_class"
_TRUST: Final = _insert("stated_trust", _TRUST_COLUMNS, key="fact_id")
_HORIZON_COLUMNS: Final = "after, seq, horizon_us, sweeps"
_HORIZON: Final = _insert("horizons", _HORIZON_COLUMNS)
_ALIAS_COLUMNS: Final = "raw, canonical, given_by, scopes, created_us"
_ALIAS: Final = _insert("aliases", _ALIAS_COLUMNS, replace=True)


_TOMBSTONE_COLUMNS: Final = "tombstone_id, tombstone, husk_key, arrived_us, received_from, finished_us"
_TOMBSTONE: Final = _insert("tombstones", _TOMBSTONE_COLUMNS, key="tombstone_id")
_REVOCATION_COLUMNS: Final = "revocation_id, revocation, arrived_us, received_from"
_REVOCATION: Final = _insert("tombstone_revocations", _REVOCATION_COLUMNS, key="revocation_id")
_HUSK: Final = _insert("facts", FACT_COLUMNS + ", hlc", replace=True)
_GARDEN_HUSK: Final = _insert("garden_facts", _GARDEN_FACT_COLUMNS, key="garden_id, seq")
_ERASED_AUDIT: Final = "UPDATE audit SET subject = '', detail = '{}', salt = '', commitment = ?2 WHERE seq = ?1"


def _summed(row: Row) -> Row:
    return (*row, checksum(row))


def _fact_members(fact: Fact) -> Row:
    # What comes back from a column is an int or a float, never a bool, and the checksum tells them apart.
    return (
        fact.stamp, fact.origin, fact.id, fact.entity, fact.relation, fact.scope, fact.source, fact.kind, fact.text,
        fact.interpret_as, float(fact.confidence), fact.timestamp_us, fact.valid_until, fact.derived_from,
        fact.signature, fact.entity_uri, fact.grant, fact.seq, fact.received_from, int(fact.certified),
        fact.quarantine, format_stamp(fact.stamp),
    )  # fmt: skip


def _write_fact(fact: Fact) -> tuple[Write, ...]:
    return ((_FACT, _summed(_fact_members(fact))),)


def _write_garden(row: GardenRow) -> tuple[Write, ...]:
    if row.is_deleted:  # its facts stay, and nothing shows them any more
        return (("DELETE FROM gardens WHERE garden_id = ?", (row.garden_id,)),)
    members = msgspec.json.encode(row.members).decode()
    head = msgspec.structs.astuple(row)[:-2]
    return ((_GARDEN, _summed((*head, int(row.is_quarantine), members))),)


def _write_garden_fact(record: GardenFact) -> tuple[Write, ...]:
    return ((_GARDEN_FACT, _summed((record.garden_id, *_fact_members(record.fact)))),)


def _write_cursor(row: CursorRow) -> tuple[Write, ...]:
    members = (row.peer_id, row.cursor, row.watermark, int(row.drained), row.taken, row.updated_us)
    return ((_CURSOR, _summed(members)),)


def _write_peer(row: PeerRow) -> tuple[Write, ...]:
    if row.status:
        members = msgspec.structs.astuple(row)
        return ((_PEER, _summed((*members[:4], ",".join(row.scopes), *members[5:]))),)
    gone = (row.peer_id,)
    return (
        ("DELETE FROM peers WHERE peer_id = ?", gone),
        ("DELETE FROM cursors WHERE peer_id = ?", gone),
        ("DELETE FROM dead_letters WHERE peer_id = ?", gone),
    )


def _write_letter(letter: DeadLetter) -> tuple[Write, ...]:
    if letter.code:
        return ((_LETTER, _summed(msgspec.structs.astuple(letter))),)
    return (("DELETE FROM dead_letters WHERE peer_id = ? AND name = ?", (letter.peer_id, letter.name)),)


def _write_key(row: KeyRow) -> tuple[Write, ...]:
    if not row.verifier:
        return (("DELETE FROM api_keys WHERE digest = ?", (row.key_id,)),)
    members = msgspec.structs.astuple(row)
    return ((_KEY, _summed((*members[:3], ",".join(row.permissions), ",".join(row.scopes), *members[5:]))),)


def _write_agent_key(row: AgentKeyRow) -> tuple[Write, ...]:
    if row.is_deleted:
        return (("DELETE FROM agent_keys WHERE key_id = ?", (row.key_id,)),)
    return ((_AGENT_KEY, _summed(msgspec.structs.astuple(row))),)


def _write_attested(record: AttestedFact) -> tuple[Write, ...]:
    if record.attestation is None:
        return (("DELETE FROM attestations WHERE origin = ? AND fact_id = ?", (record.origin, record.fact_id)),)
    text = msgspec.json.encode(record.attestation).decode()
    return ((_ATTESTED, _summed((record.origin, record.fact_id, record.stamp, text))),)


def _write_subscription(row: SubscriptionRow) -> tuple[Write, ...]:
    if row.on_change:
        members = msgspec.structs.astuple(row)
        stored = (*members[:7], ",".join(row.scopes), row.begins_after, int(row.has_key), row.created_us)
        return ((_SUBSCRIPTION, _summed(stored)),)
    gone = (row.subscription_id,)
    return (
        ("DELETE FROM subscriptions WHERE subscription_id = ?", gone),
        ("DELETE FROM deliveries WHERE subscription_id = ?", gone),
        ("DELETE FROM refused_deliveries WHERE subscription_id = ?", gone),
    )


def _write_delivery(mark: DeliveryMark) -> tuple[Write, ...]:
    stored = _summed(msgspec.structs.astuple(mark))
    if not mark.refused:
        return ((_DELIVERY, stored),)
    return (
        (_DELIVERY, stored),
        (_REFUSED, stored),
        (_REFUSED_KEPT, (mark.subscription_id, limits.REFUSED_DELIVERIES_MAX)),
    )


def _write_alias(row: AliasRow) -> tuple[Write, ...]:
    if row.is_deleted:
        return (("DELETE FROM aliases WHERE raw = ?", (row.raw,)),)
    return ((_ALIAS, _summed((row.raw, row.canonical, row.by, ",".join(row.scopes), row.created_us))),)


def _write_receipt(row: Receipt) -> tuple[Write, ...]:
    if row.is_deleted:
        return (("DELETE FROM receipts WHERE key = ?", (row.key,)),)
    return ((_RECEIPT, _summed(msgspec.structs.astuple(row))),)


def _write_tombstone(row: TombstoneRow) -> tuple[Write, ...]:
    text = msgspec.json.encode(row.tombstone).decode()
    members = (row.tombstone.id, text, row.husk_key, row.arrived_us, row.received_from, row.finished_us)
    return ((_TOMBSTONE, _summed(members)),)


def _write_revocation(row: RevocationRow) -> tuple[Write, ...]:
    text = msgspec.json.encode(row.revocation).decode()
    return ((_REVOCATION, _summed((row.revocation.id, text, row.arrived_us, row.received_from))),)


def _write_husk(record: Husk) -> tuple[Write, ...]:
    if record.garden_id:
        return ((_GARDEN_HUSK, _summed((record.garden_id, *_fact_members(record.fact)))),)
    return ((_HUSK, _summed(_fact_members(record.fact))),)


def _plain(sql: str) -> Callable[[Any], tuple[Write, ...]]:
    return lambda record: ((sql, _summed(msgspec.structs.astuple(record))),)


WRITERS: Final[dict[type[Record], Callable[[Any], tuple[Write, ...]]]] = {
    Fact: _write_fact,
    AuditRow: lambda row: ((_AUDIT, msgspec.structs.astuple(row)),),
    SpentNonce: _plain(_NONCE),
    ClockMark: lambda mark: ((_CLOCK, _summed((1, mark.stamp, format_stamp(mark.stamp)))),),
    # The mark is the greatest one since the reset.
    ClockReset: lambda reset: ((_RESET, _summed((1, reset.stamp, reset.used))), ("DELETE FROM clock", ())),
    ClockDoubt: lambda doubt: ((_DOUBT, _summed((1, doubt.line_ms))),),
    PeerRow: _write_peer,
    CursorRow: _write_cursor,
    OriginRow: _plain(_ORIGIN),
    DeadLetter: _write_letter,
    KeyRow: _write_key,
    AgentKeyRow: _write_agent_key,
    AttestedFact: _write_attested,
    Receipt: _write_receipt,
    SubscriptionRow: _write_subscription,
    DeliveryMark: _write_delivery,
    GardenRow: _write_garden,
    GardenFact: _write_garden_fact,
    SweptFact: _plain(_SWEPT),
    SweptGardenFact: _plain(_SWEPT_GARDEN),
    StatedTrust: _plain(_TRUST),
    HorizonMark: _plain(_HORIZON),
    AliasRow: _write_alias,
    QuarantineRow: _plain(_QUARANTINE),
    TombstoneRow: _write_tombstone,
    RevocationRow: _write_revocation,
    Husk: _write_husk,
    ErasedAudit: lambda row: ((_ERASED_AUDIT, msgspec.structs.astuple(row)),),
}
"""Record type -> the statements that make it true. Those of one type must be run in order."""


# --- rows to records ---


class Loader(NamedTuple):
    """How a table is read: what its rows are called, the query, and the reader of one row."""

    what: str
    query: str
    read: Callable[[Row], Record]


def _damaged(what: str, row: Row) -> Damaged:
    return Damaged(f"a row of the table {what} does not match its checksum (it begins {str(row[0])[:40]!r})")


def read_fact(row: Row) -> Fact:
    """A fact from a row of FACT_COLUMNS, hlc and checksum; raises Damaged."""
    return _checked_fact(row, _intern)


def fact_reader() -> Callable[[Row], Fact]:
    """As `read_fact`, for a whole journal: an entity that comes again is one text in memory, and none stays in the
    interpreter's table of names, which costs as much as an index of the ledger."""
    names: dict[str, str] = {}
    return lambda row: _checked_fact(row, lambda name: names.setdefault(name, name))


def _checked_fact(row: Row, known: Callable[[str], str]) -> Fact:
    members = row[:-1]
    if zlib.crc32(_encode(members)) != row[-1]:
        raise _damaged("facts", row)
    return _fact(members, known)


def _fact(row: Row, known: Callable[[str], str] = _intern) -> Fact:
    (
        stamp, origin, fact_id, entity, relation, scope, source, kind, text, interpret_as, confidence, timestamp_us,
        valid_until, derived_from, signature, entity_uri, grant, seq, received_from, certified, quarantine, _,
    ) = row  # fmt: skip
    return Fact(
        stamp, _intern(origin), fact_id, known(entity), _intern(relation), _intern(scope), _intern(source),
        _intern(kind), text, _intern(interpret_as), 1.0 if confidence == 1.0 else confidence, timestamp_us, valid_until,
        derived_from, signature,
        _intern(entity_uri), _intern(grant), seq, received_from and _intern(received_from), certified == 1, quarantine,
    )  # fmt: skip


def read_audit(row: Row) -> AuditRow:
    """The last row of the audit log, by which the chain goes on; raises Damaged."""
    found = AuditRow(*row)
    is_unsalted = not (found.salt or found.is_erased)  # of the first format; it is changed before anything is added
    if found.hash != (unsalted_hash(found, found.previous) if is_unsalted else row_hash(found)):
        raise Damaged(f"row {found.seq} of the audit log does not match its hash")
    return found


def _checked(what: str, columns: str, make: Callable[..., Record]) -> Loader:
    def read(row: Row) -> Record:
        if checksum(row[:-1]) != row[-1]:
            raise _damaged(what, row)
        return make(*row[:-1])

    query = f"SELECT {columns}, checksum FROM {what} ORDER BY rowid"  # noqa: S608 - both are constants of this module
    return Loader(what, query, read)


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _peer(*row: Any) -> PeerRow:
    peer_id, node_id, node_url, key, scopes, status, dialect, entity_uri, established_us, reason = row
    return PeerRow(peer_id, node_id, node_url, key, _split(scopes), status, dialect, entity_uri, established_us, reason)


def _cursor(*row: Any) -> CursorRow:
    peer_id, cursor, watermark, drained, taken, updated_us = row
    return CursorRow(peer_id, cursor, watermark, drained == 1, taken, updated_us)


def _key(*row: Any) -> KeyRow:
    digest, entity_uri, verifier, permissions, scopes, description, created_us, expires_us = row
    return KeyRow(
        digest, entity_uri, verifier, _split(permissions), _split(scopes), description, created_us, expires_us
    )


def _subscription(*row: Any) -> SubscriptionRow:
    name, subscriber, target, kind, on_change, address, key, scopes, begins_after, has_key, created_us = row
    return SubscriptionRow(
        name, subscriber, target, kind, on_change, address, key, _split(scopes), begins_after, has_key == 1, created_us
    )


def _garden(*row: Any) -> GardenRow:
    garden_id, slug, name, scope, description, created_by, created_us, is_quarantine, members = row
    found = msgspec.json.decode(members, type=tuple[GardenMember, ...])
    return GardenRow(garden_id, slug, name, scope, description, created_by, created_us, is_quarantine == 1, found)


def _garden_fact(garden_id: str, *row: Any) -> GardenFact:
    return GardenFact(_intern(garden_id), _fact(row))


def _attested(origin: str, fact_id: str, stamp: int, text: str) -> AttestedFact:
    return AttestedFact(_intern(origin), fact_id, Stamp(stamp), msgspec.json.decode(text, type=Attestation))


def _alias(raw: str, canonical: str, by: str, scopes: str, created_us: int) -> AliasRow:
    return AliasRow(raw, canonical, by, _split(scopes), created_us)


def _tombstone(_tombstone_id: str, text: str, *rest: Any) -> TombstoneRow:
    return TombstoneRow(msgspec.json.decode(text, type=Tombstone), *rest)


def _revocation(_revocation_id: str, text: str, *rest: Any) -> RevocationRow:
    return RevocationRow(msgspec.json.decode(text, type=Revocation), *rest)


LOADERS: Final = (
    # Before facts: those that are covered and not erased yet are not known from the beginning.
    _checked("tombstones", _TOMBSTONE_COLUMNS, _tombstone),
    _checked("tombstone_revocations", _REVOCATION_COLUMNS, _revocation),
    # Before the facts: which of them move the clock depends on it.
    _checked("clock_resets", "one, stamp, used", lambda _one, stamp, used: ClockReset(Stamp(stamp), Stamp(used))),
    Loader("facts", FACTS + " ORDER BY seq", read_fact),
    Loader(
        "audit",
        f"SELECT {AUDIT_COLUMNS} FROM audit ORDER BY seq DESC LIMIT 1",  # noqa: S608 - a constant of this module
        read_audit,
    ),
    _checked("swept_facts", _SWEPT_COLUMNS, SweptFact),
    _checked("stated_trust", _TRUST_COLUMNS, StatedTrust),
    _checked("horizons", _HORIZON_COLUMNS, HorizonMark),
    _checked("nonces", _NONCE_COLUMNS, SpentNonce),
    _checked("clock", "one, stamp, hlc", lambda _one, stamp, _hlc: ClockMark(Stamp(stamp))),
    _checked("clock_doubts", "one, line_ms", lambda _one, line_ms: ClockDoubt(line_ms)),
    _checked("peers", _PEER_COLUMNS, _peer),
    _checked("cursors", _CURSOR_COLUMNS, _cursor),
    _checked("origins", _ORIGIN_COLUMNS, OriginRow),
    _checked("dead_letters", _LETTER_COLUMNS, DeadLetter),
    _checked("api_keys", _KEY_COLUMNS, _key),
    _checked("aliases", _ALIAS_COLUMNS, _alias),
    _checked("receipts", _RECEIPT_COLUMNS, Receipt),
    _checked("subscriptions", _SUBSCRIPTION_COLUMNS, _subscription),
    _checked("refused_deliveries", _DELIVERY_COLUMNS, DeliveryMark),
    _checked("deliveries", _DELIVERY_COLUMNS, DeliveryMark),  # after those refused: it says how far all of them came
    _checked("gardens", _GARDEN_COLUMNS, _garden),
    _checked("garden_facts", _GARDEN_FACT_COLUMNS, _garden_fact),
    _checked("swept_garden_facts", _SWEPT_GARDEN_COLUMNS, SweptGardenFact),
    _checked("quarantine", _QUARANTINE_COLUMNS, QuarantineRow),
    _checked("agent_keys", _AGENT_KEY_COLUMNS, AgentKeyRow),
    # After the facts of gardens: which of them are erased says what becomes of these.
    _checked("attestations", _ATTESTED_COLUMNS, _attested),
)
"""Every table in the order in which a state is rebuilt. Of the audit log only the head is state."""
