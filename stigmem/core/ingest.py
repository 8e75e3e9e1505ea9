"""The ingest pipeline: whether a fact that a peer served becomes part of this node (federation 3.5, appendix B).

Two halves. `verify` needs no ledger and no time and does the expensive checks (hashes, a signature) away from the
writer; `admit` runs in the writer's batch and compares with what is held and with the clock. Reading a page into
entries is `stigmem.core.page`; cursors, audit rows and what becomes of a refused fact are
`stigmem.node.replication.page_ingest`.

How it works
------------
Every refusal is a Rejection with a stable code and concerns one fact only: its neighbours on the page are judged by
themselves, and a page is never refused for what one of its facts says. A refused fact is told once in the audit log
and remembered by name, so that reading it again costs nothing.

The order of the checks is part of the contract, since a fact that is wrong in two ways is refused with the code of
the first:

 1. envelope (dialect 2.1): a content id is there, the origin is the sender or may be relayed, its key is known, its
    signature holds, and the scope and tenant lie within what the origin grants
 2. texts: lengths, the range of the confidence, no garden
 3. scope: one of the four, and granted on this link
 4. names: nothing reserved but resolutions
 5. source: neither this node itself nor a system (the name of a caller of ours is another author there: it is taken in,
    ends nothing here, and is counted)
 6. value: one of the seven types, read without coercion
 7. content id: the hash of what was read
 8. instants and provenance, and for a relayed fact that its id commits to them; a resolution, or a record that voids
    facts, is well-formed; what its agent signed, where something came or is asked for (spec/attestation.md)

    ... from here on in the writer's batch, against ledger and clock:

 9. held already: then the same body, and no later expiry; the fact is not stored again
10. the id is not that of another origin's certified fact, and its own origin has not voided it
11. the stamp lies within the skew bounds (old ones pass while a peer's history is read, and from relays)

Example: node B pulls from A a fact of origin C, scope public, in dialect 2.1. The envelope says C and carries C's
signature over content id, fact id, scopes, tenants and expiry: check 1 verifies it with C's key, which B learned from
C's manifest. The content id is recomputed from the members (7), so that entity, relation, value, source and
confidence are what C signed. Stamp, time and provenance are in nobody's signature. The fact's id is their hash (8), and
C signed the id: what A could have changed on the way, it has not.

Invariants
----------
1. `verify` depends on the entry, the link and the policy alone: the same bytes over the same link give the same result
   or the same code, whatever is held and whatever the time is.
2. What `verify` returns can be stored: every text has its bound, every number is finite, every instant can be read.
3. A fact is `certified` only if its signature was verified and its id recomputed; only such facts are ever relayed.
4. `admit` changes nothing: it returns the fact to store, None for one that is held, or raises.
5. A value is stored as its canonical text. No check here alters what a fact says.

Known warts
-----------
* Other implementations hash a whole number as it was written and serve it as a double (federation 3.4). Such a fact is
  accepted (check 7) but its signature covers a text that we do not keep, so it goes no further than this node.
* Facts of dialect 0.5 carry no signature. They are as true as the link they came over, and are never relayed.
* A stamp that is only too early is a Rejection like any other here. That it is tried again when it is due is decided
  by the caller, from the size of the skew in the rejection's detail.

Sources: the contract's federation document, section 3.5 and appendix B (which also numbers the attacks, as S-29);
spec/replication.md; for the split into a pure and a stateful half, h11 and etcd's raft, which check messages without
I/O as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from stigmem.core import limits
from stigmem.core.attestation import Attestation, AttestationMode, parse_attestation, verify_attestation
from stigmem.core.content_id import cid7, cid8, self_certifying_id
from stigmem.core.envelope import TENANT, Origin, origin_bytes
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact, derivation
from stigmem.core.hlc import WALL_MS_MAX, Stamp, check_skew, format_stamp, parse_stamp, stamp
from stigmem.core.keys import Suite, decode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.page import PageEntry, WireFact, has_attestation
from stigmem.core.resolution import read_resolution
from stigmem.core.scopes import is_scope
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.uris import RESOLUTION_PREFIX, is_system, reserved_source
from stigmem.core.values import Value, parse_value
from stigmem.core.voiding import read_voiding

__all__ = [
    "IngestPolicy", "PeerLink", "VerifiedFact", "admit", "check_claim", "check_repeat", "check_scope", "is_repeat",
    "same_body", "signed_part", "verify",
]  # fmt: skip

_INSTRUCTION_PREFIX: Final = "instruction:"


class PeerLink(NamedTuple):
    """What the receiver knows of the link a page came over."""

    sender: str
    """Node id of the peer."""
    dialect: str
    """`0.5`, `2.1` or `2.1+` (ids that commit to their facts)."""
    scopes: tuple[str, ...]
    """What this node may take over the link, narrowest first."""
    catching_up: bool = False
    """Whether history is expected: old stamps are then accepted and remarked on (federation 4)."""


class IngestPolicy(NamedTuple):
    """This node's own rules for what it takes in."""

    node_id: str
    """Our own."""
    suite: Suite
    key_of: Callable[[str], str | None]
    """Public key of an origin, or None when it is not known."""
    local_sources: Callable[[str], bool]
    """Whether a source is the entity of a key of this node; such names are counted, not refused."""
    accept_relayed: bool = True
    """Whether a peer may bring public facts of others."""
    owned_sources_only: bool = False
    """Whether a source must be its origin's node id or lie below it."""
    attestation_mode: Callable[[str], AttestationMode] = lambda _: "off"
    """What is asked of the facts of a scope."""
    skew_future_ms: int = limits.SKEW_FUTURE_MS
    skew_past_ms: int = limits.SKEW_PAST_MS
    """How far a stamp may lie ahead of our clock and behind it; 0 switches a bound off."""


