"""Nodes answer: no 5xx that is not back-pressure, whatever is sent to them (federation 6, G1)."""

from __future__ import annotations

from typing import Final

from sim.check.base import Checker, CheckResult, Served
from sim.ports import Observed
from stigmem.core.wire import Request

__all__ = ["Answers"]

_REMEMBERED: Final = 4_096
"""Refused requests whose second answer would be noticed: many more than can be under way at once."""


class Answers(Checker):
    """501 to 511 other than 503 and 507, and 500 at all, are bugs of the node. So is a second answer to what was
    refused with one of those."""

    name = "no-server-errors"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.statuses: dict[int, int] = {}
        self._refused: dict[int, tuple[Request, int]] = {}
        """The latest requests that were refused so, by identity: an equal one may be another that the wire doubled."""

    def on_response(self, served: Served) -> None:
        machine, asker, request, response = served
        self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
        if response.status >= 500 and response.status not in (501, 503, 507):
            self.fail(machine, f"answered {response.status} to {request.target} of {asker}")
        known, status = self._refused.get(id(request), (None, 0))
        if known is request:
            self.fail(
                machine,
                f"answered one request of {asker} for {request.target} twice: {status}, and {response.status} later",
            )
        if response.status >= 500:
            self._refused[id(request)] = request, response.status
            if len(self._refused) > _REMEMBERED:
                del self._refused[next(iter(self._refused))]

    def result(self) -> CheckResult:
        counts = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        return self.holds(counts) if counts else self.vacuous("nobody asked")
