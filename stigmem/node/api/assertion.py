"""Local assertions: from a request's members to a staged fact (http-api 1.1, 3.3).

Validation, normalisation and de-duplication of one write; single, batched and simulated writes all come
through `draft_fact`, which changes nothing, and `write_fact`. The response is made after the commit by the caller.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from stigmem.core import hlc, limits
from stigmem.core.attestation import Attestation
from stigmem.core.canonical import quote
from stigmem.core.cardinality import MANY_VALUES
from stigmem.core.contradiction import is_operators_retraction
from stigmem.core.errors import Refusal, Rejection, invalid
from stigmem.core.fact import Fact, derivation, says_the_same
from stigmem.core.gardens import Garden
from stigmem.core.lookalikes import number_warnings, text_warnings
from stigmem.core.records import AttestedFact, StatedTrust
from stigmem.core.schemas import SCHEMA_RELATION, read_document, relation_of
from stigmem.core.scopes import SCOPES, is_scope
from stigmem.core.suggestions import one_of
from stigmem.core.timestamps import parse_us
from stigmem.core.trust import TRUST_CLASSES
from stigmem.core.uris import VOID_PREFIX, normalise
from stigmem.core.values import Value, parse_value
from stigmem.node.api.attesting import AttestationBody, Saying, attestation_of
from stigmem.node.api.garden_access import WRITING, garden_of_facts
from stigmem.node.api.names import canonical_name
from stigmem.node.api.visibility import is_there
from stigmem.node.callers import Principal
from stigmem.node.identity import Identity
from stigmem.node.responses import refusal_of_value
from stigmem.node.staged_garden import FactRoom
from stigmem.node.transaction import Transaction

__all__ = [
    "AssertRequest", "Draft", "ValueBody", "Written", "audit_write", "check_schema", "draft_fact", "owner_warnings",
    "read_value", "room_of", "spelling_warnings", "stage_fact", "write_fact",
]  # fmt: skip


_WRITE_MODES: Final = ("assert", "summarize_with_provenance")


class ValueBody(msgspec.Struct, kw_only=True, gc=False):
    """A typed value as a caller sends it."""

    type: str
    v: Any = None
    interpret_as: str | None = None


class AssertRequest(msgspec.Struct, kw_only=True, gc=False):
    """Body of `POST /v1/facts`; unknown members are ignored."""

    entity: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
    relation: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
    value: ValueBody
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
    confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0
    scope: str = "local"
    valid_until: str | None = None
    attestation: AttestationBody | None = None
    garden_id: str | None = None
    trust_class: str | None = None
    write_mode: str = "assert"
    derived_from: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=limits.DERIVED_FROM_MAX)] = []


class Draft(NamedTuple):
    """A complete fact but for its stamp and, outside of gardens, its id; and where it shall be written."""

    fact: Fact
    garden: Garden | None
    """None for the facts of the node itself."""
    trust_class: str | None = None
    """Which kind of knowledge the author says it is."""
    attestation: Attestation | None = None
    """What its agent signed, verified."""


class Written(msgspec.Struct, gc=False):
    """The fact that answers a write, and whether this write made it."""

    fact: Fact
    fresh: bool


def draft_fact(txn: Transaction, principal: Principal, request: AssertRequest, identity: Identity) -> Draft:
    """The fact that a request asks for. Raises Refusal; stages nothing."""
    _check(request)
    principal.need_scope(request.scope)
    garden = _garden(txn, principal, request)
    entity = canonical_name(txn.state, principal, normalise(request.entity))
    if entity.startswith(VOID_PREFIX):
        message = "a node names what it voids itself: see `stigmem clock void`"
        raise invalid("entity", message, given=request.entity)
    source = _normalised_source(request.source)
    owner_warnings(txn, principal, source)
    try:
        value = read_value(request.value)
        derived_from = _provenance(request)
    except Rejection as rejection:
        raise refusal_of_value(rejection, request) from rejection
    if value.interpret_as == "instruction" and "instruction:write" not in principal.permissions:
        raise Refusal(403, "instruction_write_required", "asserting an instruction needs instruction:write")
    fact = Fact(
        stamp=txn.stamp,
        origin=identity.node_id,
        # The id of a garden's fact says nothing of what is in it: it stands in logs that others read.
        id="" if garden is None else identity.new_uuid(),
        entity=sys.intern(entity),
        relation=sys.intern(request.relation),
        scope=sys.intern(request.scope),
        source=sys.intern(source),
        kind=sys.intern(value.kind),
        text=value.text,
        interpret_as=sys.intern(value.interpret_as),
        confidence=request.confidence + 0.0,
        timestamp_us=txn.now_us,
        valid_until=request.valid_until,
        derived_from=derived_from,
        certified=garden is None,
    )
    if txn.state.erasures.covering(fact) is not None:
        message = "a tombstone forbids to write about this entity, in its name or with it as a value"
        raise Refusal(409, "tombstoned", message)
    room = room_of(txn, garden)
    _check_author(txn, principal, fact, room)
    check_schema(txn, fact)
    said = Saying(request.entity, request.relation, request.value.v, request.source, request.garden_id)
    attestation = attestation_of(txn, principal, request.attestation, said, fact, identity)
    if attestation is not None:
        _check_use(txn, room, fact, attestation)
    return Draft(fact, garden, request.trust_class, attestation)


def _check_use(txn: Transaction, room: FactRoom, draft: Fact, attestation: Attestation) -> None:
    """A signature is good for one fact; that a write comes again is no second one. Raises Refusal 409."""
    used = txn.state.attestations.first_use(attestation.key.public_key, draft.origin, attestation.nonce)
    if used is not None:
        held = _already_says(room, txn.now_ms, draft, draft.cid)
        if held is None or held.id != used:
            message = "this nonce was used for another fact; sign each with one of its own"
            raise Refusal(409, "attestation_replayed", message, field="attestation.nonce")


def check_schema(txn: Transaction, fact: Fact) -> None:
    """What a caller says fits the schema of its relation, and a schema is one. Raises Refusal 422."""
    if fact.relation == SCHEMA_RELATION and not fact.is_retraction:
        relation = relation_of(fact.entity)
        if relation is None:
            raise invalid("entity", "a schema has an entity such as stigmem://<authority>/relation/<name>")
        try:
            document = read_document(fact.text)
        except Rejection as rejection:
            raise invalid("value.v", rejection.message, code=rejection.code) from rejection
        if relation in MANY_VALUES and document.cardinality != "many":
            raise invalid("value.v", f"{relation} holds many values, on every node", code="malformed_schema")
    misfit = txn.state.schemas.misfit(fact)
    if misfit is not None:
        raise invalid(misfit.path, misfit.message, code="schema_mismatch")


def _check_author(txn: Transaction, principal: Principal, draft: Fact, room: FactRoom) -> None:
    """Nobody speaks for another: raises Refusal 403 for a write that would end what somebody else said in this room.

    First words are free, under whatever source, and so is everything where callers have no keys. A source that no key
    of this node has as its entity belongs to nobody here.
    """
    if draft.is_system or not principal.key_id or "admin" in principal.permissions:
        return
    if is_operators_retraction(draft):
        message = "a retraction under this node's own id takes back what all of its sources said: that needs admin"
        raise Refusal(403, "operators_retraction", message, field="source")
    if _speaks_for(txn, principal, draft):
        return
    last = room.words.last(draft) or room.ledger.last_word(draft)
    # Who may not read what was said must not learn from a refusal that something was.
    if "read" not in principal.permissions or (last is not None and not says_the_same(last, draft)):
        message = (
            f"{draft.source} holds a key of its own: only it and admin may take the place of what it has said here"
        )
        raise Refusal(403, "source_of_another_key", message, field="source")


def _speaks_for(txn: Transaction, principal: Principal, fact: Fact) -> bool:
    """Whether a caller may take the place of what the source of a fact said: it is that source, it is an administrator,
    callers have no keys here, or nobody's key is that of the source."""
    return (
        not principal.key_id
        or "admin" in principal.permissions
        or fact.source == normalise(principal.entity_uri)
        or fact.source not in txn.state.key_holders
    )


