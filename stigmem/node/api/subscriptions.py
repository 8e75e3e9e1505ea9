"""Subscriptions: who is told of which facts by a webhook, and what became of it (http-api 3.15).

Handlers only. What is sent is `stigmem.node.following.subscriptions`, when is `stigmem.node.following.webhooks`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.query import ROWS_SCANNED_MAX, stored_after
from stigmem.core.records import SubscriptionRow
from stigmem.core.scopes import is_scope
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise
from stigmem.core.wire import Response, json_response
from stigmem.node.api.points_of_time import instant_us
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.cursors import CursorCodec
from stigmem.node.following.subscriptions import (
    ASSERTED,
    EventFact,
    Signing,
    event_id,
    payload,
    query_of,
    readable_scopes,
    split_address,
)
from stigmem.node.following.webhooks import Webhooks
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.responses import quota_exceeded
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "SubscriptionsApi"]

_MARK = "delivery"
_GARDEN = "/garden/"


class SubscribeRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/subscriptions`. `target`: a scope, or the URI of an entity."""

    target: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
    on_change: Literal["webhook", "wake"]
    delivery_address: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
    idempotency_key: Annotated[str, msgspec.Meta(max_length=limits.IDEMPOTENCY_KEY_CHARS_MAX)] | None = None


class SubscriptionRecord(msgspec.Struct, omit_defaults=False):
    """A subscription as its owner sees it. `signing_secret`: what `webhook-signature` is made with."""

    id: str
    subscriber_identity: str
    target: str
    target_kind: str
    on_change: str
    delivery_address: str
    idempotency_key: str | None
    created_at: str
    last_delivered_at: str | None
    circuit_open: bool
    consecutive_failures: int
    signing_secret: str


class SubscriptionsAnswer(msgspec.Struct):
    """Every subscription of the caller."""

    subscriptions: list[SubscriptionRecord]
    total: int


class EventsParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/subscriptions/{id}/events`."""

    since: str | None = None
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)] = limits.PAGE_LIMIT_DEFAULT


class EventRecord(msgspec.Struct):
    """One event of a subscription. `created_at` is when its fact was written; when each was taken is not kept."""

    id: str
    subscription_id: str
    event_type: str
    entity_uri: str
    fact_id: str
    payload: EventFact
    created_at: str
    delivered_at: str | None
    delivery_status: Literal["pending", "delivered", "failed"]
    delivery_attempts: int


class EventsAnswer(msgspec.Struct):
    """A page of events, oldest first; `total` counts this page."""

    events: list[EventRecord]
    total: int
    cursor: str | None


class SubscriptionsApi:
    """Subscriptions of local callers."""

    def __init__(
        self, *, identity: Identity, quotas: Quotas, cursors: CursorCodec, signing: Signing, webhooks: Webhooks
    ) -> None:
        self._identity = identity
        self._quotas = quotas
        self._cursors = cursors
        self._signing = signing
        self._webhooks = webhooks

    def post_subscription(self, call: ApiRequest, txn: Transaction) -> Outcome:
        caller, given = call.principal, call.body
        kind, target = _target(given.target)
        if kind == "scope":
            caller.need_scope(target)
        try:
            split_address(given.delivery_address)
        except ValueError as error:
            message = f"delivery_address cannot be used: {error}"
            raise Refusal(422, "invalid_delivery_address", message, field="delivery_address") from error
        txn.reserve("subscriptions", caller.entity_uri)
        key = given.idempotency_key or ""
        own = _of(txn.state, caller.entity_uri)
        for row in own:
            same = (row.target, row.on_change, row.address) == (target, given.on_change, given.delivery_address)
            if same or (key and row.idempotency_key == key):
                return json_response(201, self._record(row, txn.state))
        full = len(txn.state.subscriptions) >= limits.SUBSCRIPTIONS_MAX
        if full or len(own) >= limits.SUBSCRIPTIONS_PER_SUBSCRIBER_MAX:
            raise quota_exceeded("subscriptions", caller.entity_uri, limits.WEBHOOK_BACKOFF_S_MAX)
        row = SubscriptionRow(
            subscription_id=self._identity.new_uuid(),
            subscriber=caller.entity_uri,
            target=target,
            target_kind=kind,
            on_change=given.on_change,
            address=given.delivery_address,
            idempotency_key=key,
            scopes=tuple(sorted(caller.scopes)),
            begins_after=txn.state.ledger.last_seq,
            has_key=caller.key_id in txn.state.keys,
            created_us=txn.now_us,
        )
        txn.reserve("subscription", row.subscription_id)
        txn.add(row)
        txn.audit(
            "subscription_created", row.subscriber, subscription_id=row.subscription_id, target=target,
            on_change=row.on_change, address=row.address,
        )  # fmt: skip
        return json_response(201, self._record(row, txn.state))

    def get_subscriptions(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        found = [self._record(row, txn.state) for row in reversed(_of(txn.state, call.principal.entity_uri))]
        return json_response(200, SubscriptionsAnswer(found, len(found)))

    def get_subscription(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        return json_response(200, self._record(_own(call, txn), txn.state))

    def delete_subscription(self, call: ApiRequest, txn: Transaction) -> Outcome:
        row = _own(call, txn)
        txn.reserve("subscription", row.subscription_id)
        txn.add(row.deleted())
        txn.audit("subscription_deleted", row.subscriber, subscription_id=row.subscription_id)
        return Response(204)

    def get_subscription_events(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        row, given, state = _own(call, txn), call.query, txn.state
        scopes = readable_scopes(row, state, txn.now_us, auth_required=txn.settings.auth_required)
        # One more than asked for: whether there is another page must not follow from facts that are hidden.
        query = query_of(row, scopes & call.principal.scopes, given.limit + 1)
        query.after_us = None if given.since is None else instant_us("since", given.since)
        facts: list[Fact] = []
        begin = seq = self._place(row, given.cursor, state)
        while seq < state.ledger.last_seq and seq - begin < ROWS_SCANNED_MAX and len(facts) <= given.limit:
            found = stored_after(state.ledger, query, seq)
            facts, seq = facts + found.facts, found.seq
        cursor = None
        if len(facts) > given.limit:
            facts = facts[: given.limit]
            cursor = self._cursor(row, facts[-1].seq)
        elif seq < state.ledger.last_seq:
            cursor = self._cursor(row, seq)
        return json_response(200, EventsAnswer([self._event(row, fact, state) for fact in facts], len(facts), cursor))

    def _cursor(self, row: SubscriptionRow, seq: int) -> str:
        return self._cursors.close(f"{_MARK}\n{row.subscription_id}\n{seq:016}")

    def _place(self, row: SubscriptionRow, cursor: str | None, state: NodeState) -> int:
        if cursor is None:
            return row.begins_after
        mark, _, rest = self._cursors.open(cursor).partition("\n")
        name, _, seq = rest.partition("\n")
        if mark != _MARK or name != row.subscription_id or int(seq) > state.ledger.last_seq:
            raise Refusal(400, "invalid_cursor", "the cursor is not one of this subscription", field="cursor")
        return int(seq)

    def _record(self, row: SubscriptionRow, state: NodeState) -> SubscriptionRecord:
        mark = state.deliveries.get(row.subscription_id)
        failures = self._webhooks.failures(row.subscription_id)
        return SubscriptionRecord(
            id=row.subscription_id,
            subscriber_identity=row.subscriber,
            target=row.target,
            target_kind=row.target_kind,
            on_change=row.on_change,
            delivery_address=row.address,
            idempotency_key=row.idempotency_key or None,
            created_at=format_us(row.created_us),
            last_delivered_at=format_us(mark.at_us) if mark is not None and mark.at_us else None,
            circuit_open=failures >= limits.WEBHOOK_FAILURES_MAX,
            consecutive_failures=failures,
            signing_secret=self._signing.secret(row.subscription_id),
        )

    def _event(self, row: SubscriptionRow, fact: Fact, state: NodeState) -> EventRecord:
        mark = state.deliveries.get(row.subscription_id)
        told = row.begins_after if mark is None else mark.seq
        refused = state.refused_deliveries.get(row.subscription_id, {})
        is_next = fact.seq > told
        status: Literal["pending", "delivered", "failed"] = "pending" if is_next else "delivered"
        if fact.seq in refused:
            status = "failed"
        last = mark is not None and mark.at_us and fact.seq == mark.seq and status == "delivered"
        return EventRecord(
            id=event_id(row.subscription_id, fact),
            subscription_id=row.subscription_id,
            event_type=ASSERTED,
            entity_uri=fact.entity,
            fact_id=fact.id,
            payload=payload(fact),
            created_at=format_us(fact.timestamp_us),
            delivered_at=format_us(mark.at_us) if mark is not None and last else None,
            delivery_status=status,
            delivery_attempts=0 if is_next else 1,
        )


def _target(text: str) -> tuple[str, str]:
    """Kind and normal form of a target. Raises Refusal."""
    if is_scope(text):
        return "scope", text
    try:
        target = normalise(text)
    except Refusal as refusal:
        refusal.field = "target"
        raise
    if target.startswith("stigmem://") and _GARDEN in target:
        message = "facts of gardens are not told by webhooks; their members follow them by GET /v1/events"
        raise Refusal(404, "garden_not_found", message)
    return "entity", target


def _of(state: NodeState, subscriber: str) -> list[SubscriptionRow]:
    return [row for row in state.subscriptions.values() if row.subscriber == subscriber]


def _own(call: ApiRequest, txn: Transaction) -> SubscriptionRow:
    """The subscription of the path. Raises Refusal 404, also for one of somebody else."""
    row = txn.state.subscriptions.get(call.params["subscription"])
    if row is None or row.subscriber != call.principal.entity_uri:
        raise Refusal(404, "subscription_not_found", "subscription not found")
    return row


OPERATIONS = (
    Operation(
        "create_subscription", "POST", "/v1/subscriptions", "read", SubscriptionsApi.post_subscription,
        "Be told of facts by a webhook, or find the subscription that does", body=SubscribeRequest,
        answer=SubscriptionRecord, status=201, refusals=(400, 401, 403, 404, 422, 429, 503, 507),
        tags=("subscriptions",),
    ),
    Operation(
        "list_subscriptions", "GET", "/v1/subscriptions", "read", SubscriptionsApi.get_subscriptions,
        "The caller's subscriptions, newest first", answer=SubscriptionsAnswer, refusals=(401, 403, 429, 503),
        tags=("subscriptions",),
    ),
    Operation(
        "list_subscription_events", "GET", "/v1/subscriptions/{subscription}/events", "read",
        SubscriptionsApi.get_subscription_events, "What a subscription was told, and what waits",
        query=EventsParameters, answer=EventsAnswer, refusals=(400, 401, 403, 404, 422, 429, 503),
        tags=("subscriptions",),
    ),
    Operation(
        "read_subscription", "GET", "/v1/subscriptions/{subscription}", "read", SubscriptionsApi.get_subscription,
        "One subscription of the caller's", answer=SubscriptionRecord, refusals=(401, 403, 404, 429, 503),
        tags=("subscriptions",),
    ),
    Operation(
        "delete_subscription", "DELETE", "/v1/subscriptions/{subscription}", "read",
        SubscriptionsApi.delete_subscription, "End a subscription", status=204, refusals=(401, 403, 404, 503, 507),
        tags=("subscriptions",),
    ),
)  # fmt: skip
