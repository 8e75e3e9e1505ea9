"""Operations on conflicts: list, get, resolve (http-api 3.6, spec/contradiction.md).

A resolution is an ordinary fact that names what it covers; writing one is the only way a person settles a
contradiction, and it settles it on every node that receives it. With `garden_id` each is about the facts of a garden,
whose contradictions nobody outside sees.
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.conflicts import Conflict, ConflictBook, find_past, page_past
from stigmem.core.errors import Refusal, Rejection, invalid
from stigmem.core.fact import Fact, rank
from stigmem.core.gardens import Garden
from stigmem.core.ledger import Ledger
from stigmem.core.records import GardenRole
from stigmem.core.resolution import provenance
from stigmem.core.schemas import known_at
from stigmem.core.uris import RESOLUTION_PREFIX, normalise
from stigmem.core.values import Value
from stigmem.core.wire import Response, json_response
from stigmem.node.api.assertion import ValueBody, audit_write, check_schema, read_value, room_of, stage_fact
from stigmem.node.api.garden_access import READING, WRITING, garden_of_facts
from stigmem.node.api.points_of_time import AskedPoint, AsOf, KnownAt, PointRecord, PointsOfTime
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import AfterCommit, Operation, Outcome
from stigmem.node.api.views import ConflictRecord, conflict_record
from stigmem.node.api.visibility import Sight, may_read
from stigmem.node.cursors import CursorCodec
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.responses import refusal_of_value
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "ConflictsApi"]


class RoomParameters(msgspec.Struct, kw_only=True):
    """Among which facts a conflict is looked for: those of a garden, or of none."""

    garden_id: str | None = None


class MomentParameters(RoomParameters, kw_only=True):
    """Parameters of `GET /v1/conflicts/{conflict}`."""

    as_of: AsOf = None
    known_at: KnownAt = None


class ConflictParameters(MomentParameters, kw_only=True):
    """Parameters of `GET /v1/conflicts`."""

    status: Literal["unresolved", "resolved"] | None = None
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)] = limits.PAGE_LIMIT_DEFAULT


class ConflictsAnswer(msgspec.Struct):
    """A page of conflicts, newest first: the one that this node met last, or of another point of time the one whose
    slot was spoken in last."""

    conflicts: list[ConflictRecord]
    cursor: str | None
    has_more: bool
    point_of_time: PointRecord | UnsetType = UNSET
    """Which one was asked for; there only when one was."""


class ResolveRequest(msgspec.Struct, kw_only=True):
    """Body of the resolve call: a member that stands, or a new value; the new value takes precedence."""

    winning_fact_id: str | None = None
    new_value: ValueBody | None = None
    resolution_note: Annotated[str, msgspec.Meta(max_length=limits.RESOLUTION_NOTE_CHARS_MAX)] = ""


class ResolveAnswer(msgspec.Struct):
    """What the client library reads."""

    resolution_fact_id: str
    conflict_status: str = "resolved"


class ConflictsApi:
    """Conflicts of this node: looking at them, and settling them."""

    def __init__(self, *, identity: Identity, quotas: Quotas, cursors: CursorCodec, points: PointsOfTime) -> None:
        self._identity = identity
        self._quotas = quotas
        self._cursors = cursors
        self._points = points

    def get_conflicts(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        given: ConflictParameters = call.query
        room = self._room(call, txn, READING)
        sight = Sight.of(call, txn)
        asked = self._points.asked(given, room.ledger, sight, garden=room.garden)
        if asked is not None:
            return self._past_page(asked, given, room)
        rows, place = room.conflicts.page(
            status=given.status,
            scopes=call.principal.scopes,
            cursor=None if given.cursor is None else self._cursors.open(given.cursor),
            limit=given.limit,
        )
        records = [conflict_record(conflict, room.ledger, sight, room.uri) for conflict in rows]
        return json_response(
            200, ConflictsAnswer(records, None if place is None else self._cursors.close(place), place is not None)
        )

    def get_conflict(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        room, sight = self._room(call, txn, READING), Sight.of(call, txn)
        asked = self._points.named(call.query, room.ledger, sight, garden=room.garden)
        if asked is None:
            return json_response(200, conflict_record(_visible(call, room), room.ledger, sight, room.uri))
        past = known_at(room.ledger, asked.point, sight.state.schemas)
        looking = find_past(past, call.params["conflict"], scopes=call.principal.scopes)

        async def answer() -> Response:
            conflict = await self._points.made(looking)
            return json_response(200, conflict_record(_readable(call, conflict), past, sight, room.uri))

        return self._points.answer(answer)

    def _past_page(self, asked: AskedPoint, given: ConflictParameters, room: _Room) -> Outcome:
        """Have a task make a page of another point of time."""
        sight = asked.sight
        past = known_at(room.ledger, asked.point, sight.state.schemas)
        work = page_past(past, status=given.status, scopes=sight.reader.scopes, cursor=asked.cursor, limit=given.limit)

        async def answer() -> Response:
            rows, place = await self._points.made(work)
            cursor = None if place is None else self._cursors.close(asked.cursor_to(place))
            records = [conflict_record(conflict, past, sight, room.uri) for conflict in rows]
            return json_response(200, ConflictsAnswer(records, cursor, place is not None, asked.record))

        return self._points.answer(answer)

    def post_resolve(self, call: ApiRequest, txn: Transaction) -> Outcome:
        room = self._room(call, txn, WRITING)
        conflict = _visible(call, room)
        request: ResolveRequest = call.body
        if conflict.status == "resolved":
            raise Refusal(409, "conflict_already_resolved", "conflict already resolved")
        txn.reserve("conflict", (room.uri, conflict.id))
        self._quotas.charge(txn, call.principal, "fact_write", 1 if request.new_value is None else 2)
        members = sorted(conflict.members, key=rank, reverse=True)
        if request.new_value is not None:
            if txn.settings.attestation_required or txn.settings.attestation_mode(conflict.slot[2]) == "enforce":
                raise invalid("new_value", "facts are signed here: assert the value, and name that fact")
            if room.ledger.cardinality(conflict.slot[1]) == "many":
                raise invalid("new_value", f"{conflict.slot[1]} holds many values: name the fact that is right")
            winner = self._new_fact(call, txn, room, conflict, request.new_value)
            members.insert(0, winner)
        else:
            winner = _member(members, request.winning_fact_id)
        draft = self._resolution(call, txn, room, conflict, winner, members, request.resolution_note)
        fact = stage_fact(room_of(txn, room.garden), draft, draft.cid)
        audit_write(txn, call.principal, fact, room.garden, fact.cid, resolves=conflict.id)
        return AfterCommit(lambda: json_response(200, ResolveAnswer(fact.id)))

    def _room(self, call: ApiRequest, txn: Transaction, roles: tuple[GardenRole, ...]) -> _Room:
        """Where the conflict is that a call is about. Raises Refusal 403 or 404."""
        name = call.query.garden_id
        if name is None:
            return _Room(None, None, txn.ledger, txn.state.conflicts)
        garden = garden_of_facts(txn, call.principal, name, roles)
        return _Room(garden, garden.uri(self._identity.authority), garden.ledger, garden.conflicts)

    def _new_fact(self, call: ApiRequest, txn: Transaction, room: _Room, conflict: Conflict, body: ValueBody) -> Fact:
        try:
            value = read_value(body)
        except Rejection as rejection:
            raise refusal_of_value(rejection, call.body, member="new_value") from rejection
        if value.interpret_as != "content":
            raise invalid("new_value.interpret_as", "a contradiction is settled by content, not by an instruction")
        entity, relation, scope = conflict.slot
        draft = self._draft(call, txn, room, entity, relation, scope, value, "")
        check_schema(txn, draft)
        fact = stage_fact(room_of(txn, room.garden), draft, draft.cid)
        audit_write(txn, call.principal, fact, room.garden, fact.cid)
        return fact

    def _resolution(
        self,
        call: ApiRequest,
        txn: Transaction,
        room: _Room,
        conflict: Conflict,
        winner: Fact,
        members: list[Fact],
        note: str,
    ) -> Fact:
        """The resolution, still without its stamp."""
        slot = room.ledger.slot(conflict.slot)
        # The best members first: a hostile writer can fill a set, and what is left over stays contested.
        covered = [winner.id] if slot is None else slot.covered(winner, members)[: limits.RESOLUTION_COVERS_MAX]
        older = () if slot is None else tuple(slot.resolutions_to_supersede(covered))
        text = provenance(
            conflict.id, conflict.slot, tuple(covered), winner.id, older[: limits.RESOLUTION_COVERS_MAX], note
        )
        _, relation, scope = conflict.slot
        return self._draft(call, txn, room, RESOLUTION_PREFIX + conflict.id, relation, scope, winner.value, text)

    def _draft(
        self,
        call: ApiRequest,
        txn: Transaction,
        room: _Room,
        entity: str,
        relation: str,
        scope: str,
        value: Value,
        derived_from: str,
    ) -> Fact:
        return Fact(
            stamp=txn.stamp,
            origin=self._identity.node_id,
            id="" if room.garden is None else self._identity.new_uuid(),
            entity=sys.intern(entity),
            relation=relation,
            scope=scope,
            source=sys.intern(normalise(call.principal.entity_uri)),
            kind=value.kind,
            text=value.text,
            interpret_as="content",
            confidence=1.0,
            timestamp_us=txn.now_us,
            valid_until=None,
            derived_from=derived_from,
            certified=room.garden is None,
        )


class _Room(NamedTuple):
    """Facts that can contradict each other."""

    garden: Garden | None
    uri: str | None
    ledger: Ledger
    conflicts: ConflictBook


def _visible(call: ApiRequest, room: _Room) -> Conflict:
    """The conflict that the path names. Raises Refusal 404, also for one whose facts the caller may not read: its id
    follows from entity, relation and scope, which anybody can guess."""
    return _readable(call, room.conflicts.get(call.params["conflict"]))


def _readable(call: ApiRequest, conflict: Conflict | None) -> Conflict:
    if conflict is None or not may_read(call.principal, conflict.fact_a):
        raise Refusal(404, "conflict_not_found", "conflict not found")
    return conflict


def _member(members: list[Fact], fact_id: str | None) -> Fact:
    if fact_id is None:
        raise Refusal(422, "no_resolution", "give winning_fact_id or new_value")
    winner = next((fact for fact in members if fact.id == fact_id), None)
    if winner is None:
        raise Refusal(422, "winner_not_in_conflict", "the winner must be one of the conflict's facts")
    return winner


OPERATIONS = (
    Operation(
        "list_conflicts", "GET", "/v1/conflicts", "read", ConflictsApi.get_conflicts, "Contradictions, newest first",
        query=ConflictParameters, answer=ConflictsAnswer, refusals=(400, 401, 403, 404, 422, 429, 503),
        tags=("conflicts",),
    ),
    Operation(
        "resolve_conflict", "POST", "/v1/conflicts/{conflict}/resolve", "write", ConflictsApi.post_resolve,
        "Settle a contradiction by naming what stands", query=RoomParameters, body=ResolveRequest, answer=ResolveAnswer,
        refusals=(401, 403, 404, 409, 413, 422, 429, 503, 507), tags=("conflicts",),
    ),
    Operation(
        "get_conflict", "GET", "/v1/conflicts/{conflict}", "read", ConflictsApi.get_conflict,
        "One contradiction", query=MomentParameters,
        answer=ConflictRecord, refusals=(400, 401, 403, 404, 422, 429, 503), tags=("conflicts",),
    ),
)  # fmt: skip
