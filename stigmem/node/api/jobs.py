"""Jobs: answers that take long, made by a task and fetched later (http-api 3.7, 3.8).

Kept in memory, so that a restart forgets them, and bounded: the oldest gives way, also one that still runs, whose
outcome is then lost. A job is there for who began it, with a key for no fewer scopes, and for nobody else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec

from stigmem.core.errors import Refusal
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Response, json_response
from stigmem.node.api.request import ApiRequest
from stigmem.node.callers import Principal
from stigmem.node.events import NodeEvents
from stigmem.node.identity import Identity
from stigmem.node.ports import Clock
from stigmem.node.responses import busy

__all__ = ["JobAnswer", "JobStarted", "Jobs"]

JOBS_MAX: Final = 100
RUNNING_MAX: Final = 4
"""Each holds a list as long as its scope."""


class JobStarted(msgspec.Struct):
    """The answer 202."""

    job_id: str
    status: Literal["pending"]
    estimated_s: int


class JobAnswer(msgspec.Struct, omit_defaults=True):
    """How a job stands; once it is done, the members of its result stand beside these."""

    job_id: str
    status: Literal["pending", "running", "done", "failed"]
    scope: str | None
    estimated_s: int
    created_at: str
    started_at: str | None = None
    completed_at: str | None = None
    error: str | None = None


class _Job(msgspec.Struct):
    kind: str
    owner: Principal
    state: JobAnswer
    result: Any = None


class Jobs:
    """The jobs of a node."""

    def __init__(self, *, identity: Identity, clock: Clock, events: NodeEvents) -> None:
        self._identity = identity
        self._clock = clock
        self._events = events
        self._jobs: dict[str, _Job] = {}
        self._running = 0

    def begin(
        self, kind: str, call: ApiRequest, scope: str | None, estimated_s: int, make: Callable[[], Awaitable[Any]]
    ) -> Response:
        """Have a task make a result; the answer 202. `make` may raise Refusal, which fails the job. Raises Refusal 503
        when RUNNING_MAX jobs run."""
        if self._running >= RUNNING_MAX:
            raise busy("too many jobs are running")
        state = JobAnswer(self._identity.new_uuid(), "pending", scope, estimated_s, self._now())
        job = self._jobs[state.job_id] = _Job(kind, call.principal, state)
        if len(self._jobs) > JOBS_MAX:
            del self._jobs[next(iter(self._jobs))]
        self._running += 1

        async def run() -> None:
            state.status, state.started_at = "running", self._now()
            try:
                job.result = await make()
                state.status = "done"
            except Refusal as refusal:
                state.status, state.error = "failed", refusal.message
            except Exception as bug:  # a bug of ours must cost one job, not the node
                self._events.bug(bug)
                state.status, state.error = "failed", "this node met a bug of its own; it was reported"
            finally:
                self._running -= 1
                state.completed_at = self._now()

        self._clock.spawn(f"job-{kind}", run)
        return json_response(202, JobStarted(state.job_id, "pending", estimated_s))

    def answer(self, kind: str, call: ApiRequest) -> Response:
        """How the job that a path names stands. Raises Refusal 404, also for a job of somebody else."""
        job = self._jobs.get(call.params["job"])
        if job is None or job.kind != kind or not _is_there(job, call.principal):
            raise Refusal(404, "job_not_found", "there is no such job of yours")
        members = msgspec.to_builtins(job.state)
        if job.result is not None:
            members = msgspec.to_builtins(job.result) | members
        return json_response(200, members)

    def _now(self) -> str:
        return format_us(self._clock.wall_ns() // 1_000)


def _is_there(job: _Job, caller: Principal) -> bool:
    return job.owner.entity_uri == caller.entity_uri and job.owner.scopes <= caller.scopes
