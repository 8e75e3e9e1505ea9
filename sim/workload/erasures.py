"""Erasures: something is said of a person on every node, and then the person is forgotten by the word of one of them,
while another node says something once more."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from sim.kinds import kind
from sim.ports import Clients
from sim.units import NonNegative, Positive, Rate, parse_duration, parse_rate
from sim.workload.base import Workload
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["Erasures"]


@kind("erasures")
class Erasures(Workload, kw_only=True):
    """Persons at `rate`. Each node says something about one, and something by its name; `after` that the operator of
    `issuer` has the person forgotten, and `again` after that the last node says something about the person once more,
    which it takes as long as it was not told."""

    rate: Rate = parse_rate("1/m")
    """Persons per time."""
    issuer: str | None = None
    """The node whose operator issues the tombstones; left out, the first one."""
    after: Positive = parse_duration("20s")
    """How long after what is said of a person it is to be forgotten."""
    again: NonNegative = parse_duration("0s")
    """How long after the tombstone another node says something about the person once more."""
    persons: Annotated[int, Meta(ge=1)] = 1_000
    """How many persons there are at most."""

    def run(self, clients: Clients) -> None:
        names = self.on(clients)
        issuer = self.issuer or names[0]

        def said(node: str, person: str, what: str) -> None:
            clients.write(node, person, f"sim:{node}", f"{what} of {person}", scope=self.scope)

        def forget(person: str) -> None:
            body = msgspec.json.encode({"entity_uri": person})
            clients.console(issuer, Request("POST", "/v1/tombstones", JSON_TYPE, body), _ignore)

        def begin(number: int) -> None:
            if number >= self.persons:
                return
            person = f"user:person-{number}"
            for node in names:
                said(node, person, "a secret")
                clients.write(node, f"user:friend-{number}", f"sim:{node}", f"a friend of {person}", source=person)
                clients.write(node, f"team:{node}", "sim:lead", person, kind="ref", scope=self.scope)
            clients.after(self.after, partial(forget, person))
            clients.after(self.after + self.again, partial(said, names[-1], person, "another secret"))

        clients.poisson(clients.rng(), self.rate, self.start, self.stop, begin)


def _ignore(_answer: Response) -> None:
    """What came of it is seen by the checkers."""
