"""Storms: many contradictions at one instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from sim.naming import topic
from sim.units import Positive, parse_duration
from sim.workload.base import Workload

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Storm"]


class Storm(Workload, tag="storm", kw_only=True):
    """`pairs` contradicting pairs at once `every` so often, each about a subject of its own and on two nodes."""

    pairs: Annotated[int, Meta(ge=1, le=100_000)] = 50
    every: Positive = parse_duration("10m")

    def run(self, simulation: Simulation, stream: str) -> None:
        rng = simulation.random(stream)
        names = self.on(simulation)
        begun = self.start

        def burst(number: int) -> None:
            for pair in range(self.pairs):
                chosen = rng.sample(names, 2) if len(names) > 1 else [names[0], names[0]]
                for side, name in enumerate(chosen):
                    text = f"{name}, side {side}"
                    simulation.write(
                        name, topic(f"storm-{begun}-{number}-{pair}"), "sim:claims", text, scope=self.scope
                    )

        simulation.every(self.every, self.start, self.stop, burst)
