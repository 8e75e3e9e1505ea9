"""Bursts: many writes in one simulated millisecond on one node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.units import NonNegative, Positive, parse_duration
from sim.workload.base import Workload

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

__all__ = ["Burst"]


class Burst(Workload, tag="burst", kw_only=True):
    """`count` writes at `start` on one node (the first, unless `nodes` names another), again `every` so often."""

    count: Annotated[int, Meta(ge=1, le=100_000)] = 12
    start: NonNegative = parse_duration("1s")
    every: Positive | None = None

    def check(self, plan: Plan) -> None:
        super().check(plan)
        if self.nodes is not None and len(self.nodes) > 1:
            raise Misfit("nodes", "a burst happens on one node; give one name, or a workload for each")

    def run(self, simulation: Simulation, stream: str) -> None:
        name = self.on(simulation)[0]

        def burst(number: int) -> None:
            for item in range(self.count):
                entity = f"stigmem://sim.example/burst/{self.start}-{number}-{item}"
                simulation.write(name, entity, "sim:item", item, kind="number", scope=self.scope)

        simulation.world.at(self.start, lambda _: burst(0))
        if self.every is not None:
            simulation.every(self.every, self.start, self.stop, lambda number: burst(number + 1))
