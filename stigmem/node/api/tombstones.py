"""Operations on tombstones: forgetting an entity, looking before that, taking it back, and what peers bring and ask
(http-api 3.18, federation 9.3). What a tombstone does is `stigmem.core.erasure`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET

from stigmem.core import limits
from stigmem.core.errors import Refusal, Rejection, invalid
from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.records import RevocationRow, TombstoneRow
from stigmem.core.scopes import SCOPES
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.tombstone import EVERY_SCOPE, Revocation, Tombstone, sign_revocation, sign_tombstone
from stigmem.core.uris import is_system, normalise, normalise_filter
from stigmem.core.wire import json_response
from stigmem.node.api.garden_access import may_read
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.visibility import has_every_scope
from stigmem.node.callers import Principal
from stigmem.node.erasure import Mentions, remains_of
from stigmem.node.identity import Identity
from stigmem.node.ports import Entropy
from stigmem.node.quotas import Quotas
from stigmem.node.replication.tombstone_ingest import TombstoneJudge, check_revocable, check_room, husk_key
from stigmem.node.replication.tombstones_served import tombstones_for
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "TombstonesApi"]

_Reason = Annotated[str, msgspec.Meta(max_length=limits.TOMBSTONE_REASON_CHARS_MAX)]
_STATUSES: Final = {
    "tombstone_malformed": 400,
    "tombstone_signature_invalid": 400,
    "tombstone_signer_unknown": 401,
    "tombstone_key_unknown": 401,
    "tombstone_unauthorised": 403,
    "tombstone_not_the_issuer": 403,
    "tombstone_not_found": 404,
    "tombstone_busy": 409,
    "tombstones_full": 409,
}


class TombstoneRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/tombstones`. `dry_run`: say what would go, and leave everything as it is."""

    entity_uri: Annotated[str, msgspec.Meta(max_length=limits.URI_CHARS_MAX)]
    scope: str = EVERY_SCOPE
    reason: _Reason | None = None
    legal_hold: bool = False
    dry_run: bool = False


class RevokeRequest(msgspec.Struct, kw_only=True):
    """Body of the call that takes a tombstone back."""

    reason: _Reason | None = None


class Preview(msgspec.Struct, kw_only=True):
    """What a tombstone would take: facts by the reason for which they are covered and by scope, and records of other
    kinds. Rows of the audit log, which stay without what they say, are not counted, nor are
    facts in gardens of which the caller is no member."""

    entity_uri: str
    scope: str
    facts: int
    as_entity: int
    as_source: int
    as_value: int
    by_scope: dict[str, int]
    waiting_in_quarantine: int
    instructions_of_peers: int
    other_records: dict[str, int]
    would_erase: bool


class TombstonesAnswer(msgspec.Struct):
    """What is known of an entity. `tombstoned`: whether one of the tombstones counts. `finished`: ids of those that
    were carried out whole, so that nothing of what they cover is in the journal any more."""

    tombstoned: bool
    tombstones: list[Tombstone]
    revocations: list[Revocation]
    finished: list[str]


class IngestRequest(msgspec.Struct, kw_only=True):
    """A tombstone, or a revocation where it names a tombstone. What is wrong with it is said in the terms of the
    contract, so that any value is read here."""

    id: Any = UNSET
    entity_uri: Any = UNSET
    scope: Any = UNSET
    reason: Any = UNSET
    signed_by: Any = UNSET
    key_id: Any = UNSET
    signature: Any = UNSET
    created_at: Any = UNSET
    legal_hold: Any = UNSET
    tombstone_id: Any = UNSET


class IngestAnswer(msgspec.Struct, omit_defaults=True):
    """What became of what a peer brought."""

    status: str
    written: bool | None = None
    type: Literal["revocation"] | None = None


class PollParameters(msgspec.Struct, kw_only=True):
    """Parameters of the poll. `since`: those signed at this instant or later. `after`: how many the asker has read."""

    since: str | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=limits.TOMBSTONES_MAX)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.TOMBSTONES_PER_PAGE_MAX)] = limits.TOMBSTONES_PER_PAGE_MAX


class PollAnswer(msgspec.Struct):
    """Tombstones and revocations that may cross this link, in the order in which they came here. `cursor` is always
    null: any other would stop a reference subscriber for good (federation 0.2). `next`: where reading goes on."""

    tombstones: list[Tombstone]
    revocations: list[Revocation]
    cursor: None
    next: int


