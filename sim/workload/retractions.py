"""Retractions: something is said, taken back and perhaps said again, by its own source or by somebody else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Annotated

import msgspec
from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.kinds import kind
from sim.naming import agent, topic
from sim.ports import Clients
from sim.topology.federation import Federation
from sim.units import Positive, Rate, parse_duration, parse_rate
from sim.workload.base import Workload
from stigmem.core.wire import Response

__all__ = ["Retractions", "Retractors"]

_Weight = Annotated[float, Meta(ge=0.0)]


class Retractors(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who retracts, by weight: the source itself, another source of the same node, another organisation's node."""

    own: _Weight = 0.0
    """Weight of the source itself."""
    same_node: _Weight = 0.0
    """Weight of another source on the same node."""
    other_node: _Weight = 0.0
    """Weight of another organisation's node."""

    def draw(self, rng: Random) -> str:
        """One of the three."""
        sums = (self.own, self.own + self.same_node, self.own + self.same_node + self.other_node)
        point = rng.random() * sums[-1]
        return "own" if point < sums[0] else "same_node" if point < sums[1] else "other_node"


@kind("retractions")
class Retractions(Workload, kw_only=True):
    """Assertions at `rate` over all nodes about `entities` subjects, each retracted `after` it was acknowledged.

    With `again` its own source asserts it once more that much later. `by`: weights of who retracts: only the source
    itself takes something back, anybody else denies it and so opens a conflict.
    """

    rate: Rate = parse_rate("1/m")
    """Assertions per time over all nodes."""
    entities: Annotated[int, Meta(ge=1)] = 20
    """How many subjects there are."""
    after: Positive = parse_duration("20s")
    """How long after its acknowledgement an assertion is retracted."""
    again: Positive | None = None
    """How long after that its own source asserts it once more; left out, never."""
    by: Retractors = msgspec.field(default_factory=lambda: Retractors(own=0.7, same_node=0.2, other_node=0.1))
    """Who retracts, by weight."""

    def check(self, federation: Federation) -> None:
        super().check(federation)
        if self.by.own + self.by.same_node + self.by.other_node <= 0:
            raise Misfit("by", "somebody must retract; give own, same_node or other_node a weight above 0")
        if self.by.other_node and len(self.nodes or federation.nodes) < 2 and not self.by.own + self.by.same_node:
            raise Misfit("by.other_node", "there is no other node to retract")

    def run(self, clients: Clients) -> None:
        rng = clients.rng()
        names = self.on(clients)

        def story(number: int) -> None:
            name = names[rng.randrange(len(names))]
            others = [other for other in names if other != name]
            who = self.by.draw(rng)
            other = others[rng.randrange(len(others))] if others else name
            entity, text = topic(f"rumour-{rng.randrange(self.entities)}"), f"{name} heard {number}"
            writer = name if who != "other_node" else other
            source = agent(name) if who == "own" else f"{agent(writer)}-editor"

            write = partial(clients.write, entity=entity, relation="sim:rumour", value=text, scope=self.scope)

            def say(answered: Callable[[Response], None] | None = None) -> None:
                write(name, source=agent(name), then=answered)

            def retract() -> None:
                write(writer, source=source, confidence=0.0, then=retracted)

            def said(answer: Response) -> None:
                if answer.status == 201:
                    self._after(clients, self.after, retract)

            def retracted(answer: Response) -> None:
                if answer.status == 201 and self.again is not None:
                    self._after(clients, self.again, say)

            say(said)

        clients.poisson(rng, self.rate, self.start, self.stop, story)

    def _after(self, clients: Clients, delay: int, action: Callable[[], None]) -> None:
        if clients.now_ns + delay < clients.end_of(self.stop):
            clients.after(delay, action)
