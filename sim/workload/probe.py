"""Probes: one unique fact per node and period, for measuring lag and nothing else."""

from __future__ import annotations

from sim.kinds import kind
from sim.ports import Clients
from sim.units import Positive, parse_duration
from sim.workload.base import Workload

__all__ = ["Probe"]


@kind("probe")
class Probe(Workload, kw_only=True):
    """Each node writes a fact of its own once a `period`; the nodes are spread over it evenly."""

    period: Positive = parse_duration("30s")
    """How often each node writes its probe."""

    def run(self, clients: Clients) -> None:
        names = self.on(clients)

        def probing(place: int, name: str) -> None:
            phase = self.period * (place + 1) // (len(names) + 1)

            def write(number: int) -> None:
                entity = f"stigmem://sim.example/probe/{place}-{number}"
                clients.write(name, entity, "sim:probe", number, kind="number", scope=self.scope)

            clients.every(self.period, self.start - self.period + phase, self.stop, write)

        for place, name in enumerate(names):
            probing(place, name)
