"""Simulated nodes with the metrics of deployed ones, scraped at an interval of virtual time.

A node tells what happens to an Observer of its process, as on a machine; each boot has a new one, so that counters
begin at zero after a crash. Scraping reads and draws nothing, so the run is the one that it would be without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

import sim.world.machine
from sim.simulation.simulation import Simulation
from sim.world.machine import MachineEvents
from stigmem.host.gauges import NodeCollector, StateCollector
from stigmem.host.logs import configure_logs
from stigmem.host.observe import Observer
from stigmem.node.events import NodeEvents
from tests.alerts.promql import Samples
from tests.alerts.rules import RULES, Watch, read_rules

__all__ = ["add_metrics", "watched"]

_SECOND: Final = 1_000_000_000


class _Told(Observer):
    """What a process counts of its node; bugs go to the simulation as well."""

    def __init__(self, events: MachineEvents) -> None:
        super().__init__()
        self._machine_events = events
        self.of_node: list[Collector] = []

    def bug(self, error: Exception) -> None:
        NodeEvents.bug(self, error)
        self._machine_events.bug(error)

    def families(self) -> Iterator[Metric]:
        """What a scrape shows, as far as rules look at it: what else is counted costs most of the time of a run."""
        for collector in (self._audit, self._anomalies, *self.of_node):
            yield from collector.collect()


def add_metrics(samples: Samples, at_s: float, instance: str, metrics: Iterator[Metric]) -> None:
    """Take in a scrape of one process."""
    for metric in metrics:
        if metric.type != "histogram":
            for sample in metric.samples:
                if not sample.name.endswith("_created"):
                    samples.add(at_s, sample.name, [("instance", instance), *sample.labels.items()], sample.value)


@contextmanager
def watched(interval_s: float) -> Iterator[tuple[Watch, list[Simulation]]]:
    """Have every simulation that is put into the list, before it runs, scraped and its rules evaluated. One at a
    time."""
    configure_logs("console", "critical")
    watch, samples = Watch(read_rules(RULES.read_text("utf-8"))), Samples()

    class Followed(list[Simulation]):
        def append(self, simulation: Simulation) -> None:
            super().append(simulation)
            simulation.world.after(int(interval_s * _SECOND), self._scrape)

        def _scrape(self, _: object) -> None:
            (simulation,) = self
            now_s = simulation.world.now / _SECOND
            for name, machine in simulation.machines.items():
                node = machine.node
                if machine.up and node is not None and isinstance(node.events, _Told):
                    if not node.events.of_node:
                        node.events.of_node = [StateCollector(node), NodeCollector(node)]
                        node.events.watch(node.state)
                    add_metrics(samples, now_s, name, node.events.families())
            watch.look(samples, now_s)
            simulation.world.after(int(interval_s * _SECOND), self._scrape)

    genuine = sim.world.machine._NodeEvents
    sim.world.machine._NodeEvents = _Told  # type: ignore[misc,assignment]
    try:
        yield watch, Followed()
    finally:
        sim.world.machine._NodeEvents = genuine  # type: ignore[misc]
