"""Bursts: many writes in one simulated millisecond on one node."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.kinds import kind
from sim.ports import Clients
from sim.topology.federation import Federation
from sim.units import NonNegative, Positive, parse_duration
from sim.workload.base import Workload

__all__ = ["Burst"]


@kind("burst")
class Burst(Workload, kw_only=True):
    """`count` writes at `start` on one node (the first, unless `nodes` names another), again `every` so often."""

    count: Annotated[int, Meta(ge=1, le=100_000)] = 12
    """Writes in one burst."""
    start: NonNegative = parse_duration("1s")
    """When the first burst comes."""
    every: Positive | None = None
    """How long after a burst the next one comes; left out, there is one."""

    def check(self, federation: Federation) -> None:
        super().check(federation)
        if self.nodes is not None and len(self.nodes) > 1:
            raise Misfit("nodes", "a burst happens on one node; give one name, or a workload for each")

    def run(self, clients: Clients) -> None:
        name = self.on(clients)[0]

        def burst(number: int) -> None:
            for item in range(self.count):
                entity = f"stigmem://sim.example/burst/{self.start}-{number}-{item}"
                clients.write(name, entity, "sim:item", item, kind="number", scope=self.scope)

        clients.at(self.start, lambda: burst(0))
        if self.every is not None:
            clients.every(self.every, self.start, self.stop, lambda number: burst(number + 1))
