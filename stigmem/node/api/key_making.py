"""What a new API key may be: its secret, what it permits, how long it lives (http-api 4).

Nobody can hand out more than it may itself: a key for some scopes makes keys for these scopes only. A secret is
shown once, in the answer that made it; what is kept of it is `stigmem.node.api.api_keys`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Refusal, invalid
from stigmem.core.keys import encode_base64
from stigmem.core.records import KeyRow
from stigmem.core.scopes import SCOPES, is_scope, ordered
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.uris import normalise
from stigmem.node.api.api_keys import PERMISSIONS, SALT_BYTES, Principal, argon2id, key_name
from stigmem.node.responses import quota_exceeded
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.api.call import Call

__all__ = ["KeyRequest", "life_us", "made_by", "mint", "new_secret", "record_new"]

_DAY_US: Final = 86_400_000_000
_SECRET_BYTES: Final = 32
_Secret = Annotated[str, msgspec.Meta(min_length=limits.KEY_SECRET_CHARS_MIN, max_length=limits.KEY_SECRET_CHARS_MAX)]


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


def made_by(call: Call, txn: Transaction, request: KeyRequest, secret: str) -> KeyRow:
    """The row of the key that a request asks for. Raises Refusal."""
    entity_uri = normalise(request.entity_uri)
    if request.tenant_id not in (None, "default"):
        raise Refusal(400, "unknown_tenant", "this node has no tenant but default", field="tenant_id")
    permissions = _permissions(request)
    scopes = _scopes(call.principal, request)
    expires_us = _expiry_us(txn, request.expires_at)
    key_id, verifier = mint(call, txn, secret)
    return KeyRow(key_id, entity_uri, verifier, permissions, scopes, request.description or "", txn.now_us, expires_us)


def new_secret(call: Call) -> str:
    """A secret of this node's making."""
    return "sk-" + encode_base64(call.node.context.entropy.token(_SECRET_BYTES))


def mint(call: Call, txn: Transaction, secret: str) -> tuple[str, str]:
    """Index and verifier of a new secret. Raises Refusal 409 when it is known or there are too many keys, or 429."""
    key_id = call.node.api_keys.digest(secret)
    if key_id in txn.state.keys:
        raise Refusal(409, "key_exists", "this key is known already; choose another one", field="raw_key")
    if len(txn.state.keys) >= limits.KEYS_MAX:
        raise Refusal(409, "too_many_keys", f"a node has at most {limits.KEYS_MAX} keys; delete some first")
    who = call.principal.entity_uri
    wait_s = call.node.quotas.wait_s(
        "admin_action", who, limits.KEYS_MINTED_BURST, limits.KEYS_MINTED_PER_S, txn.monotonic_ns
    )
    if wait_s:
        raise quota_exceeded("admin_action", who, wait_s)
    return key_id, argon2id(secret, call.node.context.entropy.token(SALT_BYTES))


def record_new(call: Call, txn: Transaction, row: KeyRow, **more: Any) -> None:
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


def life_us(txn: Transaction, row: KeyRow) -> int | None:
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
        what = f"'{unknown[0]}' is none" if unknown else "the list is empty"
        message = f"permissions must be some of {', '.join(PERMISSIONS)}; {what}"
        raise Refusal(400, "unknown_permission", message, field="permissions")
    return tuple(sorted(dict.fromkeys(request.permissions)))


def _scopes(principal: Principal, request: KeyRequest) -> tuple[str, ...]:
    given = request.allowed_scopes if request.allowed_scopes is not None else request.scopes
    if given is None:
        return ordered(principal.scopes)
    unknown = next((name for name in given if not is_scope(name)), None)
    if unknown is not None:
        message = f"allowed_scopes must be some of {', '.join(SCOPES)}; '{unknown}' is none"
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
