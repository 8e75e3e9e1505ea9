"""Operations on the keys of origins: which are known and why, and pinning one by hand (federation 1.4).

A key that came with an id that certifies it, or on the word of a peer, stands until an operator says more. To **pin**
is to name the key; to **confirm** is to compare the fingerprint of the one that is known already. Both make it stand
over whatever others claim (spec/identity.md, 3). The key of an approved peer was compared when it was approved, and is
changed by registering anew.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Refusal, invalid
from stigmem.core.keys import decode_base64, encode_base64, fingerprint
from stigmem.core.records import OriginRow
from stigmem.core.wire import json_response
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import AfterCommit, Operation, Outcome
from stigmem.node.identity import Identity
from stigmem.node.responses import fingerprint_refused
from stigmem.node.resync import read_again_for_key, read_again_for_origin, reserve_cursors
from stigmem.node.transaction import Transaction
from stigmem.node.unknown_origins import admit_origin

__all__ = ["OPERATIONS", "OriginsApi"]

_KEY_BYTES: Final = 32


class OriginParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/federation/origins`; `after` is the node id of the last one seen."""

    how: Literal["certified", "pinned", "vouched"] | None = None
    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)] = limits.PAGE_LIMIT_MAX


class PinRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/federation/origins`; `public_key` is a raw Ed25519 key in base64url."""

    node_id: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NODE_ID_CHARS_MAX)]
    public_key: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class ConfirmRequest(msgspec.Struct):
    """The fingerprint that a person compared."""

    pubkey_fingerprint: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class OriginRecord(msgspec.Struct):
    """An origin and the key that speaks for it; both key members are null for one whose manifest was bad. `how` is
    `certified` (the id is the key's hash), `pinned` (a person compared it) or `vouched` (on the word of one peer)."""

    node_id: str
    public_key: str | None
    pubkey_fingerprint: str | None
    how: str
    vouched_by: str | None
    has_manifest: bool


class OriginsAnswer(msgspec.Struct):
    """Origins by their node id, and whether there are more after them."""

    origins: list[OriginRecord]
    has_more: bool


class OriginsApi:
    """Keys of origins, as people look at them and pin them."""

    def __init__(self, *, identity: Identity) -> None:
        self._identity = identity

    def get_origins(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: OriginParameters = call.query
        rows = sorted(
            (row for row in txn.state.origins.values() if row.node_id > given.after and given.how in (None, row.how)),
            key=lambda row: row.node_id,
        )
        found = [_record(row) for row in rows[: given.limit]]
        return json_response(200, OriginsAnswer(found, has_more=len(rows) > given.limit))

    def post_origin(self, call: ApiRequest, txn: Transaction) -> Outcome:
        request: PinRequest = call.body
        if request.node_id == self._identity.node_id:
            raise Refusal(409, "own_node_id", "this is the node's own id")
        key = _key(request.public_key)
        reserve_cursors(txn)
        peer = txn.state.peer_of(request.node_id)
        if peer is not None and peer.public_key != key:
            raise Refusal(409, "origin_is_peer", "this origin is a peer: its key changes when it registers anew")
        held = txn.state.origins.get(request.node_id)
        if held is None and len(txn.state.origins) >= limits.ORIGINS_MAX:
            raise Refusal(409, "too_many_origins", f"a node knows the keys of at most {limits.ORIGINS_MAX} origins")
        manifest = held.manifest if held is not None and held.public_key == key else ""
        return self._pin(call, txn, held, OriginRow(request.node_id, key, "pinned", manifest=manifest), 201)

    def post_confirm(self, call: ApiRequest, txn: Transaction) -> Outcome:
        request: ConfirmRequest = call.body
        reserve_cursors(txn)
        held = txn.state.origins.get(call.params["origin"])
        if held is None or not held.is_bound:
            raise Refusal(404, "origin_not_found", "no key of this origin is known")
        if request.pubkey_fingerprint != fingerprint(held.public_key):
            txn.audit("origin_confirm_failed", held.node_id, given=request.pubkey_fingerprint)
            return AfterCommit(fingerprint_refused)
        return self._pin(call, txn, held, msgspec.structs.replace(held, how="pinned", vouched_by=""), 200)

    def _pin(self, call: ApiRequest, txn: Transaction, held: OriginRow | None, row: OriginRow, status: int) -> Outcome:
        """Stage the row, with what follows from a key that becomes known or changes."""
        txn.add(row)
        txn.audit(
            "origin_key_pinned", row.node_id, by=call.principal.entity_uri, fingerprint=fingerprint(row.public_key),
            before=None if held is None or not held.is_bound else fingerprint(held.public_key),
        )  # fmt: skip
        admit_origin(txn, row.node_id, call.principal.entity_uri)
        read_again_for_origin(txn, row.node_id)
        if held is not None and held.public_key not in ("", row.public_key):
            read_again_for_key(txn)
        return AfterCommit(lambda: json_response(status, _record(row)))


def _key(text: str) -> str:
    """A public key in its one spelling. Raises Refusal 422."""
    try:
        raw = decode_base64(text)
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise invalid("public_key", "public_key must be 32 bytes in base64url: a raw Ed25519 key", given=text)
    return encode_base64(raw)


def _record(row: OriginRow) -> OriginRecord:
    bound = row.is_bound
    return OriginRecord(
        node_id=row.node_id,
        public_key=row.public_key if bound else None,
        pubkey_fingerprint=fingerprint(row.public_key) if bound else None,
        how=row.how,
        vouched_by=row.vouched_by or None,
        has_manifest=bool(row.manifest),
    )


OPERATIONS = (
    Operation(
        "list_origins", "GET", "/v1/federation/origins", "federate", OriginsApi.get_origins,
        "Origins whose key is known, and why", query=OriginParameters, answer=OriginsAnswer,
        refusals=(401, 403, 422, 503), tags=("federation",),
    ),
    Operation(
        "pin_origin", "POST", "/v1/federation/origins", "admin:federation", OriginsApi.post_origin,
        "Say which key speaks for an origin", body=PinRequest, answer=OriginRecord, status=201,
        refusals=(401, 403, 409, 413, 422, 503, 507), tags=("federation",),
    ),
    Operation(
        "confirm_origin", "POST", "/v1/federation/origins/{origin}/confirm", "admin:federation",
        OriginsApi.post_confirm, "Pin the key that is known, by its fingerprint", body=ConfirmRequest,
        answer=OriginRecord, refusals=(400, 401, 403, 404, 413, 422, 503, 507), tags=("federation",),
    ),
)  # fmt: skip
