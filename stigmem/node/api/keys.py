"""Operations on API keys: who am I, and the life of a key from its making to its end (http-api 4.4).

A key is seen by those of its entity and by administrators. Nobody can hand out more than it may itself: a key for some
scopes makes keys for these scopes only. Nor can anybody end more than it may itself, but for its own key: else a key
that only reads could lock its entity's administrator out. A secret is shown once, in the answer that made it; what is
kept of it is `stigmem.node.api.api_keys`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.errors import Refusal, invalid, shown
from stigmem.core.keys import encode_base64
from stigmem.core.records import KeyRow
from stigmem.core.scopes import SCOPES, is_scope, ordered
from stigmem.core.suggestions import did_you_mean
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.uris import normalise
from stigmem.core.wire import Response, json_response
from stigmem.node.api.api_keys import SALT_BYTES, ApiKeys, argon2id, key_name
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.callers import PERMISSIONS, Principal
from stigmem.node.ports import Entropy
from stigmem.node.quotas import Quotas
from stigmem.node.responses import quota_exceeded
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "KeysApi"]

_DAY_US: Final = 86_400_000_000
_SECOND_US: Final = 1_000_000
_SECRET_BYTES: Final = 32
_Secret = Annotated[str, msgspec.Meta(min_length=limits.KEY_SECRET_CHARS_MIN, max_length=limits.KEY_SECRET_CHARS_MAX)]
_SECRET: Final = {"cache-control": "no-store"}


class KeyRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/auth/keys`. Without `raw_key` the node makes the secret. `scopes` is another word for
    `allowed_scopes`."""

    raw_key: _Secret | None = None
    entity_uri: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
    permissions: Annotated[tuple[str, ...], msgspec.Meta(max_length=64)] = ("read", "write")
    description: Annotated[str, msgspec.Meta(max_length=limits.KEY_DESCRIPTION_CHARS_MAX)] | None = None
    expires_at: str | None = None
    tenant_id: str | None = None
    allowed_scopes: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] | None = None
    scopes: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] | None = None


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


