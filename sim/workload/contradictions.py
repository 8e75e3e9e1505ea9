"""Contradictions: two nodes say different things about the same slot, again and again."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sim.kinds import kind
from sim.naming import topic
from sim.ports import Clients
from sim.units import NonNegative, Rate, parse_duration, parse_rate
from sim.workload.base import Workload

__all__ = ["Contradictions"]


@kind("contradictions")
class Contradictions(Workload, kw_only=True):
    """Pairs of writes at `rate` (Poisson): two nodes, one of `entities` subjects, two values.

    Both at the same instant, or the second up to `spread` later.
    """

    rate: Rate = parse_rate("1/m")
    """Pairs of contradicting writes per time."""
    entities: Annotated[int, Meta(ge=1)] = 20
    """How many subjects there are to contradict each other about."""
    spread: NonNegative = parse_duration("0s")
    """How much later at most the second of a pair is written; 0s is at the same instant."""

    def run(self, clients: Clients) -> None:
        rng = clients.rng()
        names = self.on(clients)
        end = clients.end_of(self.stop)

        def pair(number: int) -> None:
            subject = topic(rng.randrange(self.entities))
            first, second = rng.sample(names, 2) if len(names) > 1 else (names[0], names[0])
            delay = rng.randrange(self.spread + 1)
            say(first, subject, f"{first} says {number}")
            text = f"{second} says {number}" if first != second else f"{second} also says {number}"
            if not delay:
                say(second, subject, text)
            elif clients.now_ns + delay < end:
                clients.after(delay, lambda: say(second, subject, text))

        def say(name: str, subject: str, text: str) -> None:
            clients.write(name, subject, "sim:claims", text, scope=self.scope)

        clients.poisson(rng, self.rate, self.start, self.stop, pair)
