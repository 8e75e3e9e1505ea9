"""Every operation of a client, once: from arguments to calls. The clients have methods of the same names and types.

`query_of` and its like leave out what was not given, so that the node's own defaults count where ours are none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

from pydantic import BaseModel

from stigmem.client.calls import Call, Flow, Pages, model
from stigmem.client.models import (
    AssertRequest,
    BatchResult,
    Conflict,
    ConflictPage,
    ConflictResolution,
    Fact,
    FactPage,
    FactScope,
    FactValue,
    Intent,
    IntentPage,
    LintReport,
    MemoryCard,
    NeighborPage,
    NodeInfo,
    Peer,
    PeerPage,
    RecallRequest,
    RecallResponse,
    RecallWeights,
    ResolveRequest,
    Subscription,
    SubscriptionPage,
    Synthesis,
    string_value,
)
from stigmem.core.trust import TrustClass

__all__ = [
    "act_on_intent", "assert_batch", "assert_fact", "delete_subscription", "federation_status", "get", "get_card",
    "get_intent", "history", "iter_conflicts", "iter_facts", "iter_history", "iter_intents", "lint",
    "list_conflicts", "list_subscriptions", "neighbors", "node_info", "query", "recall", "resolve_conflict",
    "retract", "send_intent", "subscribe", "synthesize",
]  # fmt: skip

M = TypeVar("M", bound=BaseModel)

_JSON: Final = {"content-type": "application/json"}
_PAGE: Final = 500


def target_of(path: str, parameters: Mapping[str, Any] | None = None) -> str:
    """A path with its query; parameters that are None or False are left out."""
    given = {
        name: "true" if value is True else str(value)
        for name, value in (parameters or {}).items()
        if value is not None and value is not False
    }
    return f"{path}?{urlencode(given)}" if given else path


def _name(text: str) -> str:
    """A name in a path, as it stands but for what would end the path."""
    return quote(text, safe="/:@")


def _session(session_id: str | None) -> dict[str, str]:
    return {} if session_id is None else {"stigmem-session": session_id}


# --- the node ---


def node_info() -> Call[NodeInfo]:
    """What the node says of itself."""
    return Call("GET", "/.well-known/stigmem", model(NodeInfo))


def federation_status() -> Call[list[Peer]]:
    """The peers of the node."""
    return Call("GET", "/v1/federation/peers", lambda body: PeerPage.model_validate_json(body).peers)


# --- facts ---


def assert_fact(
    entity: str,
    relation: str,
    value: FactValue,
    source: str,
    *,
    confidence: float = 1.0,
    scope: FactScope = "company",
    valid_until: str | None = None,
    write_mode: str = "assert",
    derived_from: list[dict[str, Any]] | None = None,
    session_id: str | None = None,
    trust_class: TrustClass | None = None,
) -> Call[Fact]:
    """Write a fact; the live one that says the same, if there is one. `trust_class`: which kind of knowledge it is; the
    node derives one where it is None."""
    given = AssertRequest(
        entity=entity,
        relation=relation,
        value=value,
        source=source,
        confidence=confidence,
        scope=scope,
        valid_until=valid_until,
        write_mode=write_mode,
        derived_from=derived_from or [],
        trust_class=trust_class,
    )
    body = given.model_dump_json(exclude_none=True).encode()
    return Call("POST", "/v1/facts", model(Fact), body, _JSON | _session(session_id))


def retract(entity: str, relation: str, scope: FactScope, source: str, *, value: FactValue | None = None) -> Call[Fact]:
    """Take back what a source said: a fact of confidence 0, which ends what was said before."""
    return assert_fact(entity, relation, value or string_value("retracted"), source, confidence=0.0, scope=scope)


def assert_batch(
    facts: Iterable[AssertRequest | Mapping[str, Any]], *, atomic: bool = False, idempotency_key: str | None = None
) -> Call[BatchResult]:
    """Write many facts in one request, with `atomic` all or none. Without an idempotency key one is made up, so that a
    request whose answer was lost can be sent again."""
    members = [
        fact.model_dump(mode="json", exclude_none=True) if isinstance(fact, AssertRequest) else dict(fact)
        for fact in facts
    ]
    given = {"facts": members, "atomic": atomic, "idempotency_key": idempotency_key or str(uuid4())}
    return Call("POST", "/v1/facts/batch", model(BatchResult), json.dumps(given).encode(), _JSON)


def get(
    fact_id: str, *, session_id: str | None = None, as_of: str | None = None, known_at: str | None = None
) -> Call[Fact]:
    """One fact, by its id or content id; its standing `as_of` an instant or stamp, or as this node `known_at` a number
    or a moment that it named."""
    target = target_of(f"/v1/facts/{_name(fact_id)}", {"as_of": as_of, "known_at": known_at})
    return Call("GET", target, model(Fact), headers=_session(session_id))


def query(
    *,
    entity: str | None = None,
    relation: str | None = None,
    source: str | None = None,
    scope: FactScope | None = None,
    min_confidence: float | None = None,
    include_contradicted: bool = False,
    include_expired: bool = False,
    cursor: str | None = None,
    limit: int = 50,
    after: str | None = None,
    session_id: str | None = None,
    include_superseded: bool = False,
    as_of: str | None = None,
    known_at: str | None = None,
    trust_class: TrustClass | None = None,
) -> Call[FactPage]:
    """A page of facts, newest first; also what their authors replaced since with `include_superseded`. `as_of`: those
    of an instant or stamp, `known_at`: what the node answered at a point of time (`s:<number>`, `now`, or a name that
    it gave)."""
    parameters = {
        "limit": limit, "entity": entity, "relation": relation, "source": source, "scope": scope,
        "min_confidence": min_confidence, "include_contradicted": include_contradicted,
        "include_expired": include_expired, "cursor": cursor, "after": after,
        "include_superseded": include_superseded, "as_of": as_of, "known_at": known_at,
        "trust_class": trust_class,
    }  # fmt: skip
    return Call("GET", target_of("/v1/facts", parameters), model(FactPage), headers=_session(session_id))


def iter_facts(
    *,
    entity: str | None = None,
    relation: str | None = None,
    source: str | None = None,
    scope: FactScope | None = None,
    min_confidence: float | None = None,
    include_contradicted: bool = False,
    include_expired: bool = False,
    after: str | None = None,
    session_id: str | None = None,
    page_size: int = 100,
    include_superseded: bool = False,
    as_of: str | None = None,
    known_at: str | None = None,
) -> Pages[FactPage, Fact]:
    """Every fact that matches, newest first, page by page as they are wanted; the arguments are those of `query`. All
    pages about a point of time are about the same one, also about `now`."""

    def page(cursor: str | None) -> Call[FactPage]:
        return query(
            entity=entity,
            relation=relation,
            source=source,
            scope=scope,
            min_confidence=min_confidence,
            include_contradicted=include_contradicted,
            include_expired=include_expired,
            cursor=cursor,
            limit=page_size,
            after=after,
            session_id=session_id,
            include_superseded=include_superseded,
            as_of=as_of,
            known_at=known_at,
        )

    return Pages(page, lambda found: found.facts, lambda found: found.cursor)


def iter_history(
    fact_id: str,
    *,
    all_authors: bool = False,
    as_of: str | None = None,
    known_at: str | None = None,
    page_size: int = 100,
) -> Pages[FactPage, Fact]:
    """What the author of a fact said about the same before and since, newest first; `all_authors`: everybody. Points of
    time as in `query`."""

    def page(cursor: str | None) -> Call[FactPage]:
        parameters = {
            "limit": page_size, "all_authors": all_authors, "as_of": as_of, "known_at": known_at, "cursor": cursor,
        }  # fmt: skip
        return Call("GET", target_of(f"/v1/facts/{_name(fact_id)}/history", parameters), model(FactPage))

    return Pages(page, lambda found: found.facts, lambda found: found.cursor)


def history(
    entity: str,
    relation: str | None = None,
    *,
    scope: FactScope | None = None,
    as_of: str | None = None,
    known_at: str | None = None,
) -> Flow[list[Fact]]:
    """Everything that was ever said of an entity (and relation), oldest first: also what has ended, expired or is
    contested. Points of time as in `query`."""
    found: list[Fact] = []
    cursor: str | None = None
    while True:
        page: FactPage = yield query(
            entity=entity,
            relation=relation,
            scope=scope,
            include_contradicted=True,
            include_expired=True,
            cursor=cursor,
            limit=_PAGE,
            as_of=as_of,
            known_at=known_at,
        )
        found += page.facts
        cursor = page.cursor
        if cursor is None:
            return found[::-1]


# --- contradictions ---


def list_conflicts(
    *,
    status: str | None = "unresolved",
    cursor: str | None = None,
    limit: int = 50,
    as_of: str | None = None,
    known_at: str | None = None,
) -> Call[ConflictPage]:
    """A page of conflicts, newest first; `status` is `unresolved`, `resolved` or None for both. `as_of` and `known_at`:
    those of another point of time, as for `query`."""
    parameters = {"limit": limit, "status": status, "cursor": cursor, "as_of": as_of, "known_at": known_at}
    return Call("GET", target_of("/v1/conflicts", parameters), model(ConflictPage))


def iter_conflicts(
    *,
    status: str | None = "unresolved",
    page_size: int = 100,
    as_of: str | None = None,
    known_at: str | None = None,
) -> Pages[ConflictPage, Conflict]:
    """Every conflict, newest first, page by page as they are wanted; `as_of` and `known_at` as for one page."""

    def page(cursor: str | None) -> Call[ConflictPage]:
        return list_conflicts(status=status, cursor=cursor, limit=page_size, as_of=as_of, known_at=known_at)

    return Pages(page, lambda found: found.conflicts, lambda found: found.cursor)


def resolve_conflict(
    conflict_id: str,
    *,
    winning_fact_id: str | None = None,
    resolution_note: str = "",
    new_value: FactValue | None = None,
) -> Call[ConflictResolution]:
    """Decide a conflict: for one of its facts, or for a new value."""
    given = ResolveRequest(winning_fact_id=winning_fact_id, resolution_note=resolution_note, new_value=new_value)
    body = given.model_dump_json(exclude_none=True).encode()
    target = f"/v1/conflicts/{_name(conflict_id)}/resolve"
    return Call("POST", target, model(ConflictResolution), body, _JSON, repeats=False)


# --- recall and cards ---


def recall(
    query: str,
    *,
    scope: FactScope = "local",
    token_budget: int = 4000,
    depth: int = 2,
    weights: RecallWeights | None = None,
    min_confidence: float = 0.1,
    include_neighbors: bool = True,
    limit: int = 100,
    legacy_format: bool = False,
    session_id: str | None = None,
    verify_full: bool = False,
    as_of: str | None = None,
) -> Call[RecallResponse]:
    """Facts that answer a question, within a number of tokens; those that stood `as_of` an instant or stamp."""
    given = RecallRequest(
        query=query,
        scope=scope,
        token_budget=token_budget,
        depth=depth,
        weights=weights or RecallWeights(),
        min_confidence=min_confidence,
        include_neighbors=include_neighbors,
        limit=limit,
        as_of=as_of,
    )
    headers = _JSON | _session(session_id) | ({"stigmem-verify": "full"} if verify_full else {})
    target = target_of("/v1/recall", {"legacy_format": legacy_format})
    return Call("POST", target, model(RecallResponse), given.model_dump_json(exclude_none=True).encode(), headers)


def get_card(
    entity_uri: str, *, scope: FactScope = "local", refresh: bool = False, as_of: str | None = None
) -> Call[MemoryCard]:
    """What is known of one entity, in a few lines; `as_of` an instant or stamp, what was."""
    target = target_of(f"/v1/cards/{_name(entity_uri)}", {"scope": scope, "refresh": refresh, "as_of": as_of})
    return Call("GET", target, model(MemoryCard))


def neighbors(
    entity: str,
    *,
    scope: FactScope = "company",
    depth: int = 1,
    relation_filter: str | None = None,
    min_confidence: float | None = None,
    cursor: str | None = None,
    as_of: str | None = None,
) -> Call[NeighborPage]:
    """Entities that an entity is linked to by references, both ways, at most three steps away."""
    parameters = {
        "entity": entity, "scope": scope, "depth": depth, "relation_filter": relation_filter,
        "min_confidence": min_confidence, "cursor": cursor, "as_of": as_of,
    }  # fmt: skip
    return Call("GET", target_of("/v1/graph/neighbors", parameters), model(NeighborPage))


def lint(
    scope: FactScope,
    *,
    checks: list[str] | None = None,
    entity: str | None = None,
    relation: str | None = None,
    as_of: str | None = None,
) -> Call[LintReport]:
    """What in a scope wants attention: contradictions, what is stale, orphaned or broken."""
    return _asked("/v1/lint", LintReport, scope=scope, checks=checks, entity=entity, relation=relation, as_of=as_of)


def synthesize(
    scope: FactScope, *, entity: str | None = None, min_confidence: float | None = None, as_of: str | None = None
) -> Call[Synthesis]:
    """What a scope holds to be so, or what it holds of one entity."""
    return _asked("/v1/synthesis", Synthesis, scope=scope, entity=entity, min_confidence=min_confidence, as_of=as_of)


def _asked(path: str, kind: type[M], **members: Any) -> Call[M]:
    """A question with a body; members that are None are left out."""
    given = {name: value for name, value in members.items() if value is not None}
    return Call("POST", path, model(kind), json.dumps(given).encode(), _JSON)


# --- intents ---


def send_intent(
    sender: str,
    to: list[str],
    goal: str,
    *,
    scope: FactScope = "company",
    expires_at: str | None = None,
    constraint: list[dict[str, Any]] | None = None,
    preference: list[dict[str, Any]] | None = None,
    deference: list[dict[str, Any]] | None = None,
    escalation: dict[str, Any] | None = None,
    handoff: dict[str, Any] | None = None,
    intent_id: str | None = None,
) -> Call[Intent]:
    """Say what should happen, to whom and within which limits. `sender` is one's own name. Without `intent_id` the node
    chooses one, and the request is not sent again when nobody knows whether it was done."""
    given = {
        "from": sender, "to": to, "goal": goal, "scope": scope, "expires_at": expires_at, "constraint": constraint,
        "preference": preference, "deference": deference, "escalation": escalation, "handoff": handoff, "id": intent_id,
    }  # fmt: skip
    body = json.dumps({name: value for name, value in given.items() if value is not None}).encode()
    return Call("POST", "/v1/intents", model(Intent), body, _JSON, repeats=False)


def get_intent(intent_id: str, *, include_expired: bool = False) -> Call[Intent]:
    """An intent, what was done about it, and how it stands."""
    target = target_of(f"/v1/intents/{_name(intent_id)}", {"include_expired": include_expired})
    return Call("GET", target, model(Intent))


def act_on_intent(
    intent_id: str, kind: str, *, rule: int | None = None, text: str | None = None, by: str | None = None
) -> Call[Intent]:
    """Do something about an intent: `accepted`, `refused`, `done`, `consulted`, `answered`, `timed_out` or `escalated`.
    The intent as it stands then. `rule`: the place of the deference that is meant."""
    given = {"kind": kind, "rule": rule, "text": text, "by": by}
    body = json.dumps({name: value for name, value in given.items() if value is not None}).encode()
    return Call("POST", f"/v1/intents/{_name(intent_id)}/acts", model(Intent), body, _JSON)


def iter_intents(
    box: Literal["inbox", "outbox"] = "inbox",
    *,
    of: str | None = None,
    scope: FactScope | None = None,
    state: str | None = None,
    page_size: int = 50,
) -> Pages[IntentPage, Intent]:
    """Intents that wait for somebody, or that somebody sent, newest first; one's own box unless `of` names another."""

    def page(cursor: str | None) -> Call[IntentPage]:
        parameters = {"box": box, "of": of, "scope": scope, "state": state, "limit": page_size, "cursor": cursor}
        return Call("GET", target_of("/v1/intents", parameters), model(IntentPage))

    return Pages(page, lambda found: found.intents, lambda found: found.cursor)


# --- subscriptions ---


def subscribe(
    target: str, delivery_address: str, *, on_change: str = "webhook", idempotency_key: str | None = None
) -> Call[Subscription]:
    """Have an address told of facts of a scope or about an entity; the subscription that does, if there is one."""
    given = {"target": target, "on_change": on_change, "delivery_address": delivery_address}
    if idempotency_key is not None:
        given["idempotency_key"] = idempotency_key
    return Call("POST", "/v1/subscriptions", model(Subscription), json.dumps(given).encode(), _JSON)


def list_subscriptions() -> Call[list[Subscription]]:
    """The caller's subscriptions, newest first."""
    return Call("GET", "/v1/subscriptions", lambda body: SubscriptionPage.model_validate_json(body).subscriptions)


def delete_subscription(subscription_id: str) -> Call[None]:
    """End a subscription."""
    return Call("DELETE", f"/v1/subscriptions/{_name(subscription_id)}", lambda _: None, repeats=False)
