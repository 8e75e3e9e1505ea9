"""Storms: many contradictions at one instant."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sim.naming import topic
from sim.ports import Clients
from sim.units import Positive, parse_duration
from sim.workload.base import Workload

__all__ = ["Storm"]


class Storm(Workload, tag="storm", kw_only=True):
    """`pairs` contradicting pairs at once `every` so often, each about a subject of its own and on two nodes."""

    pairs: Annotated[int, Meta(ge=1, le=100_000)] = 50
    every: Positive = parse_duration("10m")

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
