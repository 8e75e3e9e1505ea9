"""Operators who take out what their node stamped with a wrong clock, as `stigmem clock void` does."""

from __future__ import annotations

from functools import partial

import msgspec

from sim.kinds import kind
from sim.ports import Clients
from sim.workload.base import Workload
from stigmem.core.wire import Request, Response

__all__ = ["ClockVoid"]


class _Voided(msgspec.Struct):
    facts: int
    more: bool


_voided = msgspec.json.Decoder(_Voided)


@kind("clock-void")
class ClockVoid(Workload, kw_only=True):
    """At `start`, the operator of each node voids what the node has stamped in the future."""

    reissue: bool = True
    """Whether what counted until then is stated again, as new facts."""

    def run(self, clients: Clients) -> None:
        for name in self.on(clients):
            clients.at(self.start, partial(self._void, clients, name))

    def _void(self, clients: Clients, name: str) -> None:
        body = msgspec.json.encode({"dry_run": False, "reissue": self.reissue, "note": "a wrong clock"})

        def go_on(answer: Response) -> None:
            if answer.status == 200 and (found := _voided.decode(answer.body)).more and found.facts:
                self._void(clients, name)

        clients.console(name, Request("POST", "/v1/admin/clock/void", body=body), go_on)
