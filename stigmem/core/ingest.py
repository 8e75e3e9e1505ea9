"""The ingest pipeline: whether a fact that a peer served becomes part of this node (federation 3.5).

Two halves. `examine` needs no ledger and no time and does the expensive checks (hash, signature) away from
the writer; `admit` runs in the writer's turn and compares with what is held and with the clock. Every refusal
is a Rejection with a stable code and concerns one fact only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from stigmem.core import limits
from stigmem.core.canonical import compact
from stigmem.core.content import cid7, cid8
from stigmem.core.entry import Entry, WireFact
from stigmem.core.envelope import TENANT, Origin, origin_bytes
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.hlc import WALL_MS_MAX, Stamp, check_skew, parse_stamp, stamp
from stigmem.core.instants import parse_us
from stigmem.core.keys import Suite, decode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import read_resolution
from stigmem.core.scopes import is_scope
from stigmem.core.uris import RESOLUTION_PREFIX, is_system, reserved_source
from stigmem.core.values import Value, parse_value

__all__ = ["Candidate", "Link", "Policy", "admit", "examine", "is_repeat", "same_body"]


class Link(NamedTuple):
    """What the receiver knows of the link a page came over."""

    sender: str
    dialect: str
    scopes: tuple[str, ...]
    catching_up: bool = False
    """Whether history is expected: old stamps are then accepted and remarked on (federation 4)."""


class Policy(NamedTuple):
    """This node's own rules for what it takes in."""

    node_id: str
    suite: Suite
    key_of: Callable[[str], str | None]
    """Public key of an origin, or None when it is not known."""
    local_sources: Callable[[str], bool]
    """Whether a source belongs to a principal of this node."""
    accept_relayed: bool = True
    owned_sources_only: bool = False
    skew_future_ms: int = limits.SKEW_FUTURE_MS
    skew_past_ms: int = limits.SKEW_PAST_MS


class Candidate(NamedTuple):
    """A fact that passed every check that needs neither ledger nor clock."""

    fact: Fact
    source_owned: bool


_INSTRUCTION_PREFIX: Final = "instruction:"


def examine(entry: Entry, link: Link, policy: Policy) -> Candidate:
    """Check one entry; raises Rejection. The order is that of appendix B, then of federation 3.5."""
    wire = entry.fact
    if link.dialect == "0.5":
        origin = Origin(node_id=link.sender)
        signature = None
    else:
        if not wire.cid:
            raise Rejection("cid_required", "a fact of dialect 2.1 carries its content id", field="cid")
        origin = entry.origin or Origin()
        signature = _check_envelope(entry, origin, link, policy)
    _check_texts(wire)
    _check_scope(wire.scope, link)
    _check_names(wire, origin.node_id, policy)
    source_owned = _check_source(wire.source, origin.node_id, policy)
    value = parse_value(wire.value.type, wire.value.v, wire.value.interpret_as)
    _check_cid(wire, value, link.dialect)
    fact = _fact(wire, value, origin, signature, link.sender)
    if fact.received_from != fact.origin and not fact.certified:
        raise Rejection("origin_stamp_unproven", "a relayed fact's id must commit to its stamp and time", field="id")
    read_resolution(fact)
    return Candidate(fact, source_owned)


def _check_envelope(entry: Entry, origin: Origin, link: Link, policy: Policy) -> bytes:
    wire = entry.fact
    relayed = origin.node_id != link.sender
    if relayed and not (policy.accept_relayed and origin.node_id and wire.scope == "public"):
        raise Rejection("origin_not_sender", "this fact's origin is not the node that serves it")
    key = policy.key_of(origin.node_id)
    if key is None:
        raise Rejection("origin_unresolvable", "the key of this fact's origin is not known here")
    try:
        signature = decode_base64(entry.origin_sig or "")
        message = origin_bytes(origin, str(wire.id), wire.cid or "", wire.valid_until)
        valid = policy.suite.verify(key, message, signature)
    except ValueError:  # not base64, or lone surrogates that have no bytes
        valid = False
    if not valid:
        raise Rejection("origin_sig_invalid", "the origin did not sign this", field="origin_sig")
    if wire.scope not in origin.allowed_scopes:
        raise Rejection("scope_not_in_origin_grant", "the origin does not allow this scope", field="scope")
    if not is_scope(wire.scope):
        raise Rejection("invalid_scope", "scope must be local, team, company or public", field="scope")
    if origin.tenant not in origin.allowed_tenants:
        raise Rejection("tenant_not_in_origin_grant", "the origin does not allow its own tenant")
    return signature


