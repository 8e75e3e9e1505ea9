"""Readers: clients that look at what their node knows, page by page, and hold it to what it shows.

What they are shown is judged by the checker `reads`, which is there where a scenario has readers.
"""

from __future__ import annotations

from random import Random
from typing import Annotated

import msgspec
from msgspec import Meta

from sim.kinds import kind
from sim.observation.reads import Question
from sim.ports import Clients
from sim.units import Rate, parse_rate
from sim.workload.base import Workload
from stigmem.core.wire import Request, Response

__all__ = ["Readers"]


class _Fact(msgspec.Struct):
    entity: str


class _Page(msgspec.Struct):
    facts: list[_Fact]


@kind("readers")
class Readers(Workload, kw_only=True):
    """On each node somebody looks at `rate` at the newest facts, picks an entity, and reads all that is shown of it."""

    rate: Rate = parse_rate("6/m")
    """How often on each node."""
    page: Annotated[int, Meta(ge=1, le=500)] = 3
    """How many facts a page has at most: fewer make more pages."""
    newest: Annotated[int, Meta(ge=1, le=500)] = 40
    """Among how many of the newest facts an entity is picked."""

    def run(self, clients: Clients) -> None:
        for node in self.on(clients):
            rng = clients.rng(node)
            clients.poisson(rng, self.rate, self.start, self.stop, _Reader(self, clients, node, rng).begin)


class _Reader:
    """Somebody on one node."""

    def __init__(self, readers: Readers, clients: Clients, node: str, rng: Random) -> None:
        self._readers = readers
        self._clients = clients
        self._node = node
        self._rng = rng

    def begin(self, _number: int) -> None:
        # Drawn before anything is asked, so that no answer moves what comes later.
        which, in_one_scope = self._rng.random(), self._rng.random() < 0.3

        def listed(answer: Response) -> None:
            if answer.status != 200:
                return
            entities = list(dict.fromkeys(fact.entity for fact in msgspec.json.decode(answer.body, type=_Page).facts))
            if entities:
                scope = self._readers.scope if in_one_scope else None
                entity = entities[int(which * len(entities))]
                self._clients.look(self._node, Question(entity, scope, self._readers.page))

        request = Request("GET", f"/v1/facts?limit={self._readers.newest}&include_contradicted=true")
        self._clients.request(self._node, request, listed)
