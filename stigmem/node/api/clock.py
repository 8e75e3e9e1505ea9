"""Operations on the node's clock: how it stands, the operator's word that a jump is right, and the way out when a wrong
clock gave stamps.

What a doubt is stands in `stigmem.node.trusted_clock`, who else ends one in `stigmem.node.membership.clock_check`, what
voiding is in `stigmem.core.voiding`.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec

from stigmem.core import hlc, limits
from stigmem.core.errors import Refusal, invalid
from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp, format_stamp
from stigmem.core.records import ClockDoubt
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.wire import Response, json_response
from stigmem.node.api.assertion import audit_write
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import AfterCommit, Operation, Outcome
from stigmem.node.api.visibility import may_read
from stigmem.node.callers import Principal
from stigmem.node.quotas import Quotas
from stigmem.node.state import NodeState
from stigmem.node.transaction import RetryNextBatch, Transaction
from stigmem.node.trusted_clock import TrustedClock
from stigmem.node.voiding import Chosen, choose, say_again, void

__all__ = ["OPERATIONS", "ClockAnswer", "ClockApi", "clock_answer"]

_SHOWN_MAX: Final = 20
"""Facts that a choice shows one by one."""


class ClockAnswer(msgspec.Struct):
    """`wall` is what the machine's clock shows and `now` what the node goes by; they differ by `lead_s` while the clock
    is in doubt. `doubted_for_s`: since when it is; `peers`, `agreeing`, `contradicting`: the approved peers, and what
    they said when they were asked last. `own_stamps_ahead_s`: by how much this node's newest stamp is ahead of `now`
    where that is more than peers accept, else 0. `start_lead_s`: by how much the clock was ahead of the journal's
    newest stamp when the node started."""

    wall: str
    now: str
    in_doubt: bool
    lead_s: float
    doubted_for_s: float
    peers: int
    agreeing: int
    contradicting: int
    own_stamps_ahead_s: float
    start_lead_s: float | None


class VoidRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/admin/clock/void`. Nothing happens unless `dry_run` is false."""

    since: str | None = None
    """Instant from which on stamps are meant: at most 366 days back; null for now, which means what is ahead."""
    until: str | None = None
    """Instant before which they are, or null for all."""
    note: Annotated[str, msgspec.Meta(max_length=limits.VOID_NOTE_CHARS_MAX)] = ""
    """Why; it travels with the record."""
    reissue: bool = False
    """State as new facts, stamped now, what counted until now."""
    dry_run: bool = True


class VoidedFact(msgspec.Struct):
    """A fact that goes, in short."""

    id: str
    entity: str
    relation: str
    scope: str
    source: str
    hlc: str


class VoidAnswer(msgspec.Struct):
    """What was voided, or would be. `facts`: how many; `scopes`: how many of each scope; `more`: whether others remain
    after these, for the next request with the same `since`. `first` and `last`: the instants of their stamps, null when
    there are none; `examples`: some of them, oldest first. `records`: ids of the facts that void them. `reissued`: how
    many were stated again. `own_stamps_ahead_s`: as of the clock, afterwards."""

    dry_run: bool
    since: str
    until: str | None
    facts: int
    scopes: dict[str, int]
    more: bool
    first: str | None
    last: str | None
    examples: list[VoidedFact]
    records: list[str]
    reissued: int
    own_stamps_ahead_s: float


