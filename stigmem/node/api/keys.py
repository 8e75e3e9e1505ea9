"""Operations on API keys: who am I, and the life of a key from its making to its end (http-api 4.4).

A key is seen by those of its entity and by administrators. What a new one may be is `stigmem.node.api.key_making`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.errors import Refusal
from stigmem.core.records import KeyRow
from stigmem.core.scopes import ordered
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Response, json_response
from stigmem.node.api.api_keys import key_name
from stigmem.node.api.key_making import KeyRequest, life_us, made_by, mint, new_secret, record_new
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.api.call import Call

__all__ = ["OPERATIONS"]

_DAY_US: Final = 86_400_000_000
_SECOND_US: Final = 1_000_000
_SECRET: Final = {"cache-control": "no-store"}


class RotateParameters(msgspec.Struct, kw_only=True):
    """Parameters of the rotate call: for how many seconds the old secret goes on working."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=limits.KEY_OVERLAP_S_MAX)] = limits.KEY_OVERLAP_S


class ExpiringParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/auth/keys/expiring-soon`."""

    within_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30


class KeyRecord(msgspec.Struct, kw_only=True):
    """A key as people see it. `raw_key` is there once, when the node has made it."""

    id: str
    entity_uri: str
    permissions: list[str]
    description: str | None
    created_at: str
    expires_at: str | None
    oidc_sub: str | None = None
    tenant_id: str = "default"
    allowed_scopes: list[str]
    days_remaining: int | UnsetType = UNSET
    raw_key: str | UnsetType = UNSET


class MeAnswer(msgspec.Struct, kw_only=True):
    """Who the caller is to this node."""

    entity_uri: str
    permissions: list[str]
    oidc_sub: str | None = None
    tenant_id: str = "default"
    allowed_scopes: list[str]
    key_id: str | None


def key_record(row: KeyRow, **more: Any) -> KeyRecord:
    """A key row as responses carry it."""
    return KeyRecord(
        id=key_name(row.verifier),
        entity_uri=row.entity_uri,
        permissions=sorted(row.permissions),
        description=row.description or None,
        created_at=format_us(row.created_us),
        expires_at=None if row.expires_us is None else format_us(row.expires_us),
        allowed_scopes=list(row.scopes),
        **more,
    )


def get_me(call: Call, txn: Transaction) -> Outcome:
    principal = call.principal
    row = txn.state.keys.get(principal.key_id)
    answer = MeAnswer(
        entity_uri=principal.entity_uri,
        permissions=sorted(principal.permissions),
        allowed_scopes=list(ordered(principal.scopes)),
        key_id=None if row is None else key_name(row.verifier),
    )
    return json_response(200, answer)


def _claim(txn: Transaction) -> None:
    """One change of keys a turn, so that each sees what the one before it did; raises RetryNextBatch."""
    txn.reserve("keys", "")


def post_key(call: Call, txn: Transaction) -> Outcome:
    _claim(txn)
    request: KeyRequest = call.body
    secret = new_secret(call) if request.raw_key is None else request.raw_key
    row = made_by(call, txn, request, secret)
    txn.add(row)
    record_new(call, txn, row)
    return json_response(201, key_record(row, raw_key=secret if request.raw_key is None else UNSET), _SECRET)


def get_keys(call: Call, txn: Transaction) -> Outcome:
    rows = [
        row for row in txn.state.keys.values() if row.entity_uri == call.principal.entity_uri and not _expired(row, txn)
    ]
    rows.sort(key=lambda row: -row.created_us)
    return json_response(200, [key_record(row) for row in rows])


def get_expiring(call: Call, txn: Transaction) -> Outcome:
    given: ExpiringParameters = call.query
    until_us = txn.now_us + given.within_days * _DAY_US
    found = [
        (row.expires_us, row)
        for row in txn.state.keys.values()
        if row.expires_us is not None and txn.now_us < row.expires_us <= until_us
    ]
    found.sort(key=lambda entry: entry[0])
    records = [key_record(row, days_remaining=(end_us - txn.now_us) // _DAY_US) for end_us, row in found]
    return json_response(200, records)


def post_rotate(call: Call, txn: Transaction) -> Outcome:
    given: RotateParameters = call.query
    _claim(txn)
    old = _row(call, txn)
    if _expired(old, txn):
        raise Refusal(409, "key_expired", "this key has expired; make a new one", style="text")
    if not set(old.permissions) <= call.principal.permissions and "admin" not in call.principal.permissions:
        message = "a key can be rotated only by one that may as much itself, or by an administrator"
        raise Refusal(403, "rotation_not_allowed", message)
    for scope in old.scopes:
        call.principal.need_scope(scope)
    secret = new_secret(call)
    key_id, verifier = mint(call, txn, secret)
    new = msgspec.structs.replace(
        old, key_id=key_id, verifier=verifier, created_us=txn.now_us, expires_us=life_us(txn, old)
    )
    end_us = txn.now_us + given.overlap_s * _SECOND_US
    ending = msgspec.structs.replace(old, expires_us=end_us if old.expires_us is None else min(end_us, old.expires_us))
    txn.add(ending)
    txn.add(new)
    record_new(call, txn, new, replaces=key_name(old.verifier))
    txn.audit(
        "key_revoked", old.entity_uri, id=key_name(old.verifier), by=call.principal.entity_uri, reason="rotated",
        ends_at=format_us(ending.expires_us or txn.now_us),
    )  # fmt: skip
    return json_response(201, key_record(new, raw_key=secret), _SECRET)


def delete_key(call: Call, txn: Transaction) -> Outcome:
    _claim(txn)
    row = _row(call, txn)
    txn.add(msgspec.structs.replace(row, verifier=""))
    txn.audit("key_revoked", row.entity_uri, id=key_name(row.verifier), by=call.principal.entity_uri, reason="deleted")
    return Response(204)


def _row(call: Call, txn: Transaction) -> KeyRow:
    """The key that the path names, if the caller may deal with it. Raises Refusal 403 or 404."""
    name = call.params["key"]
    row = txn.state.keys.get(name)  # the index is as good a name, for whoever has seen it in the data directory
    if row is None:
        row = next((row for row in txn.state.keys.values() if key_name(row.verifier) == name), None)
    if row is None:
        raise Refusal(404, "key_not_found", "key not found", style="text")
    if row.entity_uri != call.principal.entity_uri and "admin" not in call.principal.permissions:
        raise Refusal(403, "not_your_key", "this key belongs to another entity", style="text")
    return row


def _expired(row: KeyRow, txn: Transaction) -> bool:
    return row.expires_us is not None and row.expires_us <= txn.now_us


OPERATIONS = (
    Operation(
        "me", "GET", "/v1/me", "any", get_me, "Who the caller is to this node", answer=MeAnswer,
        refusals=(401, 503), tags=("keys",),
    ),
    Operation(
        "create_key", "POST", "/v1/auth/keys", "admin", post_key, "Make an API key, of a secret given or made here",
        body=KeyRequest, answer=KeyRecord, status=201, refusals=(400, 401, 403, 409, 413, 422, 429, 503, 507),
        tags=("keys",),
    ),
    Operation(
        "list_keys", "GET", "/v1/auth/keys", "any", get_keys, "The caller's own keys, newest first",
        answer=list[KeyRecord], refusals=(401, 503), tags=("keys",),
    ),
    Operation(
        "expiring_keys", "GET", "/v1/auth/keys/expiring-soon", "admin", get_expiring,
        "Keys that end soon, soonest first", query=ExpiringParameters, answer=list[KeyRecord],
        refusals=(401, 403, 422, 503), tags=("keys",),
    ),
    Operation(
        "rotate_key", "POST", "/v1/auth/keys/{key}/rotate", "any", post_rotate,
        "A new secret for a key; the old one goes on working for a while", query=RotateParameters, answer=KeyRecord,
        status=201, refusals=(401, 403, 404, 409, 422, 429, 503, 507), tags=("keys",),
    ),
    Operation(
        "delete_key", "DELETE", "/v1/auth/keys/{key}", "any", delete_key, "End a key", status=204,
        refusals=(401, 403, 404, 503, 507), tags=("keys",),
    ),
)  # fmt: skip
