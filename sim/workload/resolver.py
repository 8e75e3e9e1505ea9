"""People who settle contradictions: they look at the open ones on their node and say what stands.

Through the node's own API, like anybody; a conflict that was settled elsewhere meanwhile is simply left.
"""

from __future__ import annotations

from functools import partial
from random import Random

import msgspec

from sim.kinds import kind
from sim.ports import Clients
from sim.units import Rate, Share, parse_rate
from sim.workload.base import Workload
from stigmem.core.wire import Request, Response

__all__ = ["Resolver"]


class _Side(msgspec.Struct):
    id: str


class _Conflict(msgspec.Struct):
    conflict_id: str
    fact_a: _Side


class _Conflicts(msgspec.Struct):
    conflicts: list[_Conflict]


_conflicts = msgspec.json.Decoder(_Conflicts)


@kind("resolver")
class Resolver(Workload, kw_only=True):
    """One person per node; each settles one open conflict at `rate`, in favour of the better fact.

    A share `new_values` of the time they say something new instead.
    """

    rate: Rate = parse_rate("1/m")
    """How often each person looks for an open conflict."""
    new_values: Share = 0.1
    """In which part of the cases they say something new instead of choosing a fact."""

    def run(self, clients: Clients) -> None:
        for name in self.on(clients):
            rng = clients.rng(name)
            clients.poisson(rng, self.rate, self.start, self.stop, partial(self._look, clients, name, rng))

    def _look(self, clients: Clients, name: str, rng: Random, number: int) -> None:
        which, new = rng.getrandbits(32), rng.getrandbits(32) < self.new_values * (1 << 32)

        def choose(answer: Response) -> None:
            if answer.status != 200 or clients.now_ns >= clients.end_of(self.stop):
                return
            found = _conflicts.decode(answer.body).conflicts
            if found:
                conflict = found[which % len(found)]
                decision = (
                    {"new_value": {"type": "string", "v": f"{name} settles {number}"}}
                    if new
                    else {"winning_fact_id": conflict.fact_a.id}
                )
                note = {"resolution_note": f"settled at {name}, number {number}"}
                clients.resolve(name, conflict.conflict_id, decision | note)

        clients.request(name, Request("GET", "/v1/conflicts?status=unresolved&limit=20"), choose)
