"""Storms: many contradictions at one instant."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sim.kinds import kind
from sim.naming import topic
from sim.ports import Clients
from sim.units import Positive, parse_duration
from sim.workload.base import Workload

__all__ = ["Storm"]


@kind("storm")
class Storm(Workload, kw_only=True):
    """`pairs` contradicting pairs at once `every` so often, each about a subject of its own and on two nodes."""

    pairs: Annotated[int, Meta(ge=1, le=100_000)] = 50
    """Contradicting pairs in one storm."""
    every: Positive = parse_duration("10m")
    """How often a storm comes."""

    def run(self, clients: Clients) -> None:
        rng = clients.rng()
        names = self.on(clients)
        begun = self.start

        def burst(number: int) -> None:
            for pair in range(self.pairs):
                chosen = rng.sample(names, 2) if len(names) > 1 else [names[0], names[0]]
                for side, name in enumerate(chosen):
                    text = f"{name}, side {side}"
                    clients.write(name, topic(f"storm-{begun}-{number}-{pair}"), "sim:claims", text, scope=self.scope)

        clients.every(self.every, self.start, self.stop, burst)