def clock_answer(clock: TrustedClock, state: NodeState) -> ClockAnswer:
    """How the clock of a node stands."""
    now_ns = clock.wall_ns()
    doubt = clock.doubt
    return ClockAnswer(
        wall=format_us(clock.machine_wall_ns() // 1_000),
        now=format_us(now_ns // 1_000),
        in_doubt=doubt is not None,
        lead_s=round(clock.lead_ns / 1e9, 3),
        doubted_for_s=round(clock.held_ns() / 1e9, 3),
        peers=0 if doubt is None else doubt.peers,
        agreeing=0 if doubt is None else doubt.agreeing,
        contradicting=0 if doubt is None else doubt.contradicting,
        own_stamps_ahead_s=state.stamps_ahead_ms(now_ns // 1_000_000) / 1_000,
        start_lead_s=None if clock.start_lead_ns is None else round(clock.start_lead_ns / 1e9, 3),
    )


class ClockApi:
    """The clock, for the operator."""

    def __init__(self, *, clock: TrustedClock, quotas: Quotas, node_id: str) -> None:
        self._clock = clock
        self._quotas = quotas
        self._node_id = node_id

    def get_clock(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        return json_response(200, clock_answer(self._clock, txn.state))

    def post_confirm(self, call: ApiRequest, txn: Transaction) -> Outcome:
        doubt = self._clock.doubt
        if doubt is None:
            raise Refusal(409, "clock_not_in_doubt", "this node's clock is not in doubt; there is nothing to confirm")
        txn.add(ClockDoubt(0))
        txn.audit("clock_doubt_ended", call.principal.entity_uri, how="operator", lead_ms=doubt.lead_ns // 1_000_000)

        def confirmed() -> Response:
            self._clock.confirm("operator")
            return json_response(200, clock_answer(self._clock, txn.state))

        return AfterCommit(confirmed)

    def post_void(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: VoidRequest = call.body or VoidRequest()
        if not given.dry_run and txn.staged_facts:
            raise RetryNextBatch  # stamps of this batch may lie where the clock goes back over
        self._quotas.charge(txn, call.principal, "fact_read" if given.dry_run else "fact_write")
        since = hlc.stamp(txn.now_ms + 1, 0) if given.since is None else _stamp_of("since", given.since)
        until = None if given.until is None else _stamp_of("until", given.until)
        if hlc.stamp_wall_ms(since) < txn.now_ms - limits.VOID_REACH_MS:
            days = limits.VOID_REACH_MS // 86_400_000
            raise invalid("since", f"facts can be voided for {days} days", given=given.since)
        most = limits.VOIDED_MAX * (1 if given.reissue else limits.VOIDS_PER_REQUEST_MAX)
        reader = call.principal
        chosen = choose(txn.ledger, partial(_is_meant, reader, self._node_id), since=since, until=until, facts_max=most)
        records: list[Fact] = []
        again: list[Fact] = []
        if not given.dry_run and chosen.facts:
            records = void(txn, chosen.facts, given.note)
            again = say_again(txn, chosen.facts) if given.reissue else []
            for fact in again:
                audit_write(txn, reader, fact, None, fact.cid)
            for record in records:
                txn.audit(
                    "facts_voided", reader.entity_uri, fact_id=record.id, scope=record.scope, note=given.note,
                    reissued=given.reissue, count=record.derived_from.count('"fact_id"'),
                )  # fmt: skip
        return AfterCommit(lambda: json_response(200, self._voided(given, since, chosen, records, len(again), txn)))

    def _voided(
        self,
        given: VoidRequest,
        since: Stamp,
        chosen: Chosen,
        records: list[Fact],
        reissued: int,
        txn: Transaction,
    ) -> VoidAnswer:
        facts = chosen.facts
        scopes: dict[str, int] = {}
        for fact in facts:
            scopes[fact.scope] = scopes.get(fact.scope, 0) + 1
        return VoidAnswer(
            dry_run=given.dry_run,
            since=format_us(hlc.stamp_wall_ms(since) * 1_000),
            until=given.until,
            facts=len(facts),
            scopes=scopes,
            more=chosen.more,
            first=format_us(facts[0].wall_ms * 1_000) if facts else None,
            last=format_us(facts[-1].wall_ms * 1_000) if facts else None,
            examples=[
                VoidedFact(fact.id, fact.entity, fact.relation, fact.scope, fact.source, format_stamp(fact.stamp))
                for fact in facts[:_SHOWN_MAX]
            ],
            records=[fact.id for fact in records],
            reissued=reissued,
            own_stamps_ahead_s=txn.state.stamps_ahead_ms(txn.now_ms) / 1_000,
        )


def _is_meant(reader: Principal, node_id: str, fact: Fact) -> bool:
    """Whether a caller may void a fact: one of this node's own, that it could read as well."""
    return fact.origin == node_id and may_read(reader, fact)


def _stamp_of(field: str, text: str) -> Stamp:
    try:
        return hlc.stamp(max(0, parse_us(text) // 1_000), 0)
    except ValueError as error:
        raise invalid(field, f"{field} must be an ISO-8601 instant", given=text) from error


OPERATIONS = (
    Operation(
        "get_clock", "GET", "/v1/admin/clock", "admin", ClockApi.get_clock, "Whether the node believes its clock",
        answer=ClockAnswer, refusals=(401, 403, 429, 503), tags=("node",),
    ),
    Operation(
        "confirm_clock", "POST", "/v1/admin/clock/confirm", "admin", ClockApi.post_confirm,
        "The jump of the clock was right: write again", answer=ClockAnswer, refusals=(401, 403, 409, 429, 503, 507),
        tags=("node",),
    ),
    Operation(
        "void_facts", "POST", "/v1/admin/clock/void", "admin", ClockApi.post_void,
        "Take facts out that a wrong clock stamped", body=VoidRequest, answer=VoidAnswer,
        refusals=(400, 401, 403, 422, 429, 503, 507), tags=("node",), body_optional=True,
    ),
)  # fmt: skip
