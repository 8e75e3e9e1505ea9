"""Memory cards and neighbours in the graph: what surrounds one entity (http-api 3.11, 3.12).

Both are made when they are asked for, so a card is never stale and an edge goes with the fact that states it. Pages of
neighbours come from one walk each: its cursor is a place in the order in which entities are found, and holds for five
minutes, after which the order may be another.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.cards import card_of
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.references import Reached
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise, normalise_filter
from stigmem.core.wire import Response, json_response
from stigmem.node.api.names import canonical_name
from stigmem.node.api.points_of_time import AsOf, PointRecord
from stigmem.node.api.reading import Reader, Room, When
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.cursors import CursorCodec
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "CardsApi"]

_DEPTH_MAX: Final = 3
_CURSOR_LIFE_MS: Final = 300_000
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class CardParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/cards/{entity}`. `refresh` changes nothing: a card is always made anew."""

    scope: str = "local"
    refresh: bool = False
    as_of: AsOf = None
    garden_id: str | None = None


class CardAnswer(msgspec.Struct):
    """What is known of an entity, in lines for a prompt. `fact_ids` and `fact_hashes` name the facts it stands on, in
    the order of the lines."""

    entity_uri: str
    scope: str
    summary: str
    fact_hashes: list[str]
    avg_confidence: float
    refreshed_at: str | None
    is_stale: bool
    has_contradictions: bool
    fact_ids: list[str]
    point_of_time: PointRecord | UnsetType = UNSET


class NeighborParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/graph/neighbors`. `relation_filter`: a relation, or its beginning and a `*`."""

    entity: Annotated[str, msgspec.Meta(min_length=1)]
    scope: str
    depth: Annotated[int, msgspec.Meta(ge=1)] = 1
    relation_filter: str | None = None
    min_confidence: _Share = 0.1
    min_trust: _Share = 0.0
    page_size: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20
    as_of: AsOf = None
    cursor: str | None = None
    garden_id: str | None = None


class Neighbor(msgspec.Struct):
    """An entity near the one asked for: the relation and fact of the edge that led to it, and the entities on the way,
    from the one asked for on."""

    entity: str
    relation: str
    hops: int
    confidence: float
    source_trust: float | None
    path: list[str]
    fact_id: str


class NeighborsAnswer(msgspec.Struct):
    """A page of neighbours, nearest first; `total_hint` counts all of them, up to a bound."""

    entity: str
    depth: int
    neighbors: list[Neighbor]
    next_cursor: str | None
    total_hint: int
    point_of_time: PointRecord | UnsetType = UNSET


class CardsApi:
    """What surrounds an entity."""

    def __init__(self, *, reader: Reader, cursors: CursorCodec) -> None:
        self._reader = reader
        self._cursors = cursors

    def get_card(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: CardParameters = call.query
        room = self._reader.begin(call, txn, given.scope, given.garden_id)
        entity = canonical_name(txn.state, call.principal, normalise(call.params["entity"]))
        now_us = txn.now_us
        reader = self._reader
        when = reader.when(given.as_of, txn, room.ledger)

        async def make() -> Response:
            await reader.prepare(when, list(when.known.by_entity.get(entity)))
            card = await room.indexes.in_slices(card_of(when.known, entity, room.scope, when.confidence))
            if card is None:
                raise Refusal(404, "card_not_found", "nothing is known of this entity in this scope")
            return json_response(
                200,
                CardAnswer(
                    entity_uri=entity,
                    scope=room.scope,
                    summary=card.summary,
                    fact_hashes=card.hashes(),
                    avg_confidence=card.confidence,
                    refreshed_at=format_us(now_us),
                    is_stale=False,
                    has_contradictions=card.is_contradicted,
                    fact_ids=[fact.id for fact in card.facts],
                    point_of_time=when.record,
                ),
            )

        return reader.answer("cards", make)

    def get_neighbors(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: NeighborParameters = call.query
        room = self._reader.begin(call, txn, given.scope, given.garden_id)
        if given.depth > _DEPTH_MAX:
            message = f"depth is at most {_DEPTH_MAX}: further away everything is near everything"
            raise Refusal(400, "graph_depth_exceeded", message, field="depth")
        entity = canonical_name(txn.state, call.principal, normalise_filter(given.entity))
        now_ms = txn.now_ms
        name = entity if room.garden is None else f"{entity} {room.garden.row.garden_id}"
        if given.as_of is not None:  # another point of time is another list
            name += f" {given.as_of}"
        begin = 0 if given.cursor is None else self._place(given.cursor, name, now_ms)
        when = self._reader.when(given.as_of, txn, room.ledger)

        async def make() -> Response:
            await room.indexes.catch_up()
            await self._reader.prepare(when, scope=room.scope)
            found = await room.indexes.in_slices(self._walk(entity, given, room, when))
            end = begin + given.page_size
            more = end < len(found)
            cursor = self._cursors.close(f"graph\n{end}\n{now_ms}\n{name}") if more else None
            page = [_neighbor(each, when) for each in found[begin:end]]
            return json_response(200, NeighborsAnswer(entity, given.depth, page, cursor, len(found), when.record))

        return self._reader.answer("neighbours", make)

    def _walk(
        self, entity: str, given: NeighborParameters, room: Room, when: When
    ) -> Generator[None, None, list[Reached]]:
        known = when.known
        wanted = given.relation_filter
        prefix = wanted[:-1] if wanted is not None and wanted.endswith("*") else None

        def counts(fact: Fact) -> bool:
            named = wanted is None or (fact.relation == wanted if prefix is None else fact.relation.startswith(prefix))
            sure = when.confidence(fact) >= given.min_confidence
            return named and sure and fact.scope == room.scope and known.live(fact)

        found: list[Reached] = []
        for reached in room.indexes.references.walk([entity], given.depth, counts):
            if reached is None:
                yield
                continue
            found.append(reached)
            if len(found) == limits.NEIGHBOURS_MAX:
                break
        return found

    def _place(self, cursor: str, name: str, now_ms: int) -> int:
        """Where a page begins; raises Refusal 400 for a cursor of another list, and for one that is too old."""
        kind, *rest = self._cursors.open(cursor).split("\n")
        if kind != "graph" or len(rest) != 3 or rest[2] != name:
            raise Refusal(400, "invalid_cursor", "the cursor is one of another list", field="cursor")
        if now_ms - int(rest[1]) > _CURSOR_LIFE_MS:
            raise Refusal(400, "cursor_expired", "a cursor of neighbours holds for five minutes", field="cursor")
        return int(rest[0])


def _neighbor(reached: Reached, when: When) -> Neighbor:
    fact = reached.fact
    return Neighbor(
        entity=reached.entity,
        relation=fact.relation,
        hops=reached.hops,
        confidence=when.confidence(fact),
        source_trust=None,
        path=list(reached.path),
        fact_id=fact.id,
    )


_REFUSALS: Final = (400, 401, 403, 422, 429, 503)

OPERATIONS = (
    Operation(
        "get_card", "GET", "/v1/cards/{entity}", "read", CardsApi.get_card, "What is known of an entity, for a prompt",
        query=CardParameters, answer=CardAnswer, refusals=(*_REFUSALS, 404), tags=("recall",),
    ),
    Operation(
        "graph_neighbors", "GET", "/v1/graph/neighbors", "read", CardsApi.get_neighbors,
        "Entities that one refers to or is referred to by, nearest first",
        query=NeighborParameters, answer=NeighborsAnswer, refusals=(*_REFUSALS, 404), tags=("recall",),
    ),
)  # fmt: skip
