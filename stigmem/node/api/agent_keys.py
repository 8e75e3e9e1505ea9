"""Operations on agents' public keys: register, list, rotate, revoke (http-api 4.7).

An agent keeps its private key; this node keeps the public half and says, under its own signature, whose it is
(`stigmem.core.attestation`). A key is seen by its entity and by administrators. A revoked key stays in the list, so
that it cannot be registered again and what it signed before can still be told.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from stigmem.core import limits
from stigmem.core.attestation import check_public_key
from stigmem.core.errors import Refusal, Rejection, invalid
from stigmem.core.records import AgentKeyRow
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.uris import normalise
from stigmem.core.wire import Response, json_response
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.responses import quota_exceeded
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "AgentKeysApi"]

_SECOND_US: Final = 1_000_000
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
_Note = Annotated[str, msgspec.Meta(max_length=limits.KEY_DESCRIPTION_CHARS_MAX)]


class AgentKeyRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/auth/agent-keys`. `public_key`: 32 raw bytes as base64url. `entity_uri`: whose key it is, for
    administrators; the caller's own without it."""

    public_key: _Name
    description: _Note | None = None
    expires_at: str | None = None
    entity_uri: _Name | None = None


class RotateAgentKeyRequest(msgspec.Struct, kw_only=True):
    """Body of the rotate call: the key that follows."""

    public_key: _Name
    description: _Note | None = None
    expires_at: str | None = None


class RotateAgentKeyParameters(msgspec.Struct, kw_only=True):
    """Parameters of the rotate call: for how many seconds the old key goes on being good."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=limits.KEY_OVERLAP_S_MAX)] = limits.KEY_OVERLAP_S


class AgentKeyParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/auth/agent-keys`: also the keys of others, for administrators."""

    everybody: bool = False


class AgentKeyRecord(msgspec.Struct, kw_only=True):
    """A key as people see it. `status`: active, expired or revoked."""

    id: str
    entity_uri: str
    public_key: str
    description: str | None
    registered_at: str
    status: str
    expires_at: str | None = None
    revoked_at: str | None = None


def _record(row: AgentKeyRow, now_us: int) -> AgentKeyRecord:
    return AgentKeyRecord(
        id=row.key_id,
        entity_uri=row.entity_uri,
        public_key=row.public_key,
        description=row.description or None,
        registered_at=format_us(row.registered_us),
        status="revoked" if row.revoked_us else "expired" if row.has_expired(now_us) else "active",
        expires_at=None if row.expires_us is None else format_us(row.expires_us),
        revoked_at=format_us(row.revoked_us) if row.revoked_us else None,
    )