class VerifiedFact(NamedTuple):
    """A fact that passed every check that needs neither ledger nor clock. It has no local sequence number yet."""

    fact: Fact
    source_owned: bool
    """Whether the source is the origin's node id or lies below it; what is not is counted in the audit log."""
    attestation: Attestation | None = None
    """What its agent signed, verified."""
    flaw: str = ""
    """Why an attestation that came with it is not kept: the code of its rejection."""
    is_unsigned: bool = False
    """Whether an attestation is wished for and there is none."""


def verify(entry: PageEntry, link: PeerLink, policy: IngestPolicy) -> VerifiedFact:
    """The fact of one entry that came over a link, after checks 1 to 8. Raises Rejection with the code of the first
    that fails; nothing is changed. Called away from the writer, for entries that `is_repeat` does not know."""
    wire = entry.fact
    try:
        if link.dialect == "0.5":
            origin, signature = Origin(node_id=link.sender), None
        else:
            origin = entry.origin or Origin()
            signature = _check_envelope(entry, origin, link, policy)
        _check_texts(wire)
        check_scope(wire.scope, link)
        _check_names(wire)
        source_owned = _check_source(wire.source, origin.node_id, policy)
        value = parse_value(wire.value.type, wire.value.v, wire.value.interpret_as)
        exact = _check_cid(wire, value, link.dialect)
        fact = _fact(wire, value, origin, signature if exact else None, link.sender)
    except UnicodeEncodeError as error:
        raise Rejection("malformed_fact", "a fact's texts are valid Unicode") from error
    if fact.received_from != fact.origin and not fact.certified:
        raise Rejection("origin_stamp_unproven", "a relayed fact's id must commit to its stamp and time", field="id")
    read_resolution(fact)
    read_voiding(fact)
    return _attested(VerifiedFact(fact, source_owned), entry, policy)


