"""Synthesis of a scope in both forms: the list with its statistics, and one value for each slot (http-api 3.9, 6.3).

Everything is made from facts that stand; numbers stay numbers in both forms.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core.fact import Fact
from stigmem.core.hlc import format_stamp
from stigmem.core.synthesis import SlotSummary, standing, synthesis_of
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise_filter
from stigmem.core.wire import Response, json_response
from stigmem.node.api.names import canonical_name
from stigmem.node.api.points_of_time import AsOf, PointRecord
from stigmem.node.api.reading import Reader, When
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.views import shown_value
from stigmem.node.api.visibility import Sight
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "SynthesisApi"]

_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class SynthesizeParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/scopes/{scope}/synthesize`."""

    include_expired: bool = False
    as_of: AsOf = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 200
    garden_id: str | None = None


class SynthesizedFact(msgspec.Struct):
    """A fact of a scope, with what was worked out for the instant."""

    id: str
    entity: str
    relation: str
    value: dict[str, Any]
    confidence: float
    timestamp: str
    valid_until: str | None
    is_expired: bool
    age_seconds: float
    contradicted: bool
    source: str


class SynthesizeAnswer(msgspec.Struct):
    """The surest facts of a scope; the statistics are those of the facts shown."""

    scope: str
    fact_count: int
    facts: list[SynthesizedFact]
    contradiction_count: int
    mean_confidence: float
    freshest_timestamp: str | None
    oldest_timestamp: str | None
    expired_fact_count: int
    synthesized_at: str
    point_of_time: PointRecord | UnsetType = UNSET


class SynthesisRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/synthesis`."""

    scope: str
    entity: str | None = None
    min_confidence: _Share = 0.0
    include_expired: bool = False
    garden_id: str | None = None
    as_of: AsOf = None


class SynthesisRow(msgspec.Struct, omit_defaults=True):
    """The value of a slot that stands first, and the best one against it while that is in conflict. `fact_id` and
    `alt_fact_id` name the facts that say so."""

    entity: str
    relation: str
    scope: str
    value: dict[str, Any]
    confidence: float
    hlc: str
    contradicted: bool
    fact_id: str
    alt_value: dict[str, Any] | None = None
    alt_confidence: float | None = None
    alt_fact_id: str | None = None


class SynthesisAnswer(msgspec.Struct):
    """Rows by entity and relation. `fact_count`: facts looked at that stand; `filtered_count`: rows left out
    because they are not sure enough; `truncated`: there are more than one answer holds."""

    summary: list[SynthesisRow]
    synthesized_at: str
    scope: str
    fact_count: int
    contradiction_count: int
    filtered_count: int
    truncated: bool
    point_of_time: PointRecord | UnsetType = UNSET


class SynthesisApi:
    """What a scope holds to be so."""

    def __init__(self, *, reader: Reader) -> None:
        self._reader = reader

    def get_synthesis(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: SynthesizeParameters = call.query
        now_us = txn.now_us
        room = self._reader.begin(call, txn, call.params["scope"], given.garden_id)
        reader, sight = self._reader, Sight.of(call, txn)
        when = reader.when(given.as_of, txn, room.ledger)

        async def make() -> Response:
            await reader.prepare(when, scope=room.scope)
            facts = await room.indexes.in_slices(
                standing(when.known, room.scope, None, include_expired=given.include_expired)
            )
            facts.sort(key=lambda fact: (when.confidence(fact), fact.timestamp_us, fact), reverse=True)
            rows = [_row(fact, when, sight) for fact in facts[: given.limit]]
            times = sorted(fact.timestamp_us for fact in facts[: given.limit])
            return json_response(
                200,
                SynthesizeAnswer(
                    scope=room.scope,
                    fact_count=len(rows),
                    facts=rows,
                    contradiction_count=sum(row.contradicted for row in rows),
                    mean_confidence=sum(row.confidence for row in rows) / len(rows) if rows else 0.0,
                    freshest_timestamp=format_us(times[-1]) if times else None,
                    oldest_timestamp=format_us(times[0]) if times else None,
                    expired_fact_count=sum(row.is_expired for row in rows),
                    synthesized_at=format_us(now_us),
                    point_of_time=when.record,
                ),
            )

        return reader.answer("synthesis", make)

    def post_synthesis(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: SynthesisRequest = call.body
        now_us = txn.now_us
        room = self._reader.begin(call, txn, given.scope, given.garden_id)
        entity = None
        if given.entity is not None:
            entity = canonical_name(txn.state, call.principal, normalise_filter(given.entity))
        reader, indexes, sight = self._reader, room.indexes, Sight.of(call, txn)

        when = reader.when(given.as_of, txn, room.ledger)

        async def make() -> Response:
            await reader.prepare(when, scope=room.scope)
            facts = await indexes.in_slices(
                standing(when.known, room.scope, entity, include_expired=given.include_expired)
            )
            found = await indexes.in_slices(
                synthesis_of(when.known, facts, when.confidence, min_confidence=given.min_confidence)
            )
            return json_response(
                200,
                SynthesisAnswer(
                    summary=[_summary(each, when, sight) for each in found.summaries],
                    synthesized_at=format_us(now_us),
                    scope=room.scope,
                    fact_count=found.seen,
                    contradiction_count=sum(each.against is not None for each in found.summaries),
                    filtered_count=found.filtered,
                    truncated=found.truncated,
                    point_of_time=when.record,
                ),
            )

        return reader.answer("synthesis", make)


def _row(fact: Fact, when: When, sight: Sight) -> SynthesizedFact:
    return SynthesizedFact(
        id=fact.id,
        entity=fact.entity,
        relation=fact.relation,
        value=_value(fact, sight),
        confidence=when.confidence(fact),
        timestamp=fact.timestamp,
        valid_until=fact.valid_until,
        is_expired=when.known.expired(fact),
        age_seconds=max(0, when.now_us - fact.timestamp_us) / 1e6,
        contradicted=when.known.contradicted(fact),
        source=fact.source,
    )


def _summary(each: SlotSummary, when: When, sight: Sight) -> SynthesisRow:
    fact, against = each.fact, each.against
    row = SynthesisRow(
        entity=fact.entity,
        relation=fact.relation,
        scope=fact.scope,
        value=_value(fact, sight),
        confidence=each.confidence,
        hlc=format_stamp(fact.stamp),
        contradicted=against is not None,
        fact_id=fact.id,
    )
    if against is not None and against is not fact:
        row.alt_value = _value(against, sight)
        row.alt_confidence = when.confidence(against)
        row.alt_fact_id = against.id
    return row


def _value(fact: Fact, sight: Sight) -> dict[str, Any]:
    value = shown_value(fact, sight)
    return {"type": value["type"], "v": value["v"]}


_REFUSALS: Final = (400, 401, 403, 404, 422, 429, 503)

OPERATIONS = (
    Operation(
        "synthesize_scope", "GET", "/v1/scopes/{scope}/synthesize", "read", SynthesisApi.get_synthesis,
        "The surest facts of a scope, with statistics",
        query=SynthesizeParameters, answer=SynthesizeAnswer, refusals=_REFUSALS, tags=("recall",),
    ),
    Operation(
        "synthesis", "POST", "/v1/synthesis", "read", SynthesisApi.post_synthesis,
        "One value for each entity and relation of a scope",
        body=SynthesisRequest, answer=SynthesisAnswer, refusals=_REFUSALS, tags=("recall",),
    ),
)  # fmt: skip