def _check_texts(wire: WireFact) -> None:
    for name in ("entity", "relation", "source"):
        if not 0 < len(getattr(wire, name)) <= limits.URI_CHARS_MAX:
            raise Rejection(
                "malformed_fact", f"{name} needs 1 to {limits.URI_CHARS_MAX} characters", field=name
            )
    if len(str(wire.id)) > limits.FACT_ID_CHARS_MAX:
        raise Rejection("malformed_fact", f"an id has at most {limits.FACT_ID_CHARS_MAX} characters", field="id")
    if not 0.0 <= wire.confidence <= 1.0:
        raise Rejection("malformed_fact", "confidence lies between 0 and 1", field="confidence")
    if wire.garden_id is not None:
        raise Rejection("garden_leak", "a garden's fact must not leave its node", field="garden_id")


def _check_scope(scope: str, link: Link) -> None:
    if not is_scope(scope):
        raise Rejection("malformed_fact", "scope must be local, team, company or public", field="scope")
    if scope not in link.scopes:
        raise Rejection(
            "scope_violation",
            f"scope {scope} is not granted on this link",
            field="scope",
            detail={"scope": scope, "permitted": list(link.scopes)},
        )


def _check_names(wire: WireFact, origin: str, policy: Policy) -> None:
    if wire.entity.startswith(RESOLUTION_PREFIX) and not is_system(wire.relation):
        return
    if is_system(wire.entity) or is_system(wire.relation):
        raise Rejection("reserved_namespace", "stigmem: names are each node's own", field="entity")


def _check_source(source: str, origin: str, policy: Policy) -> bool:
    """Whether the origin owns the source; refuses sources that only somebody else can own."""
    if origin == policy.node_id:
        return True
    foreign = source == policy.node_id or reserved_source(source) or policy.local_sources(source)
    owned = source == origin or source.startswith(origin + "/")
    if foreign or (policy.owned_sources_only and not owned):
        raise Rejection("source_not_owned", "this source does not belong to the fact's origin", field="source")
    return owned


def _check_cid(wire: WireFact, value: Value, dialect: str) -> None:
    if not wire.cid:
        return  # legacy and resolution facts of dialect 0.5 travel without one
    hash_of = cid8 if dialect != "0.5" else cid7
    confidence = wire.confidence + 0.0  # -0.0 hashes as 0.0
    spellings = [value]
    if value.kind == "number" and float(value.text).is_integer():
        # The reference hashes an integer as it was written and serves it as a float (federation 3.4).
        spellings.append(Value("number", str(int(float(value.text))), value.interpret_as))
    for spelling in spellings:
        if wire.cid == hash_of(wire.entity, wire.relation, wire.scope, wire.source, spelling, confidence):
            return
    raise Rejection("cid_mismatch", "the content id is not that of this content", field="cid")


def _stamp(wire: WireFact, timestamp_us: int) -> Stamp:
    # Legacy rows have no stamp; their write time gives every receiver the same one.
    return parse_stamp(wire.hlc) if wire.hlc is not None else stamp(max(timestamp_us // 1000, 0), 0)


def _instants(wire: WireFact) -> int:
    try:
        if wire.valid_until is not None:
            parse_us(wire.valid_until)
        return parse_us(wire.timestamp)
    except ValueError as error:
        raise Rejection("malformed_fact", "timestamp and valid_until are ISO-8601 instants", field="timestamp") from error


def _fact(wire: WireFact, value: Value, origin: Origin, signature: bytes | None, sender: str) -> Fact:
    timestamp_us = _instants(wire)
    instruction = value.interpret_as == "instruction" or any(
        name.startswith(_INSTRUCTION_PREFIX) for name in (wire.entity, wire.relation)
    )
    derived: list[dict[str, Any]] = wire.derived_from or []
    # Only our fixed tenant is understood; an envelope with others cannot be served on unchanged.
    plain = signature is not None and origin.tenant == TENANT and origin.allowed_tenants == [TENANT]
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
        compact(derived).decode() if derived else "",
        signature,
        sys.intern(origin.entity_uri),
        sys.intern(",".join(sorted(origin.allowed_scopes))),
        received_from=sys.intern(sender),
        quarantine="instruction_federation_inbound" if instruction else None,
    )
    certified = plain and fact.id == fact.certified_id()
    relayable = certified and wire.scope == "public"
    return msgspec.structs.replace(fact, certified=certified, signature=signature if relayable else None)


def is_repeat(entry: Entry, link: Link, ledger: Ledger) -> bool:
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


def admit(candidate: Candidate, ledger: Ledger, link: Link, policy: Policy, now_ms: int) -> Fact | None:
    """The fact to store (without sequence number), or None when it is held already.

    Raises Rejection `id_collision`, `valid_until_extension` or `hlc_skew` (with direction and size).
    """
    fact = candidate.fact
    held = ledger.held(fact.origin, fact.id)
    if held is not None:
        check_repeat(held, fact)
        return None
    if not fact.certified and ledger.find(fact.id):
        raise Rejection("id_collision", "this id belongs to another node's fact", field="id")
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