def _attested(verified: VerifiedFact, entry: PageEntry, policy: IngestPolicy) -> VerifiedFact:
    """The fact with what its agent signed. Where attestations are enforced, raises Rejection `attestation_required`, or
    why the one that came is none; elsewhere a bad one is left out, and the fact is as good as one without."""
    fact = verified.fact
    mode = policy.attestation_mode(fact.scope)
    # A node's own words are signed by its envelope, and what comes home was judged when it was said.
    is_wanted = mode != "off" and not (fact.is_system or fact.origin in (fact.source, policy.node_id))
    if has_attestation(entry) and fact.certified:
        try:
            attestation = parse_attestation(bytes(entry.attestation))
            verify_attestation(attestation, fact, policy.key_of(fact.origin) or "", policy.suite)
            return verified._replace(attestation=attestation)
        except Rejection as rejection:
            if is_wanted and mode == "enforce":
                raise
            verified = verified._replace(flaw=rejection.code)
    elif is_wanted and mode == "enforce":
        message = f"a fact of scope {fact.scope} is taken only with the signature of its source"
        raise Rejection("attestation_required", message, field="attestation")
    return verified._replace(is_unsigned=is_wanted)


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
    at, derived = _stamp(wire, timestamp_us), derivation(wire.derived_from or [])
    # With a signature the content id was found to be the hash of exactly this content, so it need not be hashed again.
    certified = (
        signature is not None
        and _plain(origin)
        and wire.id
        == self_certifying_id(
            origin.node_id, format_stamp(at), format_us(timestamp_us), wire.valid_until, wire.cid or "", derived
        )
    )
    return Fact(
        stamp=at,
        origin=sys.intern(origin.node_id),
        id=str(wire.id),
        entity=sys.intern(wire.entity),
        relation=sys.intern(wire.relation),
        scope=sys.intern(wire.scope),
        source=sys.intern(wire.source),
        kind=sys.intern(value.kind),
        text=value.text,
        interpret_as=sys.intern(value.interpret_as),
        confidence=wire.confidence + 0.0,
        timestamp_us=timestamp_us,
        valid_until=wire.valid_until,
        derived_from=derived,
        signature=signature if certified and wire.scope == "public" else None,
        entity_uri=sys.intern(origin.entity_uri),
        grant=sys.intern(_joined(origin.allowed_scopes)),
        received_from=sys.intern(sender),
        certified=certified,
        quarantine="instruction_federation_inbound" if instruction else None,
    )


def _joined(scopes: list[str]) -> str:
    return scopes[0] if len(scopes) == 1 else ",".join(sorted(scopes))


def _plain(origin: Origin) -> bool:
    """Whether the envelope can be rebuilt from what a Fact keeps of it, so that its signature holds further on."""
    return origin.allowed_tenants == [TENANT] and all(map(is_scope, origin.allowed_scopes))


# --- the single checks, without ledger and without time ---


def _check_envelope(entry: PageEntry, origin: Origin, link: PeerLink, policy: IngestPolicy) -> bytes:
    """The origin's signature, once origin, signature, grant and tenant hold.

    Raises Rejection `cid_required`, `origin_not_sender`, `origin_unresolvable`, `origin_sig_invalid`,
    `scope_not_in_origin_grant`, `invalid_scope`, `tenant_not_in_origin_grant` or `tenant_policy_unsafe`.
    """
    wire = entry.fact
    if not wire.cid:
        raise Rejection("cid_required", "a fact of dialect 2.1 carries its content id", field="cid")
    relayed = origin.node_id != link.sender
    if relayed and not (policy.accept_relayed and origin.node_id and wire.scope == "public"):
        raise Rejection("origin_not_sender", "this fact's origin is not the node that serves it")
    key = policy.key_of(origin.node_id)
    if key is None:
        raise Rejection("origin_unresolvable", "the key of this fact's origin is not known here")
    signature = _signature(entry, origin, key, policy.suite)
    if wire.scope not in origin.allowed_scopes:
        raise Rejection("scope_not_in_origin_grant", "the origin does not allow this scope", field="scope")
    if not is_scope(wire.scope):
        raise Rejection("invalid_scope", "scope must be local, team, company or public", field="scope")
    if origin.tenant not in origin.allowed_tenants:
        raise Rejection("tenant_not_in_origin_grant", "the origin does not allow its own tenant")
    if origin.tenant != TENANT:
        raise Rejection("tenant_policy_unsafe", f"this node has no tenant but {TENANT}")
    return signature


def signed_part(entry: PageEntry, link: PeerLink, policy: IngestPolicy) -> tuple[str, bytes, bytes] | None:
    """What of an entry its origin signed, as `verify` checks it: public key, message, signature. None where there is
    no signature, or nobody's key is known. For who has many checked at once before they are asked for."""
    origin, wire = entry.origin, entry.fact
    key = policy.key_of(origin.node_id) if origin is not None and link.dialect != "0.5" else None
    if origin is None or key is None or not wire.cid:
        return None
    try:
        return (
            key,
            origin_bytes(origin, str(wire.id), wire.cid, wire.valid_until),
            decode_base64(entry.origin_sig or ""),
        )
    except ValueError:
        return None


