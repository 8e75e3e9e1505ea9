"""Following facts as they are stored: `GET /v1/events`, server-sent events over one long answer.

What a stream is made of is `stigmem.node.following.streams`; here is who may read it, from where, and how a fact looks.
Scopes and filters are those of `GET /v1/facts`, and an event's data is a fact as that operation shows it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from stigmem.core.event_stream import EVENT_STREAM_TYPE
from stigmem.core.fact import Fact
from stigmem.core.gardens import Garden
from stigmem.core.query import FactQuery
from stigmem.core.uris import normalise_filter
from stigmem.core.wire import StreamedResponse
from stigmem.node.api.facts import check_scope_parameter
from stigmem.node.api.feedback_guard import FeedbackGuard, session_of
from stigmem.node.api.garden_access import READING, garden_of_facts
from stigmem.node.api.points_of_time import instant_us
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.views import fact_record
from stigmem.node.api.visibility import Sight, readable_scopes
from stigmem.node.following.streams import FactStreams, Following
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "EventsApi"]

_FACTS_PER_PIECE: Final = 100
_HEADERS: Final = {
    "content-type": EVENT_STREAM_TYPE,
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # proxies that hold answers back until they are whole would hold this one for ever
}


class EventParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/events`. Without a place (`cursor`, the header `Last-Event-ID`, `replay` or `after`) a
    stream begins with what is stored from now on."""

    entity: str | None = None
    relation: str | None = None
    source: str | None = None
    scope: str | None = None
    min_confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    attested: bool | None = None
    garden_id: str | None = None
    after: Annotated[
        str | None, msgspec.Meta(description="Begin with what is stored already, and tell what was written after this.")
    ] = None
    cursor: Annotated[str | None, msgspec.Meta(description="The id of an event; the header Last-Event-ID wins.")] = None
    replay: Annotated[bool, msgspec.Meta(description="Begin with the first fact that is stored.")] = False
    wait: Annotated[bool, msgspec.Meta(description="Go on when all that is stored was told; false ends there.")] = True


class EventsApi:
    """Streams of facts."""

    def __init__(self, *, identity: Identity, quotas: Quotas, streams: FactStreams, guard: FeedbackGuard) -> None:
        self._identity = identity
        self._quotas = quotas
        self._streams = streams
        self._guard = guard

    def get_events(self, call: ApiRequest, txn: Transaction) -> Outcome:
        reader = call.principal
        self._quotas.charge(txn, reader, "fact_read")
        given: EventParameters = call.query
        garden = None
        if given.garden_id is not None:
            garden = garden_of_facts(txn, reader, given.garden_id, READING)
        check_scope_parameter(reader, given.scope)
        attestations = txn.state.attestations
        query = FactQuery(
            entity=None if given.entity is None else normalise_filter(given.entity),
            relation=given.relation,
            source=None if given.source is None else normalise_filter(given.source),
            scope=given.scope,
            min_confidence=given.min_confidence,
            include_contradicted=True,
            include_expired=True,
            after_us=None if given.after is None else instant_us("after", given.after),
            limit=_FACTS_PER_PIECE,
            scopes=readable_scopes(reader),
            foreign_instructions=True,  # under a name of their own
            fits=None if given.attested is None else lambda _, fact: attestations.is_attested(fact) is given.attested,
        )
        seq = self._place(call, txn, garden)
        session, ledger = session_of(call.request), txn.ledger if garden is None else garden.ledger
        garden_uri = None if garden is None else garden.uri(self._identity.authority)
        self._streams.need_room(reader)

        sight = Sight.of(call, txn)

        def show(fact: Fact) -> bytes:
            self._guard.note(session, reader, (fact.scope,))
            return msgspec.json.encode(fact_record(fact, ledger, sight, garden_uri=garden_uri))

        following = Following(
            query=query,
            seq=seq,
            reader=reader,
            has_key=reader.key_id in txn.state.keys,
            waits=given.wait,
            garden=garden,
        )
        return StreamedResponse(200, _HEADERS, chunks=self._streams.pieces(following, show))

    def _place(self, call: ApiRequest, txn: Transaction, garden: Garden | None) -> int:
        given: EventParameters = call.query
        cursor = call.request.headers.get("last-event-id") or given.cursor
        if cursor:
            return self._streams.seq(cursor, garden)
        ledger = txn.ledger if garden is None else garden.ledger
        return 0 if given.replay or given.after is not None else ledger.last_seq


OPERATIONS = (
    Operation(
        "follow_events", "GET", "/v1/events", "read", EventsApi.get_events,
        "Facts as they are stored, as server-sent events", query=EventParameters, answer=str,
        media=EVENT_STREAM_TYPE, refusals=(400, 401, 403, 404, 422, 429, 503), tags=("events",),
    ),
)  # fmt: skip