class TombstonesApi:
    """What people and peers do with tombstones."""

    def __init__(self, *, identity: Identity, quotas: Quotas, judge: TombstoneJudge, entropy: Entropy) -> None:
        self._identity = identity
        self._quotas = quotas
        self._judge = judge
        self._entropy = entropy

    # --- people ---

    def post_tombstone(self, call: ApiRequest, txn: Transaction) -> Outcome:
        request: TombstoneRequest = call.body
        if request.scope not in (EVERY_SCOPE, *SCOPES):
            scopes = ", ".join(SCOPES)
            raise Refusal(400, "tombstone_invalid_scope", f"scope is one of {scopes} or *", field="scope")
        _need_scope(call.principal, request.scope)
        entity = self._entity(request.entity_uri)
        if request.dry_run:
            return json_response(200, _preview(txn, call.principal, entity, request))
        txn.reserve("tombstones", "")
        _raise_refusal(lambda: check_room(txn.state))
        draft = Tombstone(
            id=f"tomb_{self._identity.new_uuid()}",
            entity_uri=entity,
            scope=request.scope,
            reason=request.reason,
            signed_by=self._identity.node_id,
            signature="",
            created_at=format_us(txn.now_us),
            legal_hold=request.legal_hold,
        )
        tombstone = sign_tombstone(draft, self._identity.signer)
        txn.add(TombstoneRow(tombstone, husk_key(txn.state, self._entropy), txn.now_us))
        by = call.principal.entity_uri
        more = {} if normalise_filter(by) == entity else {"by": by}
        txn.audit("tombstone_created", self._identity.node_id, tombstone=tombstone.id, scope=tombstone.scope, **more)
        return json_response(201, tombstone)

    def _entity(self, text: str) -> str:
        try:
            entity = normalise(text)
        except Refusal as refusal:
            raise Refusal(400, "tombstone_entity_uri_invalid", refusal.message, field="entity_uri") from refusal
        if not entity or is_system(entity) or self._identity.is_own_name(entity):
            message = "a tombstone names an entity that facts may be about, and not this node itself"
            raise Refusal(400, "tombstone_entity_uri_invalid", message, field="entity_uri")
        return entity

    def get_tombstones(self, call: ApiRequest, txn: Transaction) -> Outcome:
        erasures, entity = txn.state.erasures, normalise_filter(call.params["uri"])
        of_entity = (r for r in erasures.tombstones.values() if normalise_filter(r.tombstone.entity_uri) == entity)
        held = [row for row in of_entity if _may_touch(call.principal, row.tombstone.scope)]
        revoked = [erasures.revocations[r.tombstone.id] for r in held if r.tombstone.id in erasures.revocations]
        answer = TombstonesAnswer(
            len(revoked) < len(held),
            [r.tombstone for r in held],
            [r.revocation for r in revoked],
            [r.tombstone.id for r in held if r.finished_us],
        )
        return json_response(200, answer)

    def post_revocation(self, call: ApiRequest, txn: Transaction) -> Outcome:
        txn.reserve("tombstones", "")
        request: RevokeRequest = call.body
        name = call.params["tombstone"]
        held = txn.state.erasures.tombstones.get(name)
        if held is None or not _may_touch(call.principal, held.tombstone.scope):
            raise Refusal(404, "tombstone_not_found", "no tombstone has this id")
        if name in txn.state.erasures.revocations:
            raise Refusal(409, "tombstone_already_revoked", "this tombstone is revoked already")
        _raise_refusal(lambda: check_revocable(held, self._identity.node_id))
        _raise_refusal(lambda: check_room(txn.state))
        draft = Revocation(
            id=f"tombrevoke_{self._identity.new_uuid()}",
            tombstone_id=name,
            reason=request.reason,
            signed_by=self._identity.node_id,
            signature="",
            created_at=format_us(txn.now_us),
        )
        revocation = sign_revocation(draft, self._identity.signer)
        txn.add(RevocationRow(revocation, txn.now_us))
        txn.audit("tombstone_revoked", self._identity.node_id, tombstone=name, by=call.principal.entity_uri)
        return json_response(200, revocation)

    # --- peers ---

    def post_ingest(self, call: ApiRequest, txn: Transaction) -> Outcome:
        peer = call.need_peer()
        txn.reserve("tombstones", "")
        data = {name: value for name, value in msgspec.structs.asdict(call.body).items() if value is not UNSET}
        try:
            written = self._judge.take(txn, data, peer.row.node_id)
        except Rejection as rejection:
            if self._quotas.may_audit(peer.row.peer_id, txn.monotonic_ns):
                txn.audit("tombstone_federation_rejected", peer.row.peer_id, reason=rejection.code)
            raise _refusal(rejection) from rejection
        if "tombstone_id" in data:
            return json_response(200, IngestAnswer("ok", type="revocation"))
        return json_response(200, IngestAnswer("ok", written=written))

    def get_poll(self, call: ApiRequest, txn: Transaction) -> Outcome:
        peer, given = call.need_peer(), call.query
        since_us = _since(given.since)
        shown = tombstones_for(txn.state.erasures, peer.scopes)
        page = shown[given.after : given.after + given.limit]
        answer = PollAnswer([], [], None, min(given.after + given.limit, len(shown)))
        for row in page:
            record = row.tombstone if isinstance(row, TombstoneRow) else row.revocation
            if since_us is not None and parse_us(record.created_at) < since_us:
                continue
            if isinstance(record, Tombstone):
                answer.tombstones.append(record)
            else:
                answer.revocations.append(record)
        return json_response(200, answer)


