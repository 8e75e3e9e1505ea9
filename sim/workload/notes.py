"""Notes: agents keep lists, under a relation that holds many values, and strike out some of what they noted."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from sim.kinds import kind
from sim.naming import agent, topic
from sim.ports import Clients
from sim.units import Rate, parse_rate
from sim.workload.base import Workload

__all__ = ["NOTES", "Notes"]

NOTES: Final = "memory:note"
"""A relation that holds many values (`stigmem.core.cardinality`)."""


@kind("notes")
class Notes(Workload, kw_only=True):
    """Notes at `rate` (Poisson) over all nodes about `subjects` subjects, each by the agent of its node; a share of
    `struck_out` of the steps takes one of the agent's own notes back instead. Notes stand side by side: they supersede
    nothing, and contradict nobody's."""

    rate: Rate = parse_rate("10/m")
    """Notes per time, over all nodes."""
    subjects: Annotated[int, Meta(ge=1)] = 3
    """What there are notes about."""
    struck_out: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.2
    """How many of the steps take a note back."""

    def run(self, clients: Clients) -> None:
        rng = clients.rng()
        names = self.on(clients)
        kept: dict[tuple[str, int], list[str]] = {}

        def step(number: int) -> None:
            node, subject = rng.choice(names), rng.randrange(self.subjects)
            notes = kept.setdefault((node, subject), [])
            if notes and rng.random() < self.struck_out:
                write(node, subject, notes.pop(rng.randrange(len(notes))), 0.0)
            else:
                notes.append(f"note {number} of {node}")
                write(node, subject, notes[-1], 1.0)

        def write(node: str, subject: int, text: str, confidence: float) -> None:
            clients.write(
                node, topic(subject), NOTES, text, scope=self.scope, source=agent(node), confidence=confidence
            )

        clients.poisson(rng, self.rate, self.start, self.stop, step)
