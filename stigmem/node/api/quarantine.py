"""Operations on what waits in quarantine: list, show, admit, reject (http-api 3.13, federation 9.2).

Who decides is not any writer, but a **moderator**: whoever holds `admin`, and the admins and moderators of the garden
that the setting `quarantine_garden_id` names. To admit an instruction one needs `instruction:write` as well, since that
is what it becomes. Nobody sees what waits but they, and each only of the scopes that its key may touch.

What quarantine is, and why a fact that is admitted comes anew, is `stigmem.core.quarantine`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Refusal, invalid
from stigmem.core.export_index import is_instruction
from stigmem.core.fact import FactRecord
from stigmem.core.gardens import Garden
from stigmem.core.quarantine import Quarantined, QuarantineStatus
from stigmem.core.records import QuarantineRow
from stigmem.core.timestamps import format_us
from stigmem.core.wire import json_response
from stigmem.node.api.assertion import room_of
from stigmem.node.api.garden_access import (
    MODERATING,
    WRITING,
    garden_named,
    garden_of_facts,
    need_role,
    quarantine_garden,
)
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.views import fact_record
from stigmem.node.api.visibility import Sight
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "QuarantineApi"]

_Reason = Annotated[str, msgspec.Meta(max_length=limits.QUARANTINE_NOTE_CHARS_MAX)]


class ListParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/quarantine`."""

    garden_id: str | None = None
    quarantine_status: QuarantineStatus | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class AdmitParameters(msgspec.Struct, kw_only=True):
    """Parameters of the admit call: the URI of a garden to admit the fact into, and why."""

    target_garden_id: str | None = None
    reason: _Reason = ""


class RejectParameters(msgspec.Struct, kw_only=True):
    """Parameters of the reject call."""

    reason: _Reason = ""


class PromoteRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/gardens/{garden}/promote`."""

    fact_id: str
    target_garden_id: str | None = None
    reason: _Reason = ""


class GardenRejectRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/gardens/{garden}/reject`."""

    fact_id: str
    reason: _Reason = ""


class QuarantineItem(msgspec.Struct, kw_only=True):
    """A fact that was held back, without its value. `expires_at`: when nobody can admit it any more."""

    fact_id: str
    entity: str
    relation: str
    scope: str
    source: str
    quarantine_status: QuarantineStatus
    quarantine_garden_id: str | None
    quarantine_reason: str
    quarantine_acted_by: str | None = None
    quarantine_acted_at: str | None = None
    quarantine_note: str | None = None
    source_trust: float | None = None
    origin_node_id: str
    received_from: str | None
    timestamp: str
    arrived_at: str | None = None
    expires_at: str | None = None


class ListAnswer(msgspec.Struct):
    """Items, the newest first; `total` counts all that match."""

    items: list[QuarantineItem]
    total: int


class ShownAnswer(msgspec.Struct):
    """A fact that was held back, with all that it says."""

    item: QuarantineItem
    fact: FactRecord


class Decision(msgspec.Struct):
    """What was decided; `target_garden_id` is null where a fact was admitted among those of the node."""

    fact_id: str
    action: Literal["admitted", "promoted", "rejected"]
    target_garden_id: str | None
    acted_by: str
    acted_at: str


class QuarantineApi:
    """What waits on this node."""

    def __init__(self, *, identity: Identity, quotas: Quotas) -> None:
        self._identity = identity
        self._quotas = quotas

    def get_list(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: ListParameters = call.query
        self._quotas.charge(txn, call.principal, "fact_read")
        home = _need_moderator(call, txn)
        if given.garden_id is not None and garden_named(txn, call.principal, given.garden_id) is not home:
            return json_response(200, ListAnswer([], 0))
        found = [
            each
            for each in txn.state.quarantine.newest_first(txn.now_us)
            if each.fact.scope in call.principal.scopes and given.quarantine_status in (None, each.status)
        ]
        page = found[given.offset : given.offset + given.limit]
        return json_response(200, ListAnswer([_item(each, home) for each in page], len(found)))

    def get_item(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        home = _need_moderator(call, txn)
        found = _found(call, txn, call.params["fact"])
        record = fact_record(found.fact, txn.ledger, Sight.of(call, txn))
        return json_response(200, ShownAnswer(_item(found, home), record))

    def post_admit(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: AdmitParameters = call.query
        _need_moderator(call, txn)
        return self._admit(call, txn, call.params["fact"], given.target_garden_id, given.reason, "admitted")

    def post_reject(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: RejectParameters = call.query
        _need_moderator(call, txn)
        return self._reject(call, txn, call.params["fact"], given.reason)

    def post_promote(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: PromoteRequest = call.body
        self._need_garden(call, txn, given.fact_id)
        return self._admit(call, txn, given.fact_id, given.target_garden_id, given.reason, "promoted")

    def post_garden_reject(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: GardenRejectRequest = call.body
        self._need_garden(call, txn, given.fact_id)
        return self._reject(call, txn, given.fact_id, given.reason)

    def _need_garden(self, call: ApiRequest, txn: Transaction, fact_id: str) -> None:
        """The garden of the path is one for quarantine, the caller decides there, and the fact waits there. Raises
        Refusal 403, 404 or 422."""
        garden = garden_named(txn, call.principal, call.params["garden"])
        need_role(garden, call.principal, MODERATING)
        if not garden.row.is_quarantine:
            raise invalid("garden", "this garden is not one for quarantine", given=garden.row.slug)
        if garden is not quarantine_garden(txn):
            raise Refusal(404, "fact_not_found", f"the fact {fact_id[:128]} does not wait in this garden")

    def _admit(
        self, call: ApiRequest, txn: Transaction, fact_id: str, target: str | None, reason: str,
        action: Literal["admitted", "promoted"],
    ) -> Outcome:  # fmt: skip
        found = _pending(call, txn, fact_id)
        fact = found.fact
        if is_instruction(fact):
            call.principal.need("instruction:write")
        garden = None if target is None else garden_of_facts(txn, call.principal, target, WRITING)
        if garden is not None and garden.row.scope != fact.scope:
            raise invalid("target_garden_id", f"the facts of that garden have scope {garden.row.scope}", given=target)
        room_of(txn, garden).store(msgspec.structs.replace(fact, quarantine=None))
        garden_id = None if garden is None else garden.row.garden_id
        row = _decided(call, txn, found, "promoted", reason, garden_id or "")
        txn.add(row)
        who = call.principal.entity_uri
        txn.audit("quarantine_promote", who, fact_id=fact.id, reason=reason, garden_id=garden_id)
        if is_instruction(fact):
            txn.audit("instruction_promoted", who, fact_id=fact.id)
        uri = None if garden is None else garden.uri(self._identity.authority)
        return json_response(200, Decision(fact.id, action, uri, who, format_us(txn.now_us)))

    def _reject(self, call: ApiRequest, txn: Transaction, fact_id: str, reason: str) -> Outcome:
        found = _pending(call, txn, fact_id)
        txn.add(_decided(call, txn, found, "rejected", reason, ""))
        who = call.principal.entity_uri
        txn.audit("quarantine_reject", who, fact_id=found.fact.id, reason=reason)
        return json_response(200, Decision(found.fact.id, "rejected", None, who, format_us(txn.now_us)))


def _need_moderator(call: ApiRequest, txn: Transaction) -> Garden | None:
    """The garden whose moderators decide. Raises Refusal 403 for a caller that may not."""
    home = quarantine_garden(txn)
    if "admin" in call.principal.permissions:
        return home
    if home is None or home.role_of(call.principal.entity_uri) not in MODERATING:
        message = "what waits in quarantine is for admin and for the moderators of the node's quarantine garden"
        raise Refusal(403, "moderator_required", message)
    return home


def _found(call: ApiRequest, txn: Transaction, fact_id: str) -> Quarantined:
    """The fact that was held back, one that still waits first. Raises Refusal 404."""
    found = txn.state.quarantine.find(fact_id, txn.now_us)
    seen = [each for each in found if each.fact.scope in call.principal.scopes]
    if not seen:
        raise Refusal(404, "fact_not_found", "no such fact was held back here")
    return min(seen, key=lambda each: each.status != "pending")


def _pending(call: ApiRequest, txn: Transaction, fact_id: str) -> Quarantined:
    """The fact that waits, for this decision alone. Raises Refusal 404 or 409."""
    found = _found(call, txn, fact_id)
    txn.reserve("quarantine", (found.fact.origin, found.fact.id))
    if found.status != "pending":
        raise Refusal(409, "fact_not_quarantine_pending", f"this fact is {found.status} and waits no more")
    return found


def _decided(
    call: ApiRequest, txn: Transaction, found: Quarantined, status: Literal["promoted", "rejected"], note: str,
    garden_id: str,
) -> QuarantineRow:  # fmt: skip
    return QuarantineRow(
        origin=found.fact.origin,
        fact_id=found.fact.id,
        status=status,
        arrived_us=0 if found.row is None else found.row.arrived_us,
        acted_by=call.principal.entity_uri,
        acted_us=txn.now_us,
        note=note,
        garden_id=garden_id,
    )


def _item(each: Quarantined, home: Garden | None) -> QuarantineItem:
    fact, row = each.fact, each.row
    item = QuarantineItem(
        fact_id=fact.id,
        entity=fact.entity,
        relation=fact.relation,
        scope=fact.scope,
        source=fact.source,
        quarantine_status=each.status,
        quarantine_garden_id=None if home is None else home.row.garden_id,
        quarantine_reason=fact.quarantine or "",
        origin_node_id=fact.origin,
        received_from=fact.received_from,
        timestamp=fact.timestamp,
    )
    if row is not None and row.arrived_us:
        item.arrived_at = format_us(row.arrived_us)
        item.expires_at = format_us(row.arrived_us + limits.QUARANTINE_LIFE_S * 1_000_000)
    if row is not None and row.acted_us:
        item.quarantine_acted_by, item.quarantine_acted_at = row.acted_by, format_us(row.acted_us)
        item.quarantine_note = row.note or None
    return item


_REFUSALS: Final = (401, 403, 404, 409, 422, 429, 503, 507)

OPERATIONS = (
    Operation(
        "list_quarantine", "GET", "/v1/quarantine", "write", QuarantineApi.get_list,
        "What was held back, newest first", query=ListParameters, answer=ListAnswer,
        refusals=(401, 403, 404, 422, 429, 503), tags=("quarantine",),
    ),
    Operation(
        "get_quarantined", "GET", "/v1/quarantine/{fact}", "write", QuarantineApi.get_item,
        "A fact that was held back, and why", answer=ShownAnswer, refusals=(401, 403, 404, 429, 503),
        tags=("quarantine",),
    ),
    Operation(
        "admit_quarantined", "POST", "/v1/quarantine/{fact}/admit", "write", QuarantineApi.post_admit,
        "Let a fact that waits take effect", query=AdmitParameters, answer=Decision, refusals=_REFUSALS,
        tags=("quarantine",),
    ),
    Operation(
        "reject_quarantined", "POST", "/v1/quarantine/{fact}/reject", "write", QuarantineApi.post_reject,
        "Turn down a fact that waits, for good", query=RejectParameters, answer=Decision, refusals=_REFUSALS,
        tags=("quarantine",),
    ),
    Operation(
        "promote_from_garden", "POST", "/v1/gardens/{garden}/promote", "write", QuarantineApi.post_promote,
        "Admit a fact that waits, as a moderator of the quarantine garden", body=PromoteRequest, answer=Decision,
        refusals=(*_REFUSALS, 413), tags=("quarantine",),
    ),
    Operation(
        "reject_from_garden", "POST", "/v1/gardens/{garden}/reject", "write", QuarantineApi.post_garden_reject,
        "Turn down a fact that waits, as a moderator of the quarantine garden", body=GardenRejectRequest,
        answer=Decision, refusals=(*_REFUSALS, 413), tags=("quarantine",),
    ),
)  # fmt: skip