def _may_touch(principal: Principal, scope: str) -> bool:
    """Whether a key is good for every scope that a tombstone reaches."""
    return has_every_scope(principal) if scope == EVERY_SCOPE else scope in principal.scopes


def _need_scope(principal: Principal, scope: str) -> None:
    if not _may_touch(principal, scope):
        message = "this key may not touch every scope that the tombstone would reach"
        raise Refusal(403, "scope_not_allowed", message, field="scope")


def _since(text: str | None) -> int | None:
    try:
        return None if text is None else parse_us(text)
    except ValueError as error:
        raise invalid("since", "since is no ISO-8601 instant", given=text, where="query") from error


def _refusal(rejection: Rejection) -> Refusal:
    return Refusal(_STATUSES[rejection.code], rejection.code, rejection.message, field=rejection.field)


def _raise_refusal(check: Callable[[], None]) -> None:
    """Have what is wrong told to a person as it is told to a peer."""
    try:
        check()
    except Rejection as rejection:
        raise _refusal(rejection) from rejection


def _preview(txn: Transaction, principal: Principal, entity: str, request: TombstoneRequest) -> Preview:
    ledgers = [txn.ledger, *(garden.ledger for garden in txn.state.gardens if may_read(garden, principal))]
    covered = (fact for ledger in ledgers for fact in ledger.covered(entity))
    found = [fact for fact in covered if request.scope in (EVERY_SCOPE, fact.scope)]
    # Of other records not even the number is told to keys that may not see all of them.
    remains = remains_of(txn.state, Mentions([entity]))._asdict() if has_every_scope(principal) else {}
    return Preview(
        entity_uri=entity,
        scope=request.scope,
        facts=len(found),
        as_entity=sum(fact.entity == entity for fact in found),
        as_source=sum(fact.source == entity for fact in found),
        as_value=sum(fact.kind == "ref" and normalise_filter(fact.text) == entity for fact in found),
        by_scope={scope: count for scope in SCOPES if (count := sum(fact.scope == scope for fact in found))},
        waiting_in_quarantine=sum(fact.quarantine is not None for fact in found),
        instructions_of_peers=sum(is_foreign_instruction(fact) for fact in found),
        other_records={name: len(records) for name, records in remains.items() if records},
        would_erase=not request.legal_hold,
    )


OPERATIONS = (
    Operation(
        "create_tombstone", "POST", "/v1/tombstones", "admin", TombstonesApi.post_tombstone,
        "Have an entity forgotten, here and by peers, or say what would go",
        body=TombstoneRequest, answer=Tombstone, status=201, refusals=(400, 401, 403, 409, 422, 503, 507),
        tags=("erasure",),
    ),
    Operation(
        "get_tombstones", "GET", "/v1/tombstones/{uri}", "admin", TombstonesApi.get_tombstones,
        "Whether an entity is to be forgotten, and by whose word", answer=TombstonesAnswer,
        refusals=(401, 403, 404, 503, 507), tags=("erasure",),
    ),
    Operation(
        "revoke_tombstone", "POST", "/v1/tombstones/{tombstone}/revoke", "admin", TombstonesApi.post_revocation,
        "Take a tombstone of this node back", body=RevokeRequest, answer=Revocation,
        refusals=(401, 403, 404, 409, 422, 503, 507), tags=("erasure",),
    ),
    Operation(
        "ingest_tombstone", "POST", "/v1/federation/tombstones/ingest", "peer", TombstonesApi.post_ingest,
        "A tombstone or a revocation that a peer brings", body=IngestRequest, answer=IngestAnswer,
        refusals=(400, 401, 403, 404, 409, 422, 503, 507), tags=("federation",),
    ),
    Operation(
        "pull_tombstones", "GET", "/v1/federation/tombstones", "peer", TombstonesApi.get_poll,
        "Tombstones and revocations, for a peer", query=PollParameters, answer=PollAnswer,
        refusals=(401, 403, 404, 422, 503, 507), tags=("federation",),
    ),
)  # fmt: skip
