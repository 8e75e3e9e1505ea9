"""Sweeps in both forms of the route, and their jobs (http-api 3.8, 6.2). What a sweep does is `stigmem.node.decay`.

The form is chosen by the body: without one, parameters of the query name thresholds, for one or all scopes of the
caller; with one, the operator's policies are applied to a scope.

A sweep counts and ends what is there for its caller: for a key that only writes, what it has said itself.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from stigmem.core import limits
from stigmem.core.decay import Thresholds
from stigmem.core.errors import Refusal
from stigmem.core.gardens import Garden
from stigmem.core.scopes import ordered
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Response, json_response
from stigmem.node.api.facts import check_scope_parameter
from stigmem.node.api.garden_access import WRITING, garden_of_facts
from stigmem.node.api.jobs import JobAnswer, Jobs
from stigmem.node.api.reading import Reader
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.visibility import is_there
from stigmem.node.decay import Sweeper
from stigmem.node.mailbox import NotStored
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "DecayApi"]

T = TypeVar("T")


class SweepParameters(msgspec.Struct, kw_only=True):
    """Parameters of `POST /v1/decay/sweep` without a body. A threshold that is not given is the operator's."""

    scope: str | None = None
    ttl_seconds: Annotated[int, msgspec.Meta(ge=0, le=10**10)] | None = None
    min_confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None
    dry_run: bool = False
    garden_id: str | None = None


class PolicySweepRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/decay/sweep`. `mode`: `dry_run` counts and ends nothing; another one must be the policy's.
    `policy_id`: one policy of the operator's alone."""

    scope: str
    mode: Literal["retract", "confidence", "dry_run"] | None = None
    policy_id: str | None = None
    garden_id: str | None = None


class SweepAnswer(msgspec.Struct):
    """Without a body: facts that the thresholds name, and those that were ended."""

    scanned: int
    decayed: int
    dry_run: bool


class PolicySweepAnswer(msgspec.Struct):
    """With a body: what the policies did, or would do. `facts_reduced` are read as less sure; nothing is written for
    them."""

    swept_at: str
    scope: str
    mode: str
    facts_evaluated: int
    facts_retracted: int
    facts_reduced: int
    dry_run_would_retract: int
    dry_run_would_reduce: int
    policies_applied: list[str]


class DecayApi:
    """Ending facts for the readers of this node."""

    def __init__(self, *, reader: Reader, jobs: Jobs, sweeper: Sweeper) -> None:
        self._reader = reader
        self._jobs = jobs
        self._sweeper = sweeper

    def post_sweep(self, call: ApiRequest, txn: Transaction) -> Outcome:
        if call.body is not None:
            return self._by_policies(call, txn, call.body)
        given: SweepParameters = call.query
        self._reader.charge_write(call, txn)
        check_scope_parameter(call.principal, given.scope)
        caller, settings = call.principal, txn.settings
        garden = _garden(call, txn, given.garden_id)
        scopes = ordered(caller.scopes) if given.scope is None else (given.scope,)
        scopes = scopes if garden is None else (garden.row.scope,)
        thresholds = Thresholds(
            settings.decay_ttl_s or None if given.ttl_seconds is None else float(given.ttl_seconds),
            (settings.decay_min_confidence if given.min_confidence is None else given.min_confidence) or None,
        )

        async def made() -> SweepAnswer:
            done = await self._sweeper.sweep(
                caller.entity_uri, scopes, partial(is_there, caller), thresholds, dry_run=given.dry_run, garden=garden
            )
            return SweepAnswer(done.scanned, done.decayed, given.dry_run)

        async def make() -> Response:
            return json_response(200, await _stored(made()))

        rows = 0 if garden is not None else sum(self._reader.ledger.by_scope.count(scope) for scope in scopes)
        # How a job stands is for who may read, and so is how much there is.
        if rows > limits.JOB_ROWS_MIN and not given.dry_run and "read" in caller.permissions:
            return self._jobs.begin("decay", call, given.scope, max(60, rows // 1_000), lambda: _stored(made()))
        return self._reader.answer("sweeps", make)

    def _by_policies(self, call: ApiRequest, txn: Transaction, given: PolicySweepRequest) -> Outcome:
        self._reader.charge_write(call, txn)
        check_scope_parameter(call.principal, given.scope)
        policy = None if given.policy_id is None else self._sweeper.policies.named(given.policy_id)
        if given.policy_id is not None and policy is None:
            raise Refusal(400, "unknown_policy", "the operator has set no policy with this id", field="policy_id")
        if policy is not None and given.mode not in (None, "dry_run", policy.mode):
            message = f"the policy {policy.id} is of mode {policy.mode}; only dry_run goes with every policy"
            raise Refusal(400, "policy_mode_differs", message, field="mode")
        now_us, dry_run, caller = txn.now_us, given.mode == "dry_run", call.principal
        garden = _garden(call, txn, given.garden_id)
        scope = given.scope if garden is None else garden.row.scope

        async def make() -> Response:
            done = await _stored(
                self._sweeper.sweep_by_policies(
                    caller.entity_uri, (scope,), partial(is_there, caller), policy, dry_run=dry_run, garden=garden
                )
            )
            return json_response(
                200,
                PolicySweepAnswer(
                    swept_at=format_us(now_us),
                    scope=scope,
                    mode=given.mode or (policy.mode if policy is not None else "policy"),
                    facts_evaluated=done.evaluated,
                    facts_retracted=done.ended,
                    facts_reduced=done.reduced,
                    dry_run_would_retract=done.would_end,
                    dry_run_would_reduce=done.would_reduce,
                    policies_applied=done.applied,
                ),
            )

        return self._reader.answer("sweeps", make)

    def get_job(self, call: ApiRequest, txn: Transaction) -> Outcome:
        return self._jobs.answer("decay", call)


def _garden(call: ApiRequest, txn: Transaction, uri: str | None) -> Garden | None:
    """The garden in which to sweep, for who may write there. Raises Refusal 403 and 404."""
    return None if uri is None else garden_of_facts(txn, call.principal, uri, WRITING)


async def _stored(work: Awaitable[T]) -> T:
    """The result of a sweep; a journal that refuses is told as to every writer."""
    try:
        return await work
    except NotStored as failure:
        raise Refusal(507, failure.code, failure.message, headers=(("retry-after", "5"),)) from failure


_REFUSALS: Final = (400, 401, 403, 404, 422, 429, 503, 507)

OPERATIONS = (
    Operation(
        "decay_sweep", "POST", "/v1/decay/sweep", "write", DecayApi.post_sweep,
        "End what is old or unsure, for the readers of this node",
        query=SweepParameters, body=PolicySweepRequest, answer=SweepAnswer | PolicySweepAnswer, refusals=_REFUSALS,
        tags=("recall",), body_optional=True,
    ),
    Operation(
        "decay_job", "GET", "/v1/decay/jobs/{job}", "read", DecayApi.get_job, "How a sweep of large scopes stands",
        answer=JobAnswer, refusals=(401, 403, 404, 422, 429, 503), tags=("recall",),
    ),
)  # fmt: skip
