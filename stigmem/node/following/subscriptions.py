"""What a subscription is told: which facts, in which words, and under which signature (http-api 3.15). No I/O.

A subscriber may hear what it could read when it subscribed and what one of its keys may read now, the smaller of the
two. Without a key that is valid it hears nothing, and what is stored meanwhile waits for it.

Two sets of headers go with a delivery: `X-Stigmem-Event-Id` of the contract, and those of Standard Webhooks
(standardwebhooks.com, 1.0), `webhook-id`, `webhook-timestamp` and `webhook-signature`, which is a MAC over
`id.timestamp.body`. Its secret follows from this node's seed and the subscription's id, so it is stored nowhere and
can be shown to its subscriber again.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from stigmem.core.content_id import uuid_from_hash
from stigmem.core.fact import Fact
from stigmem.core.query import FactQuery
from stigmem.core.records import SubscriptionRow
from stigmem.core.scopes import SCOPES
from stigmem.core.timestamps import format_us
from stigmem.core.wire import JSON_TYPE, Request
from stigmem.node.callers import ANONYMOUS
from stigmem.node.state import NodeState

__all__ = [
    "ASSERTED",
    "WAKE",
    "EventFact",
    "Signing",
    "delivery",
    "event_id",
    "payload",
    "query_of",
    "readable_scopes",
    "split_address",
]

ASSERTED: Final = "fact_asserted"
WAKE: Final = "wake"
_SECRET_BYTES: Final = 24


class Signing:
    """The secrets of every subscription of a node."""

    def __init__(self, seed: bytes) -> None:
        self._key = hashlib.blake2b(seed, digest_size=32, person=b"webhook secrets").digest()

    def _secret(self, subscription_id: str) -> bytes:
        name = subscription_id.encode()
        return hashlib.blake2b(name, digest_size=_SECRET_BYTES, key=self._key).digest()

    def secret(self, subscription_id: str) -> str:
        """The secret as a subscriber is given it."""
        return "whsec_" + b64encode(self._secret(subscription_id)).decode()

    def signature(self, subscription_id: str, event: str, at_s: int, body: bytes) -> str:
        """The value of `webhook-signature` for a body that is sent at an instant."""
        signed = f"{event}.{at_s}.".encode() + body
        mac = hmac.new(self._secret(subscription_id), signed, hashlib.sha256).digest()
        return "v1," + b64encode(mac).decode()


def event_id(subscription_id: str, fact: Fact) -> str:
    """The id of the event that a fact is for a subscription: the same one however often it is delivered."""
    return uuid_from_hash(f"stigmem event\n{subscription_id}\n{fact.origin}\n{fact.id}".encode())


class EventFact(msgspec.Struct):
    """A fact as an event carries it."""

    id: str
    entity: str
    relation: str
    value_type: str
    value_v: str
    source: str
    timestamp: str
    scope: str
    confidence: float
    garden_id: str | None = None


def payload(fact: Fact) -> EventFact:
    """The fact of an event."""
    return EventFact(
        id=fact.id,
        entity=fact.entity,
        relation=fact.relation,
        value_type=fact.kind,
        value_v=fact.text,
        source=fact.source,
        timestamp=format_us(fact.timestamp_us),
        scope=fact.scope,
        confidence=fact.confidence,
    )


def readable_scopes(row: SubscriptionRow, state: NodeState, now_us: int, *, auth_required: bool) -> frozenset[str]:
    """The scopes of which a subscriber may hear now; empty while it may hear of none."""
    if not row.has_key:
        closed = auth_required and row.subscriber == ANONYMOUS.entity_uri
        return frozenset() if closed else frozenset(row.scopes)
    now: set[str] = set()
    for key in state.keys.values():
        if key.entity_uri == row.subscriber and "read" in key.permissions and not key.has_expired(now_us):
            now.update(key.scopes)
    return frozenset(row.scopes) & now


def query_of(row: SubscriptionRow, scopes: frozenset[str], limit: int) -> FactQuery:
    """The facts that a subscription is about, of these scopes."""
    return FactQuery(
        entity=row.target if row.target_kind == "entity" else None,
        scope=row.target if row.target_kind == "scope" else None,
        include_contradicted=True,
        include_expired=True,
        limit=limit,
        scopes=None if len(scopes) == len(SCOPES) else scopes,
    )


def split_address(address: str) -> tuple[str, str]:
    """The base address that is connected to, and the target of the request. Raises ValueError for what is no http or
    https address, or has credentials or a fragment in it."""
    parts = urlsplit(address)
    port = parts.port  # raises ValueError when it is none
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be an http or https address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("it must have neither credentials nor a fragment")
    if not address.isascii() or not address.isprintable() or " " in address:
        raise ValueError("it must be plain ASCII without blanks")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    base = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return base, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def delivery(row: SubscriptionRow, fact: Fact, signing: Signing, now_ns: int) -> Request:
    """The request that tells a subscriber of a fact, or with `wake` only that there is something."""
    event = event_id(row.subscription_id, fact)
    members: dict[str, Any] = {"event_id": event, "idempotency_key": event, "subscription_id": row.subscription_id}
    if row.on_change == WAKE:
        members["event_type"] = WAKE
    else:
        members |= {"event_type": ASSERTED, "fact": payload(fact)}
    body = msgspec.json.encode(members)
    at_s = now_ns // 1_000_000_000
    headers = JSON_TYPE | {
        "x-stigmem-event-id": event,
        "webhook-id": event,
        "webhook-timestamp": str(at_s),
        "webhook-signature": signing.signature(row.subscription_id, event, at_s, body),
    }
    return Request("POST", split_address(row.address)[1], headers, body)