class AgentKeysApi:
    """Public keys of the agents of this node."""

    def __init__(self, *, identity: Identity, quotas: Quotas) -> None:
        self._identity = identity
        self._quotas = quotas

    def post_key(self, call: ApiRequest, txn: Transaction) -> Outcome:
        txn.reserve("agent_keys", "")  # so that each change sees what the one before it did
        request: AgentKeyRequest = call.body
        entity_uri = normalise(request.entity_uri or call.principal.entity_uri)
        if entity_uri != normalise(call.principal.entity_uri) and not _is_above(call):
            raise Refusal(403, "admin_required", "a key of another entity is registered by admin", field="entity_uri")
        row = self._new(call, txn, entity_uri, request.public_key, request.description, request.expires_at)
        txn.add(row)
        _audit(txn, "agent_key_registered", row, call)
        return json_response(201, _record(row, txn.now_us))

    def get_keys(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: AgentKeyParameters = call.query
        if given.everybody:
            call.principal.need("admin")
        own = normalise(call.principal.entity_uri)
        rows = [row for row in txn.state.agent_keys.values() if given.everybody or row.entity_uri == own]
        return json_response(200, [_record(row, txn.now_us) for row in reversed(rows)])

    def post_rotate(self, call: ApiRequest, txn: Transaction) -> Outcome:
        txn.reserve("agent_keys", "")
        given: RotateAgentKeyParameters = call.query
        request: RotateAgentKeyRequest = call.body
        old = self._row(call, txn)
        if old.has_expired(txn.now_us):
            raise Refusal(409, "agent_key_expired", "this key has expired; register a new one")
        new = self._new(call, txn, old.entity_uri, request.public_key, request.description, request.expires_at)
        if new.public_key == old.public_key:
            raise Refusal(409, "agent_key_unchanged", "the key that follows is the same key", field="public_key")
        end_us = txn.now_us + given.overlap_s * _SECOND_US
        ending = msgspec.structs.replace(
            old, expires_us=end_us if old.expires_us is None else min(end_us, old.expires_us)
        )
        txn.add(ending)
        txn.add(new)
        _audit(txn, "agent_key_registered", new, call, replaces=old.key_id)
        return json_response(201, _record(new, txn.now_us))

    def delete_key(self, call: ApiRequest, txn: Transaction) -> Outcome:
        txn.reserve("agent_keys", "")
        row = self._row(call, txn)
        txn.add(msgspec.structs.replace(row, revoked_us=txn.now_us))
        _audit(txn, "agent_key_revoked", row, call)
        return Response(204)

    def _row(self, call: ApiRequest, txn: Transaction) -> AgentKeyRow:
        """The key that the path names, if the caller may end it. Raises Refusal 403, 404 or 409."""
        row = txn.state.agent_keys.get(call.params["key"])
        if row is None:
            raise Refusal(404, "agent_key_not_found", "agent key not found")
        if row.entity_uri != normalise(call.principal.entity_uri) and not _is_above(call):
            raise Refusal(403, "not_your_agent_key", "this key belongs to another entity")
        if row.revoked_us:
            raise Refusal(409, "agent_key_revoked", "this key has been revoked")
        return row

    def _new(
        self,
        call: ApiRequest,
        txn: Transaction,
        entity_uri: str,
        public_key: str,
        note: str | None,
        expires: str | None,
    ) -> AgentKeyRow:
        """The row of a key; nothing is staged. Raises Refusal 400, 409, 422 or 429."""
        try:
            key = check_public_key(public_key)
        except Rejection as rejection:
            raise Refusal(400, rejection.code, rejection.message, field="public_key") from rejection
        expires_us = None
        if expires is not None:
            try:
                expires_us = parse_us(expires)
            except ValueError as error:
                raise invalid("expires_at", "expires_at must be an ISO-8601 instant", given=expires) from error
            if expires_us <= txn.now_us:
                raise Refusal(400, "expiry_passed", "expires_at must lie in the future", field="expires_at")
        rows = txn.state.agent_keys.values()
        if any(row.public_key == key and row.revoked_us for row in rows):
            raise Refusal(409, "agent_key_revoked", "this key has been revoked; make a new one", field="public_key")
        if sum(row.entity_uri == entity_uri for row in rows) >= limits.AGENT_KEYS_PER_ENTITY_MAX:
            message = f"an entity has at most {limits.AGENT_KEYS_PER_ENTITY_MAX} keys, revoked ones included"
            raise Refusal(409, "too_many_agent_keys", message)
        who = call.principal.entity_uri
        burst, rate = limits.KEYS_MINTED_BURST, limits.KEYS_MINTED_PER_S
        wait_s = self._quotas.wait_s("admin_action", who, burst, rate, txn.monotonic_ns)
        if wait_s:
            raise quota_exceeded("admin_action", who, wait_s)
        return AgentKeyRow(
            key_id=self._identity.new_uuid(),
            entity_uri=entity_uri,
            public_key=key,
            description=note or "",
            registered_us=txn.now_us,
            expires_us=expires_us,
        )


def _is_above(call: ApiRequest) -> bool:
    """Whether a caller may deal with the keys of others: an administrator, and everybody where nobody has a key."""
    return "admin" in call.principal.permissions or not call.principal.key_id


def _audit(txn: Transaction, event: str, row: AgentKeyRow, call: ApiRequest, **more: str) -> None:
    txn.audit(event, row.entity_uri, id=row.key_id, by=call.principal.entity_uri, **more)


OPERATIONS = (
    Operation(
        "create_agent_key", "POST", "/v1/auth/agent-keys", "write", AgentKeysApi.post_key,
        "Register the public key by which an agent signs what it says",
        body=AgentKeyRequest, answer=AgentKeyRecord, status=201, refusals=(400, 401, 403, 409, 413, 422, 429, 503, 507),
        tags=("keys",),
    ),
    Operation(
        "list_agent_keys", "GET", "/v1/auth/agent-keys", "any", AgentKeysApi.get_keys,
        "The caller's own public keys, newest first",
        query=AgentKeyParameters, answer=list[AgentKeyRecord], refusals=(401, 403, 422, 503), tags=("keys",),
    ),
    Operation(
        "rotate_agent_key", "POST", "/v1/auth/agent-keys/{key}/rotate", "write", AgentKeysApi.post_rotate,
        "Register the key that follows, while the old one goes on being good for a while",
        query=RotateAgentKeyParameters, body=RotateAgentKeyRequest, answer=AgentKeyRecord, status=201,
        refusals=(400, 401, 403, 404, 409, 413, 422, 429, 503, 507), tags=("keys",),
    ),
    Operation(
        "delete_agent_key", "DELETE", "/v1/auth/agent-keys/{key}", "any", AgentKeysApi.delete_key,
        "Revoke a public key, at once and for good", status=204, refusals=(401, 403, 404, 409, 503, 507),
        tags=("keys",),
    ),
)  # fmt: skip