def room_of(txn: Transaction, garden: Garden | None) -> FactRoom:
    """Where a fact of this garden, or of none, is staged."""
    return txn if garden is None else txn.garden(garden)


def write_fact(txn: Transaction, principal: Principal, draft: Draft) -> Written:
    """Stage a draft, or find the live fact that already says it."""
    fact, garden, trust_class, attestation = draft
    cid = fact.cid
    room = room_of(txn, garden)
    held = _already_says(room, txn.now_ms, fact, cid)
    if attestation is not None and held is not None and _lacks(txn, room, held, attestation):
        held = None
    if held is not None and is_there(principal, held):
        if trust_class not in (None, txn.state.stated_trust.get(held.id)) and _speaks_for(txn, principal, held):
            txn.add(StatedTrust(held.id, trust_class))
        return Written(held, fresh=False)
    stored = stage_fact(room, fact, cid)
    if trust_class is not None:
        txn.add(StatedTrust(stored.id, trust_class))
    if attestation is not None:
        txn.add(AttestedFact(stored.origin, stored.id, stored.stamp, attestation))
    audit_write(txn, principal, stored, garden, cid)
    return Written(stored, fresh=True)


def _lacks(txn: Transaction, room: FactRoom, held: Fact, attestation: Attestation) -> bool:
    """Whether a fact that says the same was not signed with this key, so that signing it now says more. One of this
    batch counts as signed: it is the same write, come twice."""
    if held.seq > room.ledger.last_seq:
        return False
    beside = txn.state.attestations.beside(held)
    return beside is None or beside.key.public_key != attestation.key.public_key or beside.form != attestation.form


