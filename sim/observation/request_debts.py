"""What a node owes to a hostile peer's request: a refusal with one of some codes, as `Obligation` is for facts.

A script announces a debt beside sending the request; it is known by the victim and the credential that the request
carries, which no other request has. Who judges it is `sim.check.refusals`.
"""

from __future__ import annotations

from typing import NamedTuple

from stigmem.core.wire import Request

__all__ = ["RequestDebt", "RequestDebts"]


class RequestDebt(NamedTuple):
    """What was asked, in words; the details of which one must be that of the 401; when it was sent; and how long after
    that the debt is still one, in nanoseconds: a code that depends on the time is another one later."""

    what: str
    codes: tuple[str, ...]
    sent_ns: int
    within_ns: int


class RequestDebts:
    """The debts to one hostile peer."""

    def __init__(self) -> None:
        self._debts: dict[tuple[str, str], RequestDebt] = {}

    def owe(self, victim: str, request: Request, debt: RequestDebt) -> None:
        """A request that is about to be sent."""
        self._debts[victim, _credential(request)] = debt

    def settle(self, victim: str, request: Request) -> RequestDebt | None:
        """The debt to a request that the victim answers now; None when there is none, or it was settled before: a wire
        may double a request, and the second answer is another one."""
        return self._debts.pop((victim, _credential(request)), None)


def _credential(request: Request) -> str:
    return f"{request.method} {request.headers.get('authorization', '')}"
