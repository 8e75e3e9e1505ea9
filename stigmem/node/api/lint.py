"""Lint of a scope: six checks, at once or as a job (http-api 3.7, 6.1). The checks are `stigmem.core.lint`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.lint import CHECKS, Check, Finding, LintScope, lint
from stigmem.core.scopes import ordered
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise_filter
from stigmem.core.wire import Response, json_response
from stigmem.node.api.jobs import JobAnswer, Jobs
from stigmem.node.api.names import canonical_name
from stigmem.node.api.points_of_time import AsOf, PointRecord
from stigmem.node.api.reading import Reader, When
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "LintApi"]

_LOOKAHEAD_S_MAX: Final = 100 * 366 * 86_400
_SLICE: Final = 500


class LintRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/lint`. `checks`: all of them when absent or empty. `stale_lookahead_s`: how far ahead to look
    for facts whose time will pass."""

    scope: str
    checks: list[Check] | None = None
    entity: str | None = None
    relation: str | None = None
    as_of: AsOf = None
    stale_lookahead_s: Annotated[int, msgspec.Meta(ge=0, le=_LOOKAHEAD_S_MAX)] = 0
    garden_id: str | None = None


class LintAnswer(msgspec.Struct):
    """Findings by check, entity and relation. `fact_count`: facts looked at, live or not. `truncated`: there are more
    findings than one answer holds."""

    findings: list[Finding]
    checked_at: str
    scope: str
    checks_run: list[Check]
    fact_count: int
    truncated: bool
    point_of_time: PointRecord | UnsetType = UNSET


class LintApi:
    """What in a scope wants attention."""

    def __init__(self, *, reader: Reader, jobs: Jobs) -> None:
        self._reader = reader
        self._jobs = jobs

    def post_lint(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: LintRequest = call.body
        room = self._reader.begin(call, txn, given.scope, given.garden_id)
        entity = None
        if given.entity is not None:
            entity = canonical_name(txn.state, call.principal, normalise_filter(given.entity))
        when, checked_us = self._reader.when(given.as_of, txn, room.ledger), txn.now_us
        elsewhere = self._reader.when(given.as_of, txn)
        of = LintScope(
            scope=room.scope,
            entity=entity,
            relation=given.relation,
            readable=ordered(call.principal.scopes),
            now_us=when.now_us,
            until_us=when.now_us + 1_000_000 * given.stale_lookahead_s,
        )
        chosen = [check for check in CHECKS if not given.checks or check in given.checks]

        async def made() -> LintAnswer:
            await self._reader.prepare(when, scope=of.scope)
            return await room.indexes.in_slices(_linted(of, chosen, when, elsewhere, checked_us))

        async def make() -> Response:
            return json_response(200, await made())

        ledger = room.ledger
        # Of one entity nothing is counted: its facts in scopes that are closed to the caller would count with them. A
        # garden has no jobs, which are there for whoever may read a scope.
        rows = ledger.by_scope.count(of.scope) if of.entity is None and room.garden is None else 0
        if rows > limits.JOB_ROWS_MIN:
            return self._jobs.begin("lint", call, of.scope, max(10, rows // 5_000), made)
        return self._reader.answer("lint", make)

    def get_job(self, call: ApiRequest, txn: Transaction) -> Outcome:
        return self._jobs.answer("lint", call)


def _linted(
    of: LintScope, chosen: list[Check], when: When, elsewhere: When, checked_us: int
) -> Generator[None, None, LintAnswer]:
    known = when.known
    held = list(known.by_scope.get(of.scope) if of.entity is None else known.by_entity.get(of.entity))
    facts: list[Fact] = []
    for start in range(0, len(held), _SLICE):
        facts += (
            fact
            for fact in held[start : start + _SLICE]
            if fact.scope == of.scope and known.holds(fact) and fact.quarantine is None and not fact.is_system
        )
        yield
    findings: list[Finding] = []
    truncated = False
    for finding in lint(known, facts, chosen, of, named_elsewhere=elsewhere.known):
        if finding is None:
            yield
        elif len(findings) == limits.LINT_FINDINGS_MAX:
            truncated = True
            break
        else:
            findings.append(finding)
    return LintAnswer(
        findings=findings,
        checked_at=format_us(checked_us),
        scope=of.scope,
        checks_run=chosen,
        fact_count=sum(of.relation in (None, fact.relation) for fact in facts),
        truncated=truncated,
        point_of_time=when.record,
    )


_REFUSALS: Final = (400, 401, 403, 404, 422, 429, 503)

OPERATIONS = (
    Operation(
        "lint", "POST", "/v1/lint", "read", LintApi.post_lint, "What in a scope wants somebody's attention",
        body=LintRequest, answer=LintAnswer, refusals=_REFUSALS, tags=("recall",),
    ),
    Operation(
        "lint_job", "GET", "/v1/lint/jobs/{job}", "read", LintApi.get_job, "How a lint of a large scope stands",
        answer=JobAnswer, refusals=(401, 403, 404, 422, 429, 503), tags=("recall",),
    ),
)  # fmt: skip
