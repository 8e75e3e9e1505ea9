"""Operations that read the audit log (http-api 3.16, federation 8.2).

The log is on disk and may be long: a request looks through a bounded part of it in a task of its own, so that no
turn waits for it, and hands out a cursor where it stopped. Writing rows is `stigmem.node.transaction`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import msgspec

from stigmem.core import limits
from stigmem.core.audit import EVENTS, AuditRow
from stigmem.core.errors import Refusal, invalid, shown
from stigmem.core.suggestions import did_you_mean
from stigmem.core.wire import Response, json_response
from stigmem.node.api.audit_views import (
    AdminEntry,
    AuditEntry,
    PeerEntry,
    admin_entry,
    audit_entry,
    csv_text,
    may_see,
    peer_entry,
)
from stigmem.node.api.background import Background, ConcurrencyLimit
from stigmem.node.api.points_of_time import instant_us
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.visibility import has_every_scope, may_read
from stigmem.node.callers import Principal
from stigmem.node.cursors import CursorCodec
from stigmem.node.ports import Clock, Journal
from stigmem.node.quotas import Quotas
from stigmem.node.responses import busy
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "AuditApi"]

_CSV_TYPE: Final = {
    "content-type": "text/csv; charset=utf-8",
    "content-disposition": 'attachment; filename="audit.csv"',
}
_NEXT: Final = "x-stigmem-next-cursor"
"""Where to go on, for answers whose body has no place for it."""
_NOT_ABOUT_PEERS: Final = ("fact_write", "key_", "subscription_", "clock_", "garden_", "alias_", "decay_")
"""How the events of other rows begin."""

_ROWS_PER_READ: Final = 500

Entry = TypeVar("Entry")

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


class AuditApi:
    """The audit log, as those may see it who ask."""

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        state: NodeState,
        quotas: Quotas,
        cursors: CursorCodec,
        background: Background,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._state = state
        self._quotas = quotas
        self._cursors = cursors
        self._background = background

    def get_audit(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: AuditParameters = call.query
        start = self._start_of(txn, given.cursor)

        async def answer() -> Response:
            found, place = await self._look_through(self._filter(call.principal, given), start, given.limit)
            return json_response(200, AuditAnswer(found, len(found), self._cursor_of(place)))

        return self._in_background(call, txn, answer)

    def get_export(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: ExportParameters = call.query
        start = self._start_of(txn, given.cursor)

        async def answer() -> Response:
            found, place = await self._look_through(self._filter(call.principal, given), start, given.limit)
            headers = _CSV_TYPE if place is None else _CSV_TYPE | {_NEXT: self._cursor_of(place) or ""}
            return Response(200, headers, csv_text(found).encode())

        return self._in_background(call, txn, answer)

    def get_fact_audit(self, call: ApiRequest, txn: Transaction) -> Outcome:
        name = call.params["fact"]
        given: PlaceParameters = call.query
        start = 0 if given.cursor is None else self._start_of(txn, given.cursor)
        state = self._state
        known = any(may_read(call.principal, fact) for fact in state.ledger.find(name))

        def accept(row: AuditRow) -> AuditEntry | None:
            seen = row.fact_id == name and may_see(row, call.principal, state)
            return audit_entry(row, state) if seen else None

        async def answer() -> Response:
            found, place = await self._look_through(accept, start, limits.PAGE_LIMIT_MAX, newest_first=False)
            if not (found or known or place or given.cursor):
                raise Refusal(404, "fact_not_found", "fact not found")
            return json_response(200, found, None if place is None else {_NEXT: self._cursor_of(place) or ""})

        return self._in_background(call, txn, answer)

    def get_peer_audit(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: PeerAuditParameters = call.query
        _check_event(given.event_type)
        start = self._start_of(txn, given.cursor)
        state, peers = self._state, txn.state.peers

        def accept(row: AuditRow) -> PeerEntry | None:
            if row.event.startswith(_NOT_ABOUT_PEERS) or (row.event == "quota_breach" and row.subject not in peers):
                return None
            wanted = given.peer_id in (None, row.subject) and given.event_type in (None, row.event)
            return peer_entry(row, call.principal) if wanted and may_see(row, call.principal, state) else None

        async def answer() -> Response:
            found, place = await self._look_through(accept, start, given.limit)
            return json_response(200, PeerAuditAnswer(found, self._cursor_of(place), place is not None))

        return self._in_background(call, txn, answer)

    def get_admin_audit(self, call: ApiRequest, txn: Transaction) -> Outcome:
        if not has_every_scope(call.principal):
            raise Refusal(403, "scope_not_allowed", "the whole log needs a key for every scope", field="scope")
        given: AdminAuditParameters = call.query
        _check_event(given.event_type)
        since_us = None if given.since is None else instant_us("since", given.since)
        until_us = None if given.until is None else instant_us("until", given.until)

        def accept(row: AuditRow) -> AdminEntry | None:
            wanted = given.principal in (None, row.subject) and given.event_type in (None, row.event)
            timely = (since_us is None or row.ts_us >= since_us) and (until_us is None or row.ts_us <= until_us)
            return admin_entry(row, self._state) if wanted and timely else None

        async def answer() -> Response:
            found, place = await self._look_through(accept, given.cursor, given.limit, newest_first=False)
            return json_response(200, AdminAuditAnswer(found, len(found), place))

        return self._in_background(call, txn, answer)

    def _filter(self, caller: Principal, given: AuditParameters) -> Callable[[AuditRow], AuditEntry | None]:
        state = self._state

        def accept(row: AuditRow) -> AuditEntry | None:
            if given.entity_uri not in (None, row.subject) or given.fact_id not in (None, row.fact_id):
                return None
            if given.oidc_sub is not None:  # nobody logs in that way here
                return None
            if not may_see(row, caller, state):
                return None
            entry = audit_entry(row, state)
            if given.attested is not None and (entry.attested_key_id is not None) is not given.attested:
                return None
            return entry if given.source in (None, entry.source) else None

        return accept

    # --- looking through the log: a bounded part of it, away from the writer's turn, with a place to go on ---

    def _in_background(self, call: ApiRequest, txn: Transaction, answer: Callable[[], Awaitable[Response]]) -> Outcome:
        """Charge a caller for a look at the log and have a task make the answer. The journal shows committed rows only,
        so an answer made there shows nothing that a crash could take back."""
        self._quotas.charge(txn, call.principal, "fact_read")
        full = busy("too many requests look through the audit log")
        return self._background.answer(answer, ConcurrencyLimit("audit", "", limits.AUDIT_SCANS_MAX, full))

    async def _look_through(
        self, accept: Callable[[AuditRow], Entry | None], start: int, wanted: int, *, newest_first: bool = True
    ) -> tuple[list[Entry], int | None]:
        """What `accept` makes of the rows beyond a sequence number, and the number to go on from, or None at the end.

        That there is more is said only once another row was accepted, and the place is that of the last accepted one:
        hidden rows must show neither as further pages nor in a cursor.
        """
        found: list[Entry] = []
        place = shown = start
        for _ in range(limits.AUDIT_ROWS_SCANNED_MAX // _ROWS_PER_READ):
            rows = await self._journal.audit(place, _ROWS_PER_READ, newest_first=newest_first)
            if not rows:
                return found, None
            for row in rows:
                entry = accept(row)
                if entry is not None:
                    if len(found) == wanted:
                        return found, shown
                    found.append(entry)
                    shown = row.seq
                place = row.seq
            await self._clock.checkpoint()
        return found, place

    def _start_of(self, txn: Transaction, cursor: str | None) -> int:
        """The sequence number to begin beyond: that of a cursor, or else just past the newest committed row. Raises
        Refusal 400."""
        if cursor is None:
            return txn.state.head.seq + 1
        head, _, seq = self._cursors.open(cursor).partition(":")
        if head != "audit" or not seq.isdigit():
            raise Refusal(400, "invalid_cursor", "the cursor is one of another list", field="cursor")
        return int(seq)

    def _cursor_of(self, place: int | None) -> str | None:
        """The cursor of a place in the log."""
        return None if place is None else self._cursors.close(f"audit:{place}")


def _check_event(event: str | None) -> None:
    """Raises Refusal 422 for an event that no row can be about."""
    if event is not None and event not in EVENTS:
        near = did_you_mean(event, sorted(EVENTS))
        message = f"no row is about event_type {shown(event)!r}{near or '; it is one of ' + ', '.join(sorted(EVENTS))}"
        raise invalid("event_type", message, where="query", kind="enum", given=event)


_REFUSALS: Final = (400, 401, 403, 422, 429, 503, 507)

OPERATIONS = (
    Operation(
        "list_audit", "GET", "/v1/audit", "read", AuditApi.get_audit, "What happened here, newest first",
        query=AuditParameters, answer=AuditAnswer, refusals=_REFUSALS, tags=("audit",),
    ),
    Operation(
        "export_audit", "GET", "/v1/audit/export", "read", AuditApi.get_export, "What happened here as CSV",
        query=ExportParameters, refusals=_REFUSALS, tags=("audit",),
    ),
    Operation(
        "audit_of_fact", "GET", "/v1/audit/facts/{fact}", "read", AuditApi.get_fact_audit, "What happened to a fact",
        query=PlaceParameters, answer=list[AuditEntry], refusals=(*_REFUSALS, 404), tags=("audit",),
    ),
    Operation(
        "admin_audit", "GET", "/v1/admin/audit", "audit.read", AuditApi.get_admin_audit, "The whole log, oldest first",
        query=AdminAuditParameters, answer=AdminAuditAnswer, refusals=_REFUSALS, tags=("audit",),
    ),
    Operation(
        "federation_audit", "GET", "/v1/federation/audit", "federate", AuditApi.get_peer_audit,
        "What happened between this node and its peers, newest first", query=PeerAuditParameters,
        answer=PeerAuditAnswer, refusals=_REFUSALS, tags=("federation",),
    ),
)  # fmt: skip
