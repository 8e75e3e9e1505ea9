"""Intents: sending one, working on it, and the boxes of those concerned (http-api 7, spec/intents.md).

What an intent is and how it stands is `stigmem.core.intents`; here callers are let in, facts written and shown. Every
fact goes the way of `POST /v1/facts`, so scopes, schemas, tombstones and the rule that nobody speaks for another hold
here too; in addition an envelope and an act are said under the caller's own name, unless it is an administrator's or
callers have no keys. What a caller may not read is not there: an envelope is read from the facts of the caller's
scopes, so who may read none of them gets 404, and references that it may not read are named as missing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import islice
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import hlc, limits
from stigmem.core.errors import Refusal, invalid
from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.fact import Fact
from stigmem.core.intents import (
    ACT_RELATION,
    Act,
    ActKind,
    Consultation,
    Envelope,
    EnvelopeBody,
    IntentState,
    Progress,
    act_text,
    acts_of,
    envelope_of,
    progress_of,
    statements,
)
from stigmem.core.synthesis import stands
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise, normalise_filter
from stigmem.core.wire import Response, json_response
from stigmem.node.api.assertion import AssertRequest, ValueBody, draft_fact, write_fact
from stigmem.node.api.facts import check_scope_parameter
from stigmem.node.api.feedback_guard import FeedbackGuard, session_of
from stigmem.node.api.names import is_known
from stigmem.node.api.reading import Reader
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import AfterCommit, Operation, Outcome
from stigmem.node.api.visibility import Sight, may_read
from stigmem.node.callers import Principal
from stigmem.node.cursors import CursorCodec
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "IntentsApi"]

_FINAL: Final = ("done", "refused", "expired")
Box = Literal["inbox", "outbox"]


class ActRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/intents/{intent}/acts`. `rule`: the place of the deference that is consulted, answered or timed
    out. `by`: who acts; the caller unless given."""

    kind: ActKind
    rule: Annotated[int, msgspec.Meta(ge=0, lt=limits.INTENT_LIST_MAX)] | None = None
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.INTENT_TEXT_CHARS_MAX)] | None = None
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)] | None = None


class IntentParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/intents/{intent}`."""

    include_expired: bool = False


class BoxParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/intents`. `of`: whose box; the caller's own unless given. `state`: without it the inbox
    shows what is not over."""

    box: Box = "inbox"
    of: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)] | None = None
    scope: str | None = None
    state: IntentState | None = None
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = limits.PAGE_LIMIT_DEFAULT


class ActRecord(msgspec.Struct):
    """An act as it is shown; `counted`: whether it changed anything."""

    fact_id: str
    kind: ActKind
    by: str
    at: str
    rule: int | None
    text: str | None
    counted: bool


class EscalationNotice(msgspec.Struct):
    """What the one who was escalated to finds: from whom, how urgent, why, and the context if the sender wants it
    shown."""

    by: str
    at: str
    to: str
    channel: str
    priority: str
    reason: str | None
    context: dict[str, Any] | None


class IntentRecord(EnvelopeBody, kw_only=True, rename={"sender": "from"}):
    """An envelope and where it stands. `missing_refs`: references of the handoff that mean nothing that the caller may
    read on this node. `contested_by`: others who wrote under this id, which counts for nothing."""

    created_at: str
    state: IntentState
    acts: list[ActRecord]
    consultations: list[Consultation]
    escalated: EscalationNotice | None
    missing_refs: list[str]
    contested_by: list[str]
    fact_ids: list[str] = msgspec.field(default_factory=list)
    as_: list[str] | UnsetType = msgspec.field(default=UNSET, name="as")
    """In a box: as what it concerns its owner (`recipient`, `deferred_to`, `escalated_to` or `sender`)."""


class IntentsAnswer(msgspec.Struct):
    """A page of a box, newest first."""

    intents: list[IntentRecord]
    cursor: str | None


class _Intent(NamedTuple):
    envelope: Envelope
    progress: Progress
    acts: list[Act]


class IntentsApi:
    """Sending intents and working on them."""

    def __init__(
        self, *, identity: Identity, quotas: Quotas, guard: FeedbackGuard, reader: Reader, cursors: CursorCodec
    ) -> None:
        self._identity = identity
        self._quotas = quotas
        self._guard = guard
        self._reader = reader
        self._cursors = cursors

    # --- writing ---

    def post_intent(self, call: ApiRequest, txn: Transaction) -> Outcome:
        body: EnvelopeBody = call.body
        principal = call.principal
        sender = self._own_name(principal, body.sender, "from")
        intent = normalise(body.id) if body.id is not None else f"intent:{self._identity.new_uuid()}"
        if len(intent) > limits.INTENT_ID_CHARS_MAX:
            raise invalid("id", f"an intent's id has at most {limits.INTENT_ID_CHARS_MAX} characters")
        whole = msgspec.structs.replace(
            body, id=intent, sender=sender, to=list(dict.fromkeys(normalise(to) for to in body.to))
        )
        said = list(statements(intent, whole))
        self._quotas.charge(txn, principal, "fact_write", len(said))
        txn.reserve("intent", intent)
        if any(_readable(txn, principal, fact) for fact in self._facts(intent, expired=True)):
            raise Refusal(409, "intent_exists", "there is an intent of this id", field="id")
        session = session_of(call.request)
        drafts = []
        for entity, relation, kind, v in said:
            request = AssertRequest(
                entity=entity,
                relation=relation,
                value=ValueBody(type=kind, v=v),
                source=sender,
                scope=body.scope,
                valid_until=body.expires_at,
            )
            draft = draft_fact(txn, principal, request, self._identity)
            self._guard.check(session, principal, request, txn, None)
            drafts.append(draft)
        facts = [write_fact(txn, principal, draft).fact for draft in drafts]

        def answer() -> Response:
            expires_us = facts[0].expires_us
            envelope = Envelope(whole, self._identity.node_id, min(fact.timestamp_us for fact in facts), expires_us, ())
            found = _Intent(envelope, progress_of(envelope, (), txn.now_us), [])
            record = self._record(found, Sight.of(call, txn))
            record.fact_ids = [fact.id for fact in facts]
            return json_response(201, record)

        return AfterCommit(answer)

    def post_act(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: ActRequest = call.body
        principal = call.principal
        self._quotas.charge(txn, principal, "fact_write")
        by = self._own_name(principal, given.by or principal.entity_uri, "by")
        intent = normalise_filter(call.params["intent"])
        txn.reserve("intent", intent)
        found = self._look(intent, txn, principal, expired=False)
        if found is None:
            raise _unknown()
        self._check_act(found, given)
        same = next((act for act in reversed(found.progress.acts) if act.by == by), None)
        if same is None or (same.kind, same.rule, same.text) != (given.kind, given.rule, given.text):
            count = sum(act.by == by for act in found.acts)
            request = AssertRequest(
                entity=intent,
                relation=ACT_RELATION,
                value=ValueBody(type="text", v=act_text(given.kind, count, given.rule, given.text)),
                source=by,
                scope=found.envelope.body.scope,
            )
            draft = draft_fact(txn, principal, request, self._identity)
            self._guard.check(session_of(call.request), principal, request, txn, None)
            # The stamp that it will have is behind all that are known.
            fact = msgspec.structs.replace(draft.fact, stamp=hlc.tick(txn.stamp, txn.now_ms))
            act = Act(given.kind, by, given.rule, given.text, fact.wall_ms * 1_000, fact)
            foreseen = progress_of(found.envelope, [*found.acts, act], txn.now_us)
            if not any(each.fact is fact for each in foreseen.acts):
                raise self._refusal(found, given, by, txn.now_us)
            write_fact(txn, principal, draft)

        def answer() -> Response:
            after = self._look(intent, txn, principal, expired=False)
            if after is None:  # what was read a moment ago is only gone when its time came
                raise _unknown()
            return json_response(201, self._record(after, Sight.of(call, txn)))

        return AfterCommit(answer)

    @staticmethod
    def _own_name(principal: Principal, name: str, field: str) -> str:
        """The name of who speaks. Raises Refusal 400 and 403."""
        found = normalise(name)
        if principal.key_id and "admin" not in principal.permissions and found != normalise(principal.entity_uri):
            message = f"`{field}` is only one's own name: this key is {principal.entity_uri}'s"
            raise Refusal(403, "not_your_name", message, field=field)
        return found

    @staticmethod
    def _check_act(found: _Intent, given: ActRequest) -> None:
        rules = found.envelope.body.deference
        if given.kind in ("consulted", "answered", "timed_out"):
            if given.rule is None or given.rule >= len(rules):
                raise invalid("rule", f"name one of the {len(rules)} rules of deference by its place, from 0")
        elif given.rule is not None:
            raise invalid("rule", f"`{given.kind}` is about no rule of deference")

    @staticmethod
    def _refusal(found: _Intent, given: ActRequest, by: str, now_us: int) -> Refusal:
        """Why an act would change nothing."""
        progress, body = found.progress, found.envelope.body
        if progress.state in _FINAL:
            return Refusal(409, "intent_is_over", f"this intent is {progress.state}")
        if given.kind == "escalated" and body.escalation is None:
            return Refusal(409, "no_escalation", "the sender named nobody to escalate to")
        if given.kind == "escalated" and progress.escalated is not None:
            return Refusal(409, "already_escalated", "this intent was escalated before")
        held = next((each for each in progress.consultations if each.rule == given.rule), None)
        if given.kind == "consulted" and held is not None:
            return Refusal(409, "already_consulted", f"this rule was consulted at {held.consulted_at}")
        if given.kind in ("answered", "timed_out") and (held is None or held.outcome != "waiting"):
            return Refusal(409, "nothing_waits", "no question under this rule waits for an answer")
        if given.kind == "timed_out" and held is not None:
            if held.times_out_at is None:
                return Refusal(409, "no_timeout", "the sender set no timeout: the answer is waited for")
            if found.envelope.body.deference[held.rule].timeout_s is not None and now_us < _us(found, held):
                return Refusal(409, "too_early", f"an answer is waited for until {held.times_out_at}")
        return Refusal(403, "not_your_part", f"the intent gives {by} no part in which it could be `{given.kind}`")

    # --- reading ---

    def get_intent(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: IntentParameters = call.query
        self._reader.charge_read(call, txn)
        found = self._look(normalise_filter(call.params["intent"]), txn, call.principal, expired=given.include_expired)
        if found is None:
            raise _unknown()
        self._guard.note(session_of(call.request), call.principal, (found.envelope.body.scope,))
        return json_response(200, self._record(found, Sight.of(call, txn)))

    def get_box(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: BoxParameters = call.query
        self._reader.charge_read(call, txn)
        check_scope_parameter(call.principal, given.scope)
        owner = normalise_filter(given.of or call.principal.entity_uri)
        name = f"{given.box} {owner} {given.scope} {given.state}"
        before = None if given.cursor is None else self._place(given.cursor, name)
        session = session_of(call.request)

        async def make() -> Response:
            records, place = await self._reader.indexes.in_slices(self._page(call, txn, given, owner, before))
            self._guard.note(session, call.principal, (record.scope for record in records))
            cursor = None if place is None else self._cursors.close(f"intents\n{place}\n{name}")
            return json_response(200, IntentsAnswer(records, cursor))

        return self._reader.answer("intents", make)

    def _page(
        self, call: ApiRequest, txn: Transaction, given: BoxParameters, owner: str, before: str | None
    ) -> Generator[None, None, tuple[list[IntentRecord], str | None]]:
        """A page of a box, and the place after which the next one begins; None at the end."""
        principal, sight = call.principal, Sight.of(call, txn)
        firsts = list(self._reader.ledger.by_relation.get("intent:from"))
        records: list[IntentRecord] = []
        seen: dict[str, None] = {}
        looked_at = 0
        for fact in reversed(firsts):
            place = f"{fact.stamp:020d} {fact.origin} {fact.id}"
            if (before is not None and place >= before) or fact.entity in seen:
                continue
            if given.scope is not None and fact.scope != given.scope:
                continue
            seen[fact.entity] = None
            looked_at += 1
            found = self._look(fact.entity, txn, principal, expired=given.state == "expired")
            # Under one id there may be several of these facts; the page has the intent where its own one stands.
            own = found is not None and (found.envelope.body.sender, found.envelope.origin) == (
                fact.source,
                fact.origin,
            )
            if found is not None and own:
                parts = _parts(found, owner, given.box)
                is_over = found.progress.state in _FINAL
                wanted = not is_over or given.box == "outbox"
                if parts and (wanted if given.state is None else found.progress.state == given.state):
                    record = self._record(found, sight)
                    record.as_ = parts
                    records.append(record)
            elif found is not None:
                del seen[fact.entity]
            if len(records) == given.limit or looked_at == limits.INTENTS_LOOKED_AT_MAX:
                return records, place
            yield
        return records, None

    def _place(self, cursor: str, name: str) -> str:
        """The place that a page begins behind; raises Refusal 400 for a cursor of another list."""
        kind, _, rest = self._cursors.open(cursor).partition("\n")
        place, _, found = rest.partition("\n")
        if kind != "intents" or found != name:
            raise Refusal(400, "invalid_cursor", "the cursor is one of another list", field="cursor")
        return place

    def _facts(self, entity: str, *, expired: bool) -> Iterable[Fact]:
        ledger = self._reader.ledger
        held = islice(ledger.by_entity.get(entity), limits.INTENT_FACTS_READ_MAX)
        return (fact for fact in held if stands(ledger, fact, include_expired=expired))

    def _look(self, intent: str, txn: Transaction, principal: Principal, *, expired: bool) -> _Intent | None:
        """An intent as a caller sees it."""

        def facts_of(entity: str) -> list[Fact]:
            return [fact for fact in self._facts(entity, expired=expired) if _readable(txn, principal, fact)]

        envelope = envelope_of(intent, facts_of)
        if envelope is None:
            return None
        acts = acts_of(facts_of(intent), envelope.body.scope)
        return _Intent(envelope, progress_of(envelope, acts, txn.now_us), acts)

    def _record(self, found: _Intent, sight: Sight) -> IntentRecord:
        envelope, progress = found.envelope, found.progress
        body = envelope.body
        counted = {act.fact.id for act in progress.acts}
        members = {name: getattr(body, name) for name in body.__struct_fields__}
        return IntentRecord(
            **members,
            created_at=format_us(envelope.created_us),
            state=progress.state,
            acts=[_act_record(act, counted=act.fact.id in counted) for act in found.acts],
            consultations=progress.consultations,
            escalated=_notice(body, progress.escalated),
            missing_refs=self._missing(body, sight),
            contested_by=list(envelope.rivals),
        )

    def _missing(self, body: EnvelopeBody, sight: Sight) -> list[str]:
        if body.handoff is None:
            return []
        return [ref for ref in body.handoff.fact_refs if not self._resolves(ref, sight)]

    def _resolves(self, ref: str, sight: Sight) -> bool:
        return sight.means(ref) or is_known(self._reader.ledger, sight.reader, normalise_filter(ref))


def _readable(txn: Transaction, principal: Principal, fact: Fact) -> bool:
    return may_read(principal, fact) and not is_foreign_instruction(fact)


def _unknown() -> Refusal:
    return Refusal(404, "intent_not_found", "there is no such intent, or its time has passed")


def _us(found: _Intent, held: Consultation) -> int:
    """When a consultation times out, in microseconds since the epoch."""
    asked = next(act for act in found.progress.acts if (act.kind, act.rule) == ("consulted", held.rule))
    return asked.at_us + (found.envelope.body.deference[held.rule].timeout_s or 0) * 1_000_000


def _parts(found: _Intent, owner: str, box: Box) -> list[str]:
    """As what an intent concerns the owner of a box."""
    body, progress = found.envelope.body, found.progress
    if box == "outbox":
        return ["sender"] if body.sender == owner else []
    parts = []
    if owner in (normalise_filter(to) for to in body.to):
        parts.append("recipient")
    waiting = (each for each in progress.consultations if each.outcome == "waiting")
    if any(normalise_filter(each.defer_to) == owner for each in waiting):
        parts.append("deferred_to")
    decider = None if body.escalation is None else normalise_filter(body.escalation.escalate_to)
    if progress.escalated is not None and decider == owner:
        parts.append("escalated_to")
    return parts


def _act_record(act: Act, *, counted: bool) -> ActRecord:
    return ActRecord(act.fact.id, act.kind, act.by, format_us(act.at_us), act.rule, act.text, counted)


def _notice(body: EnvelopeBody, act: Act | None) -> EscalationNotice | None:
    escalation = body.escalation
    if act is None or escalation is None:
        return None
    context: dict[str, Any] | None = None
    if escalation.include_context:
        shown = ("sender", "to", "goal", "constraint", "preference", "handoff")
        context = {"from" if name == "sender" else name: getattr(body, name) for name in shown}
    return EscalationNotice(
        by=act.by,
        at=format_us(act.at_us),
        to=escalation.escalate_to,
        channel=escalation.channel,
        priority=escalation.priority,
        reason=act.text,
        context=context,
    )


_REFUSALS: Final = (400, 401, 403, 404, 422, 429, 503)

OPERATIONS = (
    Operation(
        "create_intent", "POST", "/v1/intents", "write", IntentsApi.post_intent,
        "Say what should happen, to whom and within which limits",
        body=EnvelopeBody, answer=IntentRecord, status=201, refusals=(400, 401, 403, 409, 413, 422, 429, 503, 507),
        tags=("intents",),
    ),
    Operation(
        "list_intents", "GET", "/v1/intents", "read", IntentsApi.get_box,
        "Intents that wait for somebody, or that somebody sent, newest first",
        query=BoxParameters, answer=IntentsAnswer, refusals=(400, 401, 403, 422, 429, 503), tags=("intents",),
    ),
    Operation(
        "get_intent", "GET", "/v1/intents/{intent}", "read", IntentsApi.get_intent,
        "An intent, what was done about it, and how it stands",
        query=IntentParameters, answer=IntentRecord, refusals=_REFUSALS, tags=("intents",),
    ),
    Operation(
        "act_on_intent", "POST", "/v1/intents/{intent}/acts", "write", IntentsApi.post_act,
        "Accept, refuse or do it, consult, answer, time out or escalate",
        body=ActRequest, answer=IntentRecord, status=201, refusals=(*_REFUSALS, 409, 413, 507), tags=("intents",),
    ),
)  # fmt: skip
