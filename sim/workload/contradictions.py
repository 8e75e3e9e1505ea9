"""Contradictions: two nodes say different things about the same triple, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from sim.units import Rate, parse_rate
from sim.workload.base import Workload

if TYPE_CHECKING:
    from sim.lab import Lab

__all__ = ["Contradictions"]


class Contradictions(Workload, tag="contradictions"):
    """Pairs of writes at `rate` (Poisson): two nodes, one of `entities` subjects, two values."""

    rate: Rate = parse_rate("1/m")
    entities: Annotated[int, Meta(ge=1)] = 20

    def run(self, lab: Lab, stream: str) -> None:
        chance = lab.random(stream)
        names = self.nodes or list(lab.plan.nodes)

        def pair(number: int) -> None:
            subject = f"stigmem://sim.example/topic/{chance.randrange(self.entities)}"
            chosen = chance.sample(names, 2) if len(names) > 1 else [names[0], names[0]]
            for name in chosen:
                lab.write(name, subject, "sim:claims", f"{name} says {number}", scope=self.scope)

        lab.poisson(chance, self.rate, self.start, self.stop, pair)