def audit_write(
    txn: Transaction, principal: Principal, fact: Fact, garden: Garden | None, cid: str, **more: str
) -> None:
    """Stage the audit row of a fact that was written. That of a garden's fact names the garden and nothing that could
    be guessed: whoever reads the whole log need not be a member."""
    if garden is None:
        txn.audit("fact_write", principal.entity_uri, fact_id=fact.id, cid=cid, scope=fact.scope, **more)
    else:
        txn.audit("garden_write", principal.entity_uri, fact_id=fact.id, garden=garden.row.garden_id)


def stage_fact(room: FactRoom, draft: Fact, cid: str) -> Fact:
    """Give a complete draft its stamp and, unless it has one, the id that commits to it, and stage it. `cid`: its
    content id."""
    stamped = msgspec.structs.replace(draft, stamp=room.tick())
    if not stamped.id:
        stamped = msgspec.structs.replace(stamped, id=stamped.certified_id())
    return room.store(stamped, cid)


def read_value(body: ValueBody) -> Value:
    """The value that a caller sends; raises Rejection, also for one whose escapes would not fit into a page."""
    value = parse_value(body.type, body.v, body.interpret_as)
    if len(value.text) * 6 > limits.VALUE_JSON_BYTES_MAX and len(quote(value.text)) - 2 > limits.VALUE_JSON_BYTES_MAX:
        message = f"a value has at most {limits.VALUE_JSON_BYTES_MAX} characters as JSON; leave out control characters"
        raise Rejection("value_too_large", message, field="value.v")
    return value


def _provenance(request: AssertRequest) -> str:
    """The text of a request's provenance; raises Rejection for more of it than a fact may hold."""
    text = derivation(request.derived_from)
    if len(text) * 4 > limits.STRING_BYTES_MAX and len(text.encode()) > limits.STRING_BYTES_MAX:
        message = f"provenance holds at most {limits.STRING_BYTES_MAX} bytes"
        raise Rejection("value_too_large", message, field="derived_from")
    return text


