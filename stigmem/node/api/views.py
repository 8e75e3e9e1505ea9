"""How facts and conflicts look to local callers (http-api 1.2, 3.6).

Records for the API, which show what pages to peers never do: sender, origin and standing. What of a fact is there for
whom is `stigmem.node.api.visibility`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stigmem.core import limits
from stigmem.core.conflicts import Conflict
from stigmem.core.fact import Fact, FactRecord, record_of
from stigmem.core.known_facts import KnownFacts
from stigmem.core.sanitiser import sanitizer_warnings
from stigmem.core.timestamps import format_us
from stigmem.core.trust import trust_class
from stigmem.core.uris import RESOLUTION_PREFIX
from stigmem.core.values import wire_value
from stigmem.node.api.visibility import Sight, may_read
from stigmem.node.state import NodeState

__all__ = ["ConflictRecord", "conflict_record", "fact_record", "shown_cid", "shown_value", "trust_of"]


def fact_record(
    fact: Fact,
    ledger: KnownFacts,
    sight: Sight,
    *,
    garden_uri: str | None = None,
    warnings: list[str] | None = None,
    own: bool = False,
) -> FactRecord:
    """A fact as a response carries it, with its content id of seven fields. `ledger`: the one that holds it, now
    or as it was known at another point of time; `sight`:
    what the caller sees; `garden_uri`: of which garden it is, None for none; `own`: the caller has said it just now,
    and is shown its own words as they are."""
    record = record_of(fact, shown_cid(fact))
    if fact.kind == "json" and not sight.knows_json:
        record.value = shown_value(fact, sight)
    if fact.derived_from and not own:
        record.derived_from = sight.derivation(fact)
    record.garden_id = garden_uri
    record.contradicted = may_read(sight.reader, fact) and ledger.contradicted(fact)
    ends_us = ledger.expires_us(fact)
    if ends_us is not None and ends_us != fact.expires_us:
        record.valid_until = format_us(ends_us)
    remarks = sanitizer_warnings(fact.kind, fact.text)
    if remarks:
        record.sanitizer_warnings = remarks
    if not ledger.fits(fact):
        record.fits_schema = False
    record.trust_class = trust_of(fact, ledger, sight.state)
    attestation = sight.state.attestations.beside(fact)
    if attestation is not None:
        record.attested_key_id = attestation.key.key_id
        record.attested = sight.state.attestations.is_attested(fact)
    if may_read(sight.reader, fact):
        _tell_standing(record, fact, ledger)
    record.quarantine_status = "pending" if fact.quarantine else None
    if fact.received_from is not None:
        record.received_from = fact.received_from
        record.origin_node_id = fact.origin
        record.origin_allowed_scopes = fact.grant.split(",") if fact.grant else [fact.scope]
    if warnings:
        record.warnings = warnings
    return record


def trust_of(fact: Fact, known: KnownFacts, state: NodeState) -> str:
    """The trust class of a fact, at the instant up to which `known` applies expiry."""
    confidence = state.decay.confidence(fact, known.horizon_us) if state.decay else fact.confidence
    stated = state.stated_trust.get(fact.id) if fact.received_from is None else None
    return trust_class(fact, known, confidence, stated=stated, default=state.schemas.trust_class(fact.relation))


def shown_value(fact: Fact, sight: Sight) -> dict[str, Any]:
    """A value as the caller takes it: one of type json is its text to who did not say that it knows the type. The
    content id stays that of the json value."""
    as_text = fact.kind == "json" and not sight.knows_json
    return wire_value("text" if as_text else fact.kind, fact.text, fact.interpret_as)


def _tell_standing(record: FactRecord, fact: Fact, ledger: KnownFacts) -> None:
    superseded, ending, voiding = ledger.superseded(fact), ledger.ended_by(fact), ledger.voided_by(fact)
    if voiding is not None:
        record.voided_by = voiding.id
    if superseded is not None:
        record.supersedes = superseded.id
    if ending is not None and ending.is_retraction:
        record.retracted_by = ending.id
    elif ending is not None:
        record.superseded_by = ending.id


def shown_cid(fact: Fact) -> str | None:
    """The content id that callers see; resolutions show none, as in every node (http-api 1.15)."""
    return None if fact.entity.startswith(RESOLUTION_PREFIX) else fact.cid


class ConflictRecord(msgspec.Struct):
    """A conflict as `/v1/conflicts` shows it: the two best facts, how many there are, and their ids, oldest first, at
    most as many as one resolution can name: a hostile writer can fill a set without end."""

    conflict_id: str
    fact_a: FactRecord
    fact_b: FactRecord
    status: str
    resolved_by: str | None
    detected_at: str
    members: list[str]
    resolution_note: str | None = None
    member_count: int = 0


def conflict_record(
    conflict: Conflict, ledger: KnownFacts, sight: Sight, garden_uri: str | None = None
) -> ConflictRecord:
    """A conflict as a response carries it; the others as for `fact_record`."""
    return ConflictRecord(
        conflict_id=conflict.id,
        fact_a=fact_record(conflict.fact_a, ledger, sight, garden_uri=garden_uri),
        fact_b=fact_record(conflict.fact_b, ledger, sight, garden_uri=garden_uri),
        status=conflict.status,
        resolved_by=conflict.resolved_by,
        detected_at=conflict.detected_at,
        members=[fact.id for fact in conflict.members[: limits.RESOLUTION_COVERS_MAX]],
        resolution_note=conflict.note or None,
        member_count=len(conflict.members),
    )