def _signature(entry: PageEntry, origin: Origin, key: str, suite: Suite) -> bytes:
    wire = entry.fact
    try:
        signature = decode_base64(entry.origin_sig or "")
        message = origin_bytes(origin, str(wire.id), wire.cid or "", wire.valid_until)
        # Without an entity URI nobody is named as the signer's organisation, whatever the signature says.
        valid = bool(origin.entity_uri) and suite.verify(key, message, signature)
    except ValueError:
        valid = False
    if not valid:
        raise Rejection("origin_sig_invalid", "the origin did not sign this", field="origin_sig")
    return signature


def _check_texts(wire: WireFact) -> None:
    """Lengths, confidence and the absence of a garden; raises Rejection `malformed_fact` or `garden_leak`."""
    for name, text in (("entity", wire.entity), ("relation", wire.relation), ("source", wire.source)):
        if not 0 < len(text) <= limits.URI_CHARS_MAX:
            raise Rejection("malformed_fact", f"{name} needs 1 to {limits.URI_CHARS_MAX} characters", field=name)
    if len(str(wire.id)) > limits.FACT_ID_CHARS_MAX:
        raise Rejection("malformed_fact", f"an id has at most {limits.FACT_ID_CHARS_MAX} characters", field="id")
    if not 0.0 <= wire.confidence <= 1.0:
        raise Rejection("malformed_fact", "confidence lies between 0 and 1", field="confidence")
    if wire.garden_id is not None:
        raise Rejection("garden_leak", "a garden's fact must not leave its node", field="garden_id")


def check_scope(scope: str, link: PeerLink) -> None:
    """The link's grant; raises Rejection `malformed_fact` or `scope_violation`."""
    if not is_scope(scope):
        raise Rejection("malformed_fact", "scope must be local, team, company or public", field="scope")
    if scope not in link.scopes:
        raise Rejection(
            "scope_violation",
            f"scope {scope} is not granted on this link",
            field="scope",
            detail={"scope": scope, "permitted": list(link.scopes)},
        )


def _check_names(wire: WireFact) -> None:
    """Reserved names, of which only resolutions travel; raises Rejection `reserved_namespace`."""
    if wire.entity.startswith(RESOLUTION_PREFIX) and not is_system(wire.relation):
        return
    if is_system(wire.entity) or is_system(wire.relation):
        raise Rejection("reserved_namespace", "stigmem: names are each node's own", field="entity")


def _check_source(source: str, origin: str, policy: IngestPolicy) -> bool:
    """Whether the origin owns the source; raises Rejection `source_not_owned` for one that it cannot own."""
    if origin == policy.node_id:
        return True
    foreign = source == policy.node_id or reserved_source(source)
    owned = source == origin or source.startswith(origin + "/")
    if foreign or (policy.owned_sources_only and not owned):
        message = "this source does not belong to the fact's origin"
        raise Rejection(
            "source_not_owned", message, field="source", detail={"source": source, "source_owned": owned, "by": origin}
        )
    return owned


def _check_cid(wire: WireFact, value: Value, dialect: str) -> bool:
    """Check the content id, if there is one; whether it is the hash of our own spelling of the value.

    Raises Rejection `cid_mismatch`.
    """
    if not wire.cid:
        return False  # legacy and resolution facts of dialect 0.5 travel without one
    hash_of = cid8 if dialect != "0.5" else cid7

    def matches(spelling: Value) -> bool:
        return wire.cid == hash_of(wire.entity, wire.relation, wire.scope, wire.source, spelling, wire.confidence)

    if matches(value):
        return True
    whole = value.kind == "number" and float(value.text).is_integer()
    # The reference hashes an integer as it was written and serves it as a float (federation 3.4).
    if whole and matches(Value("number", str(int(float(value.text))), value.interpret_as)):
        return False
    raise Rejection("cid_mismatch", "the content id is not that of this content", field="cid")


# --- against the ledger and the clock ---


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

    Raises Rejection `id_collision`, `valid_until_extension`, `voided` or `hlc_skew` (with direction and size).
    """
    fact = candidate.fact
    held = ledger.held(fact.origin, fact.id)
    if held is not None:
        check_repeat(held, fact)
        return None
    check_claim(fact, ledger.find(fact.id))
    if ledger.voided_by(fact) is not None:
        raise Rejection("voided", "its origin has voided this fact")
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