def _check(request: AssertRequest) -> None:
    if not is_scope(request.scope):
        raise invalid("scope", one_of("scope", request.scope, SCOPES), given=request.scope)
    if request.write_mode not in _WRITE_MODES:
        message = one_of("write_mode", request.write_mode, _WRITE_MODES)
        raise invalid("write_mode", message, given=request.write_mode)
    if request.trust_class is not None and request.trust_class not in TRUST_CLASSES:
        message = one_of("trust_class", request.trust_class, TRUST_CLASSES)
        raise invalid("trust_class", message, given=request.trust_class)
    if request.valid_until is not None:
        try:
            parse_us(request.valid_until)
        except ValueError as error:
            message = "valid_until must be an ISO-8601 instant"
            raise invalid("valid_until", message, given=request.valid_until) from error
    try:
        f"{request.entity}{request.relation}{request.source}".encode()
    except UnicodeEncodeError as error:
        fields = ("entity", "relation", "source")
        member = next(name for name in fields if not _is_unicode(getattr(request, name)))
        message = f"{member} must be valid Unicode: half of a character is in it"
        raise invalid(member, message, given=getattr(request, member)) from error


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _garden(txn: Transaction, principal: Principal, request: AssertRequest) -> Garden | None:
    """The garden that a request names. Raises Refusal 403, 404 or 422."""
    if request.garden_id is None:
        return None
    garden = garden_of_facts(txn, principal, request.garden_id, WRITING)
    if request.scope != garden.row.scope:
        message = f"the facts of this garden have scope {garden.row.scope}"
        raise invalid("scope", message, given=request.scope)
    return garden


def owner_warnings(txn: Transaction, principal: Principal, source: str) -> list[str]:
    """A remark on a write in somebody else's name, where the operator cares (http-api 4.3).

    Raises Refusal 422 where the operator cares more. Whoever came without a key has no name to compare with.
    """
    mode = txn.settings.source_attestation
    if mode == "off" or not principal.key_id or source == normalise(principal.entity_uri):
        return []
    message = f"the source is not {principal.entity_uri}, whose key this is"
    if mode == "warn":
        return [message]
    raise Refusal(422, "source_attestation_failed", f"source_attestation_failed: {message}")


def spelling_warnings(request: AssertRequest) -> list[str]:
    """Remarks on what is stored as it was sent and may not be what was meant (spec/facts.md, 2)."""
    found = []
    for member in ("entity", "relation", "source"):
        found += text_warnings(member, getattr(request, member))
    v = request.value.v
    return [*found, *(text_warnings("value.v", v) if isinstance(v, str) else number_warnings(v))]


def _normalised_source(source: str) -> str:
    try:
        return normalise(source)
    except Refusal as refusal:
        refusal.field = "source"
        for item in refusal.extra.get("errors", ()):
            item["loc"] = ["body", "source"]
        raise


def _already_says(room: FactRoom, now_ms: int, draft: Fact, cid: str) -> Fact | None:
    """A fact of this node that is what the draft's author said last, until the same instant, and still counts; a dead
    one does not answer a new write (http-api 1.8). Nor does one of another node: it may be hostile, and what is said
    here is ours to stand by."""
    if draft.is_system:
        staged = (fact for fact in reversed(room.staged_content(cid)) if says_the_same(fact, draft))
        return next(staged, None) or room.ledger.repeated(draft, cid)
    last = room.words.last(draft)
    if last is None:
        last = room.ledger.repeated(draft, cid)
        if last is None or (last.is_retraction and _aimed_anew(room, now_ms, last)):
            return None
    elif not says_the_same(last, draft):
        return None
    return None if room.words.overtakes(last) else last


def _aimed_anew(room: FactRoom, now_ms: int, retraction: Fact) -> bool:
    """Whether saying a retraction once more would add something: an assertion that stands has come after it."""
    conflict_set = room.ledger.slot(retraction.slot)
    after = None if conflict_set is None else conflict_set.stands_since(retraction)
    return after is not None and after.stamp < hlc.tick(room.stamp, now_ms)
