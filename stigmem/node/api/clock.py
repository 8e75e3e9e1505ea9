"""Operations on the node's clock: how it stands, and the operator's word that a jump is right.

What a doubt is stands in `stigmem.node.trusted_clock`, who else ends one in `stigmem.node.membership.clock_check`.
"""

from __future__ import annotations

import msgspec

from stigmem.core.errors import Refusal
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Response, json_response
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import AfterCommit, Operation, Outcome
from stigmem.node.quotas import Quotas
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction
from stigmem.node.trusted_clock import TrustedClock

__all__ = ["OPERATIONS", "ClockAnswer", "ClockApi", "clock_answer"]


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

    def __init__(self, *, clock: TrustedClock, quotas: Quotas) -> None:
        self._clock = clock
        self._quotas = quotas

    def get_clock(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._quotas.charge(txn, call.principal, "fact_read")
        return json_response(200, clock_answer(self._clock, txn.state))

    def post_confirm(self, call: ApiRequest, txn: Transaction) -> Outcome:
        doubt = self._clock.doubt
        if doubt is None:
            raise Refusal(409, "clock_not_in_doubt", "this node's clock is not in doubt; there is nothing to confirm")
        txn.audit("clock_doubt_ended", call.principal.entity_uri, how="operator", lead_ms=doubt.lead_ns // 1_000_000)

        def confirmed() -> Response:
            self._clock.confirm("operator")
            return json_response(200, clock_answer(self._clock, txn.state))

        return AfterCommit(confirmed)


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
)  # fmt: skip
