"""The ingest pipeline: whether a fact that a peer served becomes part of this node (federation 3.5).

Two halves. `verify` needs no ledger and no time and does the expensive checks (hash, signature) away from
the writer; `admit` runs in the writer's turn and compares with what is held and with the clock. Every refusal
is a Rejection with a stable code and concerns one fact only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from stigmem.core.checks import (
    IngestPolicy,
    PeerLink,
    check_cid,
    check_envelope,
    check_names,
    check_scope,
    check_source,
    check_texts,
)
from stigmem.core.envelope import TENANT, Origin
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact, derivation
from stigmem.core.hlc import WALL_MS_MAX, Stamp, check_skew, parse_stamp, stamp
from stigmem.core.ledger import Ledger
from stigmem.core.page import PageEntry, WireFact
from stigmem.core.resolution import read_resolution
from stigmem.core.scopes import is_scope
from stigmem.core.timestamps import parse_us
from stigmem.core.values import Value, parse_value

__all__ = [
    "IngestPolicy", "PeerLink", "VerifiedFact", "admit", "check_claim", "check_repeat", "is_repeat", "same_body",
    "verify",
]  # fmt: skip


class VerifiedFact(NamedTuple):
    """A fact that passed every check that needs neither ledger nor clock."""

    fact: Fact
    source_owned: bool


_INSTRUCTION_PREFIX: Final = "instruction:"


def verify(entry: PageEntry, link: PeerLink, policy: IngestPolicy) -> VerifiedFact:
    """Check one entry; raises Rejection. The order is that of appendix B, then of federation 3.5."""
    wire = entry.fact
    try:
        if link.dialect == "0.5":
            origin, signature = Origin(node_id=link.sender), None
        else:
            origin = entry.origin or Origin()
            signature = check_envelope(entry, origin, link, policy)
        check_texts(wire)
        check_scope(wire.scope, link)
        check_names(wire)
        source_owned = check_source(wire.source, origin.node_id, policy)
        value = parse_value(wire.value.type, wire.value.v, wire.value.interpret_as)
        exact = check_cid(wire, value, link.dialect)
        fact = _fact(wire, value, origin, signature if exact else None, link.sender)
    except UnicodeEncodeError as error:
        raise Rejection("malformed_fact", "a fact's texts are valid Unicode") from error
    if fact.received_from != fact.origin and not fact.certified:
        raise Rejection("origin_stamp_unproven", "a relayed fact's id must commit to its stamp and time", field="id")
    read_resolution(fact)
    return VerifiedFact(fact, source_owned)


def _stamp(wire: WireFact, timestamp_us: int) -> Stamp:
    # Legacy rows have no stamp; their write time gives every receiver the same one.
    return parse_stamp(wire.hlc) if wire.hlc is not None else stamp(max(timestamp_us // 1000, 0), 0)


def _instants(wire: WireFact) -> int:
    try:
        if wire.valid_until is not None:
            parse_us(wire.valid_until)
        return parse_us(wire.timestamp)
    except ValueError as error:
        message = "timestamp and valid_until are ISO-8601 instants"
        raise Rejection("malformed_fact", message, field="timestamp") from error


def _fact(wire: WireFact, value: Value, origin: Origin, signature: bytes | None, sender: str) -> Fact:
    timestamp_us = _instants(wire)
    instruction = (
        value.interpret_as == "instruction"
        or wire.entity.startswith(_INSTRUCTION_PREFIX)
        or wire.relation.startswith(_INSTRUCTION_PREFIX)
    )
    fact = Fact(
        _stamp(wire, timestamp_us),
        sys.intern(origin.node_id),
        str(wire.id),
        sys.intern(wire.entity),
        sys.intern(wire.relation),
        sys.intern(wire.scope),
        sys.intern(wire.source),
        sys.intern(value.kind),
        value.text,
        sys.intern(value.interpret_as),
        wire.confidence + 0.0,
        timestamp_us,
        wire.valid_until,
        derivation(wire.derived_from or []),
        signature,
        sys.intern(origin.entity_uri),
        sys.intern(_joined(origin.allowed_scopes)),
        received_from=sys.intern(sender),
        quarantine="instruction_federation_inbound" if instruction else None,
    )
    certified = signature is not None and _plain(origin) and fact.id == fact.certified_id()
    relayable = certified and wire.scope == "public"
    return msgspec.structs.replace(fact, certified=certified, signature=signature if relayable else None)


def _joined(scopes: list[str]) -> str:
    return scopes[0] if len(scopes) == 1 else ",".join(sorted(scopes))


def _plain(origin: Origin) -> bool:
    """Whether the envelope can be rebuilt from what a Fact keeps of it, so that its signature holds further on."""
    return origin.allowed_tenants == [TENANT] and all(map(is_scope, origin.allowed_scopes))


def is_repeat(entry: PageEntry, link: PeerLink, ledger: Ledger) -> bool:
    """Whether an entry is a plain repetition of a fact held: then nothing of it needs verifying again."""
    wire = entry.fact
    origin = entry.origin.node_id if entry.origin is not None else link.sender
    held = ledger.held(origin, str(wire.id))
    if held is None or wire.valid_until != held.valid_until:
        return False
    try:
        value = parse_value(wire.value.type, wire.value.v, wire.value.interpret_as)
    except Rejection:
        return False
    return (
        value == held.value
        and wire.entity == held.entity
        and wire.relation == held.relation
        and wire.scope == held.scope
        and wire.source == held.source
        and wire.confidence == held.confidence
    )


def same_body(held: Fact, fact: Fact) -> bool:
    """Whether two facts of one id say the same, apart from expiry, which has a rule of its own."""
    return (
        held.entity == fact.entity
        and held.relation == fact.relation
        and held.scope == fact.scope
        and held.source == fact.source
        and held.kind == fact.kind
        and held.text == fact.text
        and held.interpret_as == fact.interpret_as
        and held.confidence == fact.confidence
    )


def admit(candidate: VerifiedFact, ledger: Ledger, link: PeerLink, policy: IngestPolicy, now_ms: int) -> Fact | None:
    """The fact to store (without sequence number), or None when it is held already.

    Raises Rejection `id_collision`, `valid_until_extension` or `hlc_skew` (with direction and size).
    """
    fact = candidate.fact
    held = ledger.held(fact.origin, fact.id)
    if held is not None:
        check_repeat(held, fact)
        return None
    check_claim(fact, ledger.find(fact.id))
    if fact.wall_ms > WALL_MS_MAX:
        raise Rejection("hlc_malformed", "the stamp lies beyond the calendar of this node", field="hlc")
    skew = check_skew(fact.stamp, now_ms, future_ms=policy.skew_future_ms, past_ms=policy.skew_past_ms)
    if skew is not None:
        direction, size = skew
        history = direction == "past" and (link.catching_up or fact.received_from != fact.origin)
        if not history:
            raise Rejection("hlc_skew", "the stamp lies outside the skew bound", field="hlc", detail={
                "sender_node_id": link.sender, "direction": direction, "skew_ms": size,
                "remote_wall_ms": fact.wall_ms, "local_wall_ms": now_ms,
                "max_future_skew_ms": policy.skew_future_ms, "max_past_skew_ms": policy.skew_past_ms,
            })  # fmt: skip
    return fact


def check_claim(fact: Fact, others: Iterable[Fact]) -> None:
    """Check an id that facts of other origins have too: one that commits to its fact belongs to that fact alone. Where
    none does, nobody can tell whose the id is, and whoever came first must not shut the owner out (S-31)."""
    if not fact.certified and any(other.certified for other in others):
        raise Rejection("id_collision", "this id belongs to another node's fact", field="id")


def check_repeat(held: Fact, fact: Fact) -> None:
    """Check a fact that is held already: same body, and no later expiry (S-29, S-39)."""
    if not same_body(held, fact):
        raise Rejection("id_collision", "this id was seen with other content", field="id")
    if held.valid_until is None or held.valid_until == fact.valid_until:
        return
    if fact.valid_until is None or (fact.expires_us or 0) > (held.expires_us or 0):
        raise Rejection(
            "valid_until_extension",
            "a fact's life cannot be extended after it was seen",
            field="valid_until",
            detail={"stored": held.valid_until, "incoming": fact.valid_until},
        )
