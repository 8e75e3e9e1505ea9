"""Operations on facts: assert, query, single fact, provenance, content id check (http-api 3.3-3.5).

Handlers only: reading parameters, asking the ledger, shaping answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.content_id import is_cid
from stigmem.core.errors import Refusal, shown
from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.fact import Fact, FactRecord
from stigmem.core.gardens import Garden
from stigmem.core.known_facts import KnownFacts
from stigmem.core.past import PastFacts
from stigmem.core.query import FactPage, FactQuery, history_past, query_past, run_history, run_query
from stigmem.core.schemas import known_at
from stigmem.core.scopes import SCOPES, is_scope
from stigmem.core.suggestions import one_of
from stigmem.core.trust import TrustClass
from stigmem.core.uris import normalise_filter, relation_warnings
from stigmem.core.wire import Response, json_response
from stigmem.node.api.assertion import AssertRequest, draft_fact, owner_warnings, spelling_warnings, write_fact
from stigmem.node.api.attesting import missing_warnings
from stigmem.node.api.feedback_guard import FeedbackGuard, session_of
from stigmem.node.api.garden_access import READING, facts_in_gardens, garden_of_facts
from stigmem.node.api.names import canonical_name, other_names
from stigmem.node.api.points_of_time import AskedPoint, AsOf, KnownAt, PointRecord, PointsOfTime, instant_us
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import AfterCommit, Operation, Outcome
from stigmem.node.api.views import fact_record, shown_cid, trust_of
from stigmem.node.api.visibility import Sight, may_read, readable_scopes
from stigmem.node.callers import Principal
from stigmem.node.cursors import CursorCodec
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "FactsApi", "check_scope_parameter"]


class QueryParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/facts`."""

    entity: str | None = None
    relation: str | None = None
    source: str | None = None
    scope: str | None = None
    min_confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None
    include_contradicted: bool = False
    include_superseded: bool = False
    include_misfits: bool = False
    include_expired: bool = False
    include_retracted: Annotated[
        bool | None,
        msgspec.Meta(description="Show retractions, as `min_confidence=0` and `include_contradicted` do."),
    ] = None
    include_low_trust: bool = False
    attested: bool | None = None
    trust_class: TrustClass | None = None
    after: str | None = None
    as_of: AsOf = None
    known_at: KnownAt = None
    garden_id: str | None = None
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)] = limits.PAGE_LIMIT_DEFAULT


class FactsAnswer(msgspec.Struct):
    """A page of facts; `total` counts this page. `hidden_by_conflict`: how many more would be on it, were they in no
    open conflict; `include_contradicted` shows them."""

    facts: list[FactRecord]
    total: int
    cursor: str | None
    hidden_by_conflict: int = 0
    tombstone_notices: list[Any] = []
    point_of_time: PointRecord | UnsetType = UNSET
    """Which one was asked for; there only when one was."""
    instructions: list[FactRecord] | UnsetType = UNSET
    """Instructions of peers that somebody admitted; there only when the page has some, and never among `facts`."""


class HistoryParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/facts/{fact}/history`."""

    all_authors: bool = False
    """Also what others said in the slot."""
    as_of: AsOf = None
    known_at: KnownAt = None
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)] = limits.PAGE_LIMIT_DEFAULT


class FactParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/facts/{fact}`."""

    as_of: AsOf = None
    known_at: KnownAt = None


class CidAnswer(msgspec.Struct):
    """Outcome of a content id check."""

    cid_valid: bool
    computed_cid: str
    stored_cid: str | None
    mismatch_reason: str | None


class ProvenanceItem(msgspec.Struct):
    """One reference; what cannot be shown looks like what does not exist."""

    hash: str
    fact_id: str | None
    entity: str | None
    exists: bool
    superseded_by: str | msgspec.UnsetType = msgspec.UNSET
    retracted_by: str | msgspec.UnsetType = msgspec.UNSET
    """Id of the word that has ended it since; left out while nothing has."""


class ProvenanceAnswer(msgspec.Struct):
    """What a fact was derived from, one level deep."""

    fact_id: str
    cid: str | None
    derived_from: list[ProvenanceItem]


class FactsApi:
    """Facts of this node: writing them, and looking at them."""

    def __init__(
        self,
        *,
        identity: Identity,
        quotas: Quotas,
        cursors: CursorCodec,
        guard: FeedbackGuard,
        points: PointsOfTime,
    ) -> None:
        self._identity = identity
        self._quotas = quotas
        self._cursors = cursors
        self._guard = guard
        self._points = points

    def post_fact(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_write")
        draft = draft_fact(txn, call.principal, call.body, self._identity)
        self._guard.check(session_of(call.request), call.principal, call.body, txn, draft.garden)
        written = write_fact(txn, call.principal, draft)
        warnings: list[str] = []
        if written.fresh:
            warnings = [
                *relation_warnings(draft.fact.relation), *owner_warnings(txn, call.principal, draft.fact.source),
                *spelling_warnings(call.body), *missing_warnings(txn, draft.fact.scope, draft.attestation),
            ]  # fmt: skip

        ledger = txn.ledger if draft.garden is None else draft.garden.ledger
        garden_uri, sight = self._uri(draft.garden), Sight.of(call, txn)

        def answer() -> Response:
            return json_response(
                201,
                fact_record(written.fact, ledger, sight, garden_uri=garden_uri, warnings=warnings, own=written.fresh),
            )

        return AfterCommit(answer)

    def get_facts(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        given: QueryParameters = call.query
        garden = None
        if given.garden_id is not None:
            garden = garden_of_facts(txn, call.principal, given.garden_id, READING)
        check_scope_parameter(call.principal, given.scope)
        entity: str | None = None
        also: tuple[str, ...] = ()
        if given.entity is not None:
            entity = canonical_name(txn.state, call.principal, normalise_filter(given.entity))
            also = other_names(txn.state, call.principal, entity)
        ledger = txn.ledger if garden is None else garden.ledger
        sight = Sight.of(call, txn)
        asked = self._points.asked(given, ledger, sight, garden=garden)
        query = FactQuery(
            entity=entity,
            also=also,
            relation=given.relation,
            source=None if given.source is None else normalise_filter(given.source),
            scope=given.scope,
            min_confidence=given.min_confidence or 0.0,
            include_contradicted=given.include_contradicted,
            include_superseded=given.include_superseded,
            include_misfits=given.include_misfits,
            include_expired=given.include_expired,
            include_retracted=_shows_retractions(given),
            after_us=None if given.after is None else instant_us("after", given.after),
            cursor=asked.cursor if asked else None if given.cursor is None else self._cursors.open(given.cursor),
            limit=given.limit,
            scopes=readable_scopes(call.principal),
            foreign_instructions=True,
            confidence=partial(txn.state.decay.confidence, now_us=txn.now_us)
            if txn.state.decay and not asked
            else None,
            fits=_fitting(given, txn.state),
        )
        session = session_of(call.request)
        if asked is not None:
            past = known_at(ledger, asked.point, txn.state.schemas)
            return self._past_page(call, asked, query_past(past, query), past, garden)
        page = run_query(ledger, query)
        self._guard.note(session, call.principal, (fact.scope for fact in page.facts))
        return self._page(page, ledger, garden, sight)

    def _past_page(
        self,
        call: ApiRequest,
        asked: AskedPoint,
        work: Generator[None, None, FactPage],
        past: PastFacts,
        garden: Garden | None,
    ) -> Outcome:
        """Have a task make a page about another point of time."""
        session, sight = session_of(call.request), asked.sight

        async def answer() -> Response:
            page = await self._points.made(work)
            self._guard.note(session, sight.reader, (fact.scope for fact in page.facts))
            return self._page(page, past, garden, sight, asked)

        return self._points.answer(answer)

    def _page(
        self, page: FactPage, ledger: KnownFacts, garden: Garden | None, sight: Sight, asked: AskedPoint | None = None
    ) -> Response:
        """A page as callers see it: instructions of peers apart from what is known."""
        place = page.cursor if page.cursor is None or asked is None else asked.cursor_to(page.cursor)
        cursor = None if place is None else self._cursors.close(place)
        garden_uri = self._uri(garden)
        answer = FactsAnswer([], len(page.facts), cursor, page.hidden_by_conflict)
        if asked is not None:
            answer.point_of_time = asked.record
        instructions: list[FactRecord] = []
        for fact in page.facts:
            shown_with = instructions if is_foreign_instruction(fact) else answer.facts
            shown_with.append(fact_record(fact, ledger, sight, garden_uri=garden_uri))
        if instructions:
            answer.instructions = instructions
        return _facts_answer(answer)

    def get_fact(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        session, sight = session_of(call.request), Sight.of(call, txn)
        found, garden = _found(call, txn, call.params["fact"])
        ledger = txn.ledger if garden is None else garden.ledger
        asked = self._points.named(call.query, ledger, sight, garden=garden)
        if asked is None:
            fact = _best(found, ledger, call.params["fact"])
            self._guard.note(session, call.principal, (fact.scope,))
            return json_response(200, fact_record(fact, ledger, sight, garden_uri=self._uri(garden)))
        past = known_at(ledger, asked.point, txn.state.schemas)
        held = [each for each in found if past.holds(each)]
        if not held:
            raise _not_found()

        async def answer() -> Response:
            await self._points.made(past.prepare(held))
            fact = _best(held, past, call.params["fact"])
            self._guard.note(session, sight.reader, (fact.scope,))
            return json_response(200, fact_record(fact, past, sight, garden_uri=self._uri(garden)))

        return self._points.answer(answer)

    def get_history(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        given: HistoryParameters = call.query
        session = session_of(call.request)
        fact, garden = _visible(call, txn, call.params["fact"])
        ledger = txn.ledger if garden is None else garden.ledger
        asked = self._points.asked(given, ledger, Sight.of(call, txn), garden=garden)
        if asked is not None:
            past = known_at(ledger, asked.point, txn.state.schemas)
            work = history_past(past, fact, everybody=given.all_authors, cursor=asked.cursor, limit=given.limit)
            return self._past_page(call, asked, work, past, garden)
        opened = None if given.cursor is None else self._cursors.open(given.cursor)
        page = run_history(ledger, fact, everybody=given.all_authors, cursor=opened, limit=given.limit)
        self._guard.note(session, call.principal, (each.scope for each in page.facts))
        return self._page(page, ledger, garden, Sight.of(call, txn))

    def get_provenance(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        fact, _ = _visible(call, txn, call.params["fact"])
        entries: list[dict[str, Any]] = msgspec.json.decode(fact.derived_from) if fact.derived_from else []
        items = [_reference(call, txn, entry) for entry in entries if "fact_id" in entry or "hash" in entry]
        return json_response(200, ProvenanceAnswer(fact.id, shown_cid(fact), items))

    def post_verify_cid(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        fact, _ = _visible(call, txn, call.params["fact"])
        return json_response(200, CidAnswer(True, fact.cid, shown_cid(fact), None))

    def _uri(self, garden: Garden | None) -> str | None:
        return None if garden is None else garden.uri(self._identity.authority)


def _fitting(given: QueryParameters, state: NodeState) -> Callable[[KnownFacts, Fact], bool] | None:
    """What is asked of a fact that is no part of it; None when nothing is."""
    if given.trust_class is None and given.attested is None:
        return None

    def fits(known: KnownFacts, fact: Fact) -> bool:
        if given.attested is not None and state.attestations.is_attested(fact) is not given.attested:
            return False
        return given.trust_class is None or trust_of(fact, known, state) == given.trust_class

    return fits


def _shows_retractions(given: QueryParameters) -> bool:
    """Whether retractions are listed: not beside what stands, unless somebody asks for them in one way or another."""
    if given.include_retracted is not None:
        return given.include_retracted
    return given.include_contradicted or given.min_confidence is not None


def _facts_answer(answer: FactsAnswer) -> Response:
    return json_response(200, answer, {"x-total-count": str(answer.total)})


def check_scope_parameter(principal: Principal, scope: str | None) -> None:
    """Raises Refusal 400 for a text that is no scope, and 403 for one that is closed to the caller."""
    if scope is None:
        return
    if not is_scope(scope):
        message = f"unknown scope '{shown(scope)}': {one_of('scope', scope, SCOPES)}"
        raise Refusal(400, "unknown_scope", message, field="scope")
    principal.need_scope(scope)


def _visible(call: ApiRequest, txn: Transaction, name: str) -> tuple[Fact, Garden | None]:
    """The fact with this id or content id, if the caller may read it, and its garden. Raises Refusal 400 or 404."""
    found, garden = _found(call, txn, name)
    return _best(found, txn.ledger if garden is None else garden.ledger, name), garden


def _found(call: ApiRequest, txn: Transaction, name: str) -> tuple[list[Fact], Garden | None]:
    """Every fact with this id or content id that the caller may read, and their garden; one at least. Raises Refusal
    400 or 404.

    404 also for facts of a scope or a garden that is closed to the caller: a content id can be made of a guess, and
    whoever sends it must not learn whether the guess was right.
    """
    ledger = txn.state.ledger
    by_content = name.startswith("sha256:")
    if by_content and not is_cid(name):
        raise Refusal(400, "cid_malformed", "a content id is sha256: and 64 lower-case hex digits")
    # What is hidden must not hide what is not: several facts can have one id or content id.
    found = [
        fact for fact in (ledger.with_cid(name) if by_content else ledger.find(name)) if may_read(call.principal, fact)
    ]
    if not found:
        inside = facts_in_gardens(txn.state.gardens, call.principal, name, by_content=by_content)
        if not inside:
            raise _not_found()
        garden = inside[-1][1]
        return [fact for fact, its in inside if its is garden], garden
    return found, None


def _best(found: list[Fact], known: KnownFacts, name: str) -> Fact:
    """Which of the facts of one name is shown."""
    if name.startswith("sha256:"):
        return next(filter(known.live, found), found[-1])
    return min(found, key=lambda fact: (not fact.certified, fact))  # the same one on every node that holds them


def _not_found() -> Refusal:
    return Refusal(404, "fact_not_found", "fact not found")


def _reference(call: ApiRequest, txn: Transaction, entry: dict[str, Any]) -> ProvenanceItem:
    """One reference of a fact; what the caller may not read looks like what does not exist, its content id included."""
    texts = (entry.get("hash"), entry.get("fact_id"))
    digest, name = (text if isinstance(text, str) else "" for text in texts)
    sight = Sight.of(call, txn)
    shown = digest if sight.is_whole or sight.means(digest) else ""
    for each in (name, digest):
        if not sight.means(each):
            continue
        fact, garden = _visible(call, txn, each)
        item = ProvenanceItem(shown, fact.id, fact.entity, exists=True)
        ending = (txn.ledger if garden is None else garden.ledger).ended_by(fact)
        if ending is not None and ending.is_retraction:
            item.retracted_by = ending.id
        elif ending is not None:
            item.superseded_by = ending.id
        return item
    return ProvenanceItem(shown, None, None, exists=False)


OPERATIONS = (
    Operation(
        "assert_fact", "POST", "/v1/facts", "write", FactsApi.post_fact,
        "Assert a fact, or find the live one that says it",
        body=AssertRequest, answer=FactRecord, status=201, refusals=(400, 401, 403, 404, 409, 413, 422, 429, 503, 507),
        tags=("facts",),
    ),
    Operation(
        "query_facts", "GET", "/v1/facts", "read", FactsApi.get_facts,
        "Facts by entity, relation, source, scope; newest first",
        query=QueryParameters, answer=FactsAnswer, refusals=(400, 401, 403, 404, 422, 429, 501, 503), tags=("facts",),
    ),
    Operation(
        "get_fact_history", "GET", "/v1/facts/{fact}/history", "read", FactsApi.get_history,
        "What the author of a fact said in its slot before and since, newest first",
        query=HistoryParameters, answer=FactsAnswer, refusals=(400, 401, 403, 404, 422, 429, 503), tags=("facts",),
    ),
    Operation(
        "get_provenance", "GET", "/v1/facts/{fact}/provenance", "read", FactsApi.get_provenance,
        "What a fact was derived from", answer=ProvenanceAnswer, refusals=(400, 401, 403, 404, 429, 503),
        tags=("facts",),
    ),
    Operation(
        "verify_cid", "POST", "/v1/facts/{fact}/verify-cid", "read", FactsApi.post_verify_cid,
        "Recompute a fact's content id", answer=CidAnswer, refusals=(400, 401, 403, 404, 429, 503), tags=("facts",),
    ),
    Operation(
        "get_fact", "GET", "/v1/facts/{fact}", "read", FactsApi.get_fact, "One fact by id or content id",
        query=FactParameters, answer=FactRecord, refusals=(400, 401, 403, 404, 422, 429, 503), tags=("facts",),
    ),
)  # fmt: skip
