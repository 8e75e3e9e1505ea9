"""How rows of the audit log look to those who ask, and which of them they may see (http-api 3.16, federation 8.2).

A row is about facts of some scopes; a key that may not read one of them does not learn that there is a row. No
reading of the log and no deciding about rates: that is `stigmem.node.api.audit`.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any, Final

import msgspec

from stigmem.core.audit import AuditRow, commitment_of
from stigmem.core.content_id import uuid_from_hash
from stigmem.core.fact import Fact
from stigmem.core.gardens import Garden
from stigmem.core.ledger import Ledger
from stigmem.core.scopes import is_scope
from stigmem.core.timestamps import format_us
from stigmem.node.api.garden_access import may_read
from stigmem.node.api.visibility import has_every_scope
from stigmem.node.callers import Principal
from stigmem.node.state import NodeState

__all__ = [
    "AdminEntry", "AuditEntry", "PeerEntry", "admin_entry", "audit_entry", "csv_text", "may_see", "peer_entry",
]  # fmt: skip

_ABOUT_ANY_FACTS: Final = (
    "page_accepted",
    "team_egress",
    "peer_hlc_anomaly",
    "cursor_imported",
    "strangers_suppressed",
    "decay_swept",
    "alias_created",
    "alias_deleted",
    "entity_erased",
    "tombstone_created",
    "tombstone_revoked",
    "tombstone_federation_ingested",
    "tombstone_revocation_federation_ingested",
    "tombstone_federation_rejected",
)
"""Rows that count facts or requests of whatever scope."""
_ABOUT_CALLERS: Final = ("key_", "agent_key_", "quota_", "subscription_")
"""How the events of rows begin that name who holds a key here."""
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")


class AuditEntry(msgspec.Struct, kw_only=True):
    """A row as `GET /v1/audit` shows it; members about a fact are null on other events."""

    id: str
    fact_id: str | None
    event_type: str
    entity_uri: str
    oidc_sub: str | None = None
    source: str | None = None
    attested_key_id: str | None = None
    ts: str
    attested_key_entity_uri: str | None = None
    attested_key_description: str | None = None
    fact_entity: str | None = None
    fact_relation: str | None = None
    fact_value_type: str | None = None
    fact_value_v: str | None = None
    fact_scope: str | None = None


class PeerEntry(msgspec.Struct):
    """A row as `GET /v1/federation/audit` shows it."""

    id: str
    peer_id: str
    event_type: str
    detail: dict[str, Any]
    ts: str


class AdminEntry(msgspec.Struct, kw_only=True):
    """A row as `GET /v1/admin/audit` shows it, with what is needed to check the chain. `detail` is JSON text. Of a row
    that was erased, entity, detail and salt are empty, and nothing but the commitment says what they were."""

    seq: int
    id: str
    event_type: str
    entity_uri: str
    oidc_sub: str | None = None
    fact_id: str | None
    source: str | None
    attested_key_id: str | None = None
    ts: str
    tenant_id: str = "default"
    detail: str
    ts_us: int
    previous_hash: str | None
    hash: str
    salt: str
    commitment: str


def is_about_garden(row: AuditRow) -> bool:
    """Whether a row tells of a garden or of a fact in one."""
    return row.event.startswith("garden_")


def garden_of(row: AuditRow, state: NodeState) -> Garden | None:
    """The garden that a row tells of; None when it tells of none, or of one that was deleted."""
    return state.gardens.get(msgspec.json.decode(row.detail).get("garden", "")) if is_about_garden(row) else None


def may_see(row: AuditRow, principal: Principal, state: NodeState) -> bool:
    """Whether a caller may know of a row: it may read every scope that the row is about, and is a member where it is
    about a garden, whatever else it may read. A row that is about no fact it sees if it has the permission for what it
    is about, or is what the row is about."""
    if is_about_garden(row):
        garden = garden_of(row, state)
        return garden is not None and may_read(garden, principal)
    if has_every_scope(principal):
        return True
    if row.fact_id is not None:
        scopes = [fact.scope for fact in state.ledger.find(row.fact_id)]
        named = msgspec.json.decode(row.detail).get("scope")
        if is_scope(named):
            scopes.append(named)
        return bool(scopes) and all(scope in principal.scopes for scope in scopes)
    if row.event in _ABOUT_ANY_FACTS:
        return False
    if row.subject == principal.entity_uri:
        return True
    about_peers = ("federate", "admin:federation", "audit.read")
    needed = ("admin", "audit.read") if row.event.startswith(_ABOUT_CALLERS) else about_peers
    return not principal.permissions.isdisjoint(needed)


def _entry_id(row: AuditRow) -> str:
    # Neither the sequence number nor the hash of the chain: both follow from rows that a caller may not see.
    parts = (row.event, row.subject, row.fact_id or "", row.detail, str(row.ts_us))
    return uuid_from_hash(b"stigmem audit row\n" + "\n".join(parts).encode())


def _fact(row: AuditRow, ledger: Ledger) -> Fact | None:
    """The fact that a row is about, unless it is held back."""
    found = [] if row.fact_id is None else [each for each in ledger.find(row.fact_id) if each.quarantine is None]
    return max(found, key=lambda fact: fact.certified, default=None)


def audit_entry(row: AuditRow, state: NodeState) -> AuditEntry:
    """A row with what is known of its fact."""
    garden = garden_of(row, state)
    entry = AuditEntry(
        id=_entry_id(row),
        fact_id=row.fact_id,
        event_type=row.event,
        entity_uri=row.subject,
        ts=format_us(row.ts_us),
    )
    fact = _fact(row, state.ledger if garden is None else garden.ledger)
    if fact is not None:
        entry.source = fact.source
        entry.fact_entity, entry.fact_relation, entry.fact_scope = fact.slot
        entry.fact_value_type, entry.fact_value_v = fact.kind, fact.text
        attestation = state.attestations.beside(fact)
        if attestation is not None:
            key = state.agent_keys.get(attestation.key.key_id)
            entry.attested_key_id, entry.attested_key_entity_uri = attestation.key.key_id, attestation.key.entity_uri
            entry.attested_key_description = (key.description or None) if key is not None else None
    return entry


def peer_entry(row: AuditRow, reader: Principal) -> PeerEntry:
    """A row about a peer or an origin; the id of its fact joins the detail. Who of this node's people did it is for
    those who may read everything."""
    detail = msgspec.json.decode(row.detail)
    if row.fact_id is not None:
        detail["fact_id"] = row.fact_id
    if not (has_every_scope(reader) or detail.get("by") == reader.entity_uri):
        detail.pop("by", None)
    return PeerEntry(_entry_id(row), row.subject, row.event, detail, format_us(row.ts_us))


def admin_entry(row: AuditRow, state: NodeState) -> AdminEntry:
    """A whole row."""
    fact = _fact(row, state.ledger)
    attestation = None if fact is None else state.attestations.beside(fact)
    return AdminEntry(
        seq=row.seq,
        id=_entry_id(row),
        event_type=row.event,
        entity_uri=row.subject,
        fact_id=row.fact_id,
        source=None if fact is None else fact.source,
        attested_key_id=None if attestation is None else attestation.key.key_id,
        ts=format_us(row.ts_us),
        detail=row.detail,
        ts_us=row.ts_us,
        previous_hash=row.previous,
        hash=row.hash,
        salt=row.salt,
        commitment=row.commitment or commitment_of(row.salt, row.subject, row.detail),
    )


_COLUMNS: Final = {
    "id": "id", "fact_id": "fact_id", "event_type": "event_type", "principal_entity_uri": "entity_uri",
    "principal_oidc_sub": "oidc_sub", "source": "source", "attested_key_id": "attested_key_id",
    "attested_key_entity_uri": "attested_key_entity_uri", "attested_key_description": "attested_key_description",
    "fact_entity": "fact_entity", "fact_relation": "fact_relation", "fact_value_type": "fact_value_type",
    "fact_value_v": "fact_value_v", "fact_scope": "fact_scope", "ts": "ts",
}  # fmt: skip


def csv_text(entries: list[AuditEntry]) -> str:
    """Entries as CSV. Text that a spreadsheet would take for a formula gets an apostrophe before it: peers and agents
    choose these texts, and auditors open them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    writer.writerows([_cell(getattr(entry, member), entry) for member in _COLUMNS.values()] for entry in entries)
    return text.getvalue()


def _cell(value: str | None, entry: AuditEntry) -> str:
    if value is None:
        return ""
    is_number = entry.fact_value_type == "number" and value == entry.fact_value_v
    return "'" + value if _FORMULA.match(value) and not is_number else value