class KeysApi:
    """API keys of this node."""

    def __init__(self, *, api_keys: ApiKeys, quotas: Quotas, entropy: Entropy) -> None:
        self._api_keys = api_keys
        self._quotas = quotas
        self._entropy = entropy

    def get_me(self, call: ApiRequest, txn: Transaction) -> Outcome:
        principal = call.principal
        row = txn.state.keys.get(principal.key_id)
        answer = MeAnswer(
            entity_uri=principal.entity_uri,
            permissions=sorted(principal.permissions),
            allowed_scopes=list(ordered(principal.scopes)),
            key_id=None if row is None else key_name(row.verifier),
        )
        return json_response(200, answer)

    def post_key(self, call: ApiRequest, txn: Transaction) -> Outcome:
        txn.reserve("keys", "")  # so that each change sees what the one before it did
        request: KeyRequest = call.body
        secret = self._new_secret() if request.raw_key is None else request.raw_key
        row = self._made_by(call, txn, request, secret)
        txn.add(row)
        _record_new(call, txn, row)
        return json_response(201, key_record(row, raw_key=secret if request.raw_key is None else UNSET), _SECRET)

    def get_keys(self, call: ApiRequest, txn: Transaction) -> Outcome:
        rows = [
            row
            for row in txn.state.keys.values()
            if row.entity_uri == call.principal.entity_uri and not row.has_expired(txn.now_us)
        ]
        rows.sort(key=lambda row: -row.created_us)
        return json_response(200, [key_record(row) for row in rows])

    def get_expiring(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: ExpiringParameters = call.query
        until_us = txn.now_us + given.within_days * _DAY_US
        found = [
            (row.expires_us, row)
            for row in txn.state.keys.values()
            if row.expires_us is not None and txn.now_us < row.expires_us <= until_us
        ]
        found.sort(key=lambda each: each[0])
        records = [key_record(row, days_remaining=(end_us - txn.now_us) // _DAY_US) for end_us, row in found]
        return json_response(200, records)

    def post_rotate(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: RotateParameters = call.query
        txn.reserve("keys", "")  # so that each change sees what the one before it did
        old = self._row(call, txn)
        if old.has_expired(txn.now_us):
            raise Refusal(409, "key_expired", "this key has expired; make a new one")
        _need_rights_of(old, call.principal)
        secret = self._new_secret()
        key_id, verifier = self._mint(call, txn, secret)
        new = msgspec.structs.replace(
            old, key_id=key_id, verifier=verifier, created_us=txn.now_us, expires_us=_life_us(txn, old)
        )
        end_us = txn.now_us + given.overlap_s * _SECOND_US
        ending = msgspec.structs.replace(
            old, expires_us=end_us if old.expires_us is None else min(end_us, old.expires_us)
        )
        txn.add(ending)
        txn.add(new)
        _record_new(call, txn, new, replaces=key_name(old.verifier))
        txn.audit(
            "key_revoked", old.entity_uri, id=key_name(old.verifier), by=call.principal.entity_uri, reason="rotated",
            ends_at=format_us(ending.expires_us or txn.now_us),
        )  # fmt: skip
        return json_response(201, key_record(new, raw_key=secret), _SECRET)

    def delete_key(self, call: ApiRequest, txn: Transaction) -> Outcome:
        txn.reserve("keys", "")  # so that each change sees what the one before it did
        row = self._row(call, txn)
        _need_rights_of(row, call.principal)
        txn.add(row.deleted())
        txn.audit(
            "key_revoked", row.entity_uri, id=key_name(row.verifier), by=call.principal.entity_uri, reason="deleted"
        )
        return Response(204)

    def _row(self, call: ApiRequest, txn: Transaction) -> KeyRow:
        """The key that the path names, if the caller may deal with it. Raises Refusal 403 or 404."""
        name = call.params["key"]
        row = txn.state.keys.get(name)  # the index is as good a name, for whoever has seen it in the data directory
        if row is None:
            row = next((row for row in txn.state.keys.values() if key_name(row.verifier) == name), None)
        if row is None:
            raise Refusal(404, "key_not_found", "key not found")
        if row.entity_uri != call.principal.entity_uri and "admin" not in call.principal.permissions:
            raise Refusal(403, "not_your_key", "this key belongs to another entity")
        return row

    def _made_by(self, call: ApiRequest, txn: Transaction, request: KeyRequest, secret: str) -> KeyRow:
        """The row of the key that a request asks for; nothing is staged. Raises Refusal."""
        entity_uri = normalise(request.entity_uri)
        if request.tenant_id not in (None, "default"):
            raise Refusal(400, "unknown_tenant", "this node has no tenant but default", field="tenant_id")
        permissions = _permissions(request)
        scopes = _scopes(call.principal, request)
        expires_us = _expiry_us(txn, request.expires_at)
        key_id, verifier = self._mint(call, txn, secret)
        return KeyRow(
            key_id=key_id,
            entity_uri=entity_uri,
            verifier=verifier,
            permissions=permissions,
            scopes=scopes,
            description=request.description or "",
            created_us=txn.now_us,
            expires_us=expires_us,
        )

    def _new_secret(self) -> str:
        """A secret that this node makes up: `sk-` and 32 random bytes in base64url."""
        return "sk-" + encode_base64(self._entropy.token(_SECRET_BYTES))

    def _mint(self, call: ApiRequest, txn: Transaction, secret: str) -> tuple[str, str]:
        """Index and verifier of a new secret. Raises Refusal 409 when it is known or there are too many keys, or 429
        when the caller makes them too fast."""
        key_id = self._api_keys.digest(secret)
        if key_id in txn.state.keys:
            raise Refusal(409, "key_exists", "this key is known already; choose another one", field="raw_key")
        if len(txn.state.keys) >= limits.KEYS_MAX:
            raise Refusal(409, "too_many_keys", f"a node has at most {limits.KEYS_MAX} keys; delete some first")
        who = call.principal.entity_uri
        wait_s = self._quotas.wait_s(
            "admin_action", who, limits.KEYS_MINTED_BURST, limits.KEYS_MINTED_PER_S, txn.monotonic_ns
        )
        if wait_s:
            raise quota_exceeded("admin_action", who, wait_s)
        return key_id, argon2id(secret, self._entropy.token(SALT_BYTES))


def _need_rights_of(row: KeyRow, principal: Principal) -> None:
    """Raises Refusal 403 unless a caller may do all that a key may, which its end or renewal takes away: an
    administrator may hand out every permission, but nobody a scope that is closed to it. A key may end itself."""
    if row.key_id == principal.key_id:
        return
    if not set(row.permissions) <= principal.permissions and "admin" not in principal.permissions:
        message = "a key is ended or rotated only by itself, by one that may as much, or by an administrator"
        raise Refusal(403, "key_above_yours", message)
    for scope in row.scopes:
        principal.need_scope(scope)


# --- what a new key may be ---


def _record_new(call: ApiRequest, txn: Transaction, row: KeyRow, **more: Any) -> None:
    """The audit row of a new key."""
    txn.audit(
        "key_created",
        row.entity_uri,
        id=key_name(row.verifier),
        by=call.principal.entity_uri,
        permissions=list(row.permissions),
        scopes=list(row.scopes),
        expires_at=None if row.expires_us is None else format_us(row.expires_us),
        **more,
    )


def _life_us(txn: Transaction, row: KeyRow) -> int | None:
    """When the successor of a key ends: it gets as long a life, within the longest that is allowed now."""
    days = txn.settings.key_life_days
    latest_us = txn.now_us + days * _DAY_US if days else None
    if row.expires_us is None:
        return latest_us
    expires_us = txn.now_us + (row.expires_us - row.created_us)
    return expires_us if latest_us is None else min(expires_us, latest_us)


def _permissions(request: KeyRequest) -> tuple[str, ...]:
    unknown = [name for name in request.permissions if name not in PERMISSIONS]
    if unknown or not request.permissions:
        what = (
            f"'{shown(unknown[0])}' is none{did_you_mean(unknown[0], PERMISSIONS)}" if unknown else "the list is empty"
        )
        message = f"permissions must be some of {', '.join(PERMISSIONS)}; {what}"
        raise Refusal(400, "unknown_permission", message, field="permissions")
    return tuple(sorted(dict.fromkeys(request.permissions)))


def _scopes(principal: Principal, request: KeyRequest) -> tuple[str, ...]:
    given = request.allowed_scopes if request.allowed_scopes is not None else request.scopes
    if given is None:
        return ordered(principal.scopes)
    unknown = next((name for name in given if not is_scope(name)), None)
    if unknown is not None:
        about = f"'{shown(unknown)}' is none{did_you_mean(unknown, SCOPES)}"
        message = f"allowed_scopes must be some of {', '.join(SCOPES)}; {about}"
        raise Refusal(400, "unknown_scope", message, field="allowed_scopes")
    for scope in ordered(given):
        principal.need_scope(scope)
    return ordered(given)


def _expiry_us(txn: Transaction, text: str | None) -> int | None:
    """When a new key ends; None for never. Raises Refusal 400 or 422."""
    days = txn.settings.key_life_days
    latest_us = txn.now_us + days * _DAY_US if days else None
    if text is None:
        return latest_us
    try:
        expires_us = parse_us(text)
    except ValueError as error:
        raise invalid("expires_at", "expires_at must be an ISO-8601 instant", given=text) from error
    if expires_us <= txn.now_us:
        raise Refusal(400, "expiry_passed", "expires_at must lie in the future", field="expires_at")
    if latest_us is not None and expires_us > latest_us:
        raise Refusal(400, "expiry_too_late", f"a key lives at most {days} days", field="expires_at")
    return expires_us


OPERATIONS = (
    Operation(
        "me", "GET", "/v1/me", "any", KeysApi.get_me, "Who the caller is to this node", answer=MeAnswer,
        refusals=(401, 503), tags=("keys",),
    ),
    Operation(
        "create_key", "POST", "/v1/auth/keys", "admin", KeysApi.post_key,
        "Make an API key, of a secret given or made here",
        body=KeyRequest, answer=KeyRecord, status=201, refusals=(400, 401, 403, 409, 413, 422, 429, 503, 507),
        tags=("keys",),
    ),
    Operation(
        "list_keys", "GET", "/v1/auth/keys", "any", KeysApi.get_keys, "The caller's own keys, newest first",
        answer=list[KeyRecord], refusals=(401, 503), tags=("keys",),
    ),
    Operation(
        "expiring_keys", "GET", "/v1/auth/keys/expiring-soon", "admin", KeysApi.get_expiring,
        "Keys that end soon, soonest first", query=ExpiringParameters, answer=list[KeyRecord],
        refusals=(401, 403, 422, 503), tags=("keys",),
    ),
    Operation(
        "rotate_key", "POST", "/v1/auth/keys/{key}/rotate", "any", KeysApi.post_rotate,
        "A new secret for a key; the old one goes on working for a while", query=RotateParameters, answer=KeyRecord,
        status=201, refusals=(401, 403, 404, 409, 422, 429, 503, 507), tags=("keys",),
    ),
    Operation(
        "delete_key", "DELETE", "/v1/auth/keys/{key}", "any", KeysApi.delete_key, "End a key", status=204,
        refusals=(401, 403, 404, 503, 507), tags=("keys",),
    ),
)  # fmt: skip
