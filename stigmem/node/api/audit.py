"""Operations that read the audit log (http-api 3.16, federation 8.2).

The log is on disk and may be long: a request looks through a bounded part of it in a task of its own, so that no
turn waits for it, and hands out a cursor where it stopped. Writing rows is `stigmem.node.transaction`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from stigmem.core import limits
from stigmem.core.audit import AuditRow
from stigmem.core.errors import Refusal
from stigmem.core.timestamps import parse_us
from stigmem.core.wire import Response, json_response
from stigmem.node.api.audit_search import answer_later, cursor_of, look_through, start_of
from stigmem.node.api.audit_views import (
    AdminEntry,
    AuditEntry,
    PeerEntry,
    admin_entry,
    audit_entry,
    csv_text,
    may_see,
    peer_entry,
    reads_everything,
)
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.validation_errors import invalid_parameter
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.api.call import Call

__all__ = ["OPERATIONS"]

_CSV_TYPE: Final = {
    "content-type": "text/csv; charset=utf-8",
    "content-disposition": 'attachment; filename="audit.csv"',
}
_NEXT: Final = "x-stigmem-next-cursor"
"""Where to go on, for answers whose body has no place for it."""
_NOT_ABOUT_PEERS: Final = ("fact_write", "key_created", "key_revoked")

_Limit = Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)]


class AuditParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/audit`."""

    entity_uri: str | None = None
    oidc_sub: str | None = None
    source: str | None = None
    fact_id: str | None = None
    attested: bool | None = None
    cursor: str | None = None
    limit: _Limit = limits.PAGE_LIMIT_DEFAULT


class ExportParameters(AuditParameters, kw_only=True):
    """Parameters of `GET /v1/audit/export`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.AUDIT_EXPORT_ROWS_MAX)] = 5_000


class PlaceParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/audit/facts/{id}`: where to go on in a log that was too long for one request."""

    cursor: str | None = None


class PeerAuditParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/federation/audit`."""

    peer_id: str | None = None
    event_type: str | None = None
    cursor: str | None = None
    limit: _Limit = limits.PAGE_LIMIT_DEFAULT


class AdminAuditParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/admin/audit`; `cursor` is the sequence number of the last row seen."""

    since: str | None = None
    until: str | None = None
    principal: str | None = None
    event_type: str | None = None
    cursor: Annotated[int, msgspec.Meta(ge=0, le=limits.AUDIT_SEQ_MAX)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.AUDIT_PAGE_LIMIT_MAX)] = 200


class AuditAnswer(msgspec.Struct):
    """Entries, newest first; `total` counts this page."""

    entries: list[AuditEntry]
    total: int
    cursor: str | None


class PeerAuditAnswer(msgspec.Struct):
    """Entries, newest first."""

    entries: list[PeerEntry]
    cursor: str | None
    has_more: bool


class AdminAuditAnswer(msgspec.Struct):
    """Entries, oldest first; `total` counts this page."""

    entries: list[AdminEntry]
    total: int
    next_cursor: int | None


def get_audit(call: Call, txn: Transaction) -> Outcome:
    given: AuditParameters = call.query
    start = start_of(call, txn, given.cursor)

    async def answer() -> Response:
        found, place = await look_through(call.node, _filter(call, given), start, given.limit)
        return json_response(200, AuditAnswer(found, len(found), cursor_of(call, place)))

    return answer_later(call, txn, answer)


def get_export(call: Call, txn: Transaction) -> Outcome:
    given: ExportParameters = call.query
    start = start_of(call, txn, given.cursor)

    async def answer() -> Response:
        found, place = await look_through(call.node, _filter(call, given), start, given.limit)
        headers = _CSV_TYPE if place is None else _CSV_TYPE | {_NEXT: cursor_of(call, place) or ""}
        return Response(200, headers, csv_text(found).encode())

    return answer_later(call, txn, answer)


def get_fact_audit(call: Call, txn: Transaction) -> Outcome:
    name = call.params["fact"]
    given: PlaceParameters = call.query
    start = 0 if given.cursor is None else start_of(call, txn, given.cursor)
    ledger = txn.state.ledger
    known = any(fact.scope in call.principal.scopes for fact in ledger.find(name))

    def accept(row: AuditRow) -> AuditEntry | None:
        seen = row.fact_id == name and may_see(row, call.principal, ledger)
        return audit_entry(row, ledger) if seen else None

    async def answer() -> Response:
        found, place = await look_through(call.node, accept, start, limits.PAGE_LIMIT_MAX, newest_first=False)
        if not (found or known or place or given.cursor):
            raise Refusal(404, "fact_not_found", "fact not found", style="text")
        return json_response(200, found, None if place is None else {_NEXT: cursor_of(call, place) or ""})

    return answer_later(call, txn, answer)


def get_peer_audit(call: Call, txn: Transaction) -> Outcome:
    given: PeerAuditParameters = call.query
    start = start_of(call, txn, given.cursor)
    state = txn.state

    def accept(row: AuditRow) -> PeerEntry | None:
        if row.event in _NOT_ABOUT_PEERS or (row.event == "quota_breach" and row.subject not in state.peers):
            return None
        wanted = given.peer_id in (None, row.subject) and given.event_type in (None, row.event)
        return peer_entry(row) if wanted and may_see(row, call.principal, state.ledger) else None

    async def answer() -> Response:
        found, place = await look_through(call.node, accept, start, given.limit)
        return json_response(200, PeerAuditAnswer(found, cursor_of(call, place), place is not None))

    return answer_later(call, txn, answer)


def get_admin_audit(call: Call, txn: Transaction) -> Outcome:
    if not reads_everything(call.principal):
        raise Refusal(403, "scope_not_allowed", "the whole log needs a key for every scope", field="scope")
    given: AdminAuditParameters = call.query
    since_us, until_us = _instant("since", given.since), _instant("until", given.until)

    def accept(row: AuditRow) -> AdminEntry | None:
        wanted = given.principal in (None, row.subject) and given.event_type in (None, row.event)
        timely = (since_us is None or row.ts_us >= since_us) and (until_us is None or row.ts_us <= until_us)
        return admin_entry(row, txn.state.ledger) if wanted and timely else None

    async def answer() -> Response:
        found, place = await look_through(call.node, accept, given.cursor, given.limit, newest_first=False)
        return json_response(200, AdminAuditAnswer(found, len(found), place))

    return answer_later(call, txn, answer)


def _filter(call: Call, given: AuditParameters) -> Callable[[AuditRow], AuditEntry | None]:
    ledger = call.node.state.ledger

    def accept(row: AuditRow) -> AuditEntry | None:
        if given.entity_uri not in (None, row.subject) or given.fact_id not in (None, row.fact_id):
            return None
        if given.oidc_sub is not None or given.attested:  # nobody logs in that way here, and nothing is attested
            return None
        if not may_see(row, call.principal, ledger):
            return None
        entry = audit_entry(row, ledger)
        return entry if given.source in (None, entry.source) else None

    return accept


def _instant(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_us(text.replace(" ", "+"))  # an unescaped + in a query string reads as a space
    except ValueError as error:
        raise invalid_parameter(name, f"{name} must be an ISO-8601 instant", text) from error


_REFUSALS: Final = (400, 401, 403, 422, 429, 503, 507)

OPERATIONS = (
    Operation(
        "list_audit", "GET", "/v1/audit", "read", get_audit, "What happened here, newest first",
        query=AuditParameters, answer=AuditAnswer, refusals=_REFUSALS, tags=("audit",),
    ),
    Operation(
        "export_audit", "GET", "/v1/audit/export", "read", get_export, "What happened here as CSV",
        query=ExportParameters, refusals=_REFUSALS, tags=("audit",),
    ),
    Operation(
        "audit_of_fact", "GET", "/v1/audit/facts/{fact}", "read", get_fact_audit, "What happened to a fact",
        query=PlaceParameters, answer=list[AuditEntry], refusals=(*_REFUSALS, 404), tags=("audit",),
    ),
    Operation(
        "admin_audit", "GET", "/v1/admin/audit", "audit.read", get_admin_audit, "The whole log, oldest first",
        query=AdminAuditParameters, answer=AdminAuditAnswer, refusals=_REFUSALS, tags=("audit",),
    ),
    Operation(
        "federation_audit", "GET", "/v1/federation/audit", "federate", get_peer_audit,
        "What happened between this node and its peers, newest first", query=PeerAuditParameters,
        answer=PeerAuditAnswer, refusals=_REFUSALS, tags=("federation",),
    ),
)  # fmt: skip
