"""Contradictions: two nodes say different things about the same slot, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from sim.units import NonNegative, Rate, parse_duration, parse_rate
from sim.workload.base import Workload, topic

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab

__all__ = ["Contradictions"]


class Contradictions(Workload, tag="contradictions", kw_only=True):
    """Pairs of writes at `rate` (Poisson): two nodes, one of `entities` subjects, two values.

    Both at the same instant, or the second up to `spread` later.
    """

    rate: Rate = parse_rate("1/m")
    entities: Annotated[int, Meta(ge=1)] = 20
    spread: NonNegative = parse_duration("0s")

    def run(self, lab: Lab, stream: str) -> None:
        chance = lab.random(stream)
        names = self.on(lab)
        end = lab.end_of(self.stop)

        def pair(number: int) -> None:
            subject = topic(chance.randrange(self.entities))
            first, second = chance.sample(names, 2) if len(names) > 1 else (names[0], names[0])
            later = chance.randrange(self.spread + 1)
            say(first, subject, f"{first} says {number}")
            text = f"{second} says {number}" if first != second else f"{second} also says {number}"
            if not later:
                say(second, subject, text)
            elif lab.world.now + later < end:
                lab.world.after(later, lambda _: say(second, subject, text))

        def say(name: str, subject: str, text: str) -> None:
            lab.write(name, subject, "sim:claims", text, scope=self.scope)

        lab.poisson(chance, self.rate, self.start, self.stop, pair)
