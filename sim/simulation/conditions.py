"""From a scenario's tables to the conditions of a run: what clocks, disks and the wire do by themselves.

What a scenario's tables mean for what may be late is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sim.observation.conditions import Conditions, FaultTimes, NetworkConditions
from sim.scenario.tables import Scenario
from sim.topology.tables import Latency
from sim.units import parse_duration

__all__ = ["conditions_of"]

_SECOND: Final = 1_000_000_000
_TAIL: Final = 4
"""No draw of our latency distributions is longer than so many times their 99th percentile (or mean, times ten)."""


def conditions_of(scenario: Scenario, faults: FaultTimes, count_dropped: Callable[[], int]) -> Conditions:
    """The conditions under which a scenario runs."""
    network = scenario.network
    speeds = [network.bandwidth, *(link.bandwidth for link in scenario.link)]
    ways = [network.latency, *(link.latency for link in scenario.link if link.latency is not None)]
    return Conditions(
        drift_ppm={table.node: table.drift_ppm for table in scenario.clock},
        disk_sync_ns=scenario.disk.sync,
        network=NetworkConditions(
            corrupt=network.corrupt,
            duplicate=network.duplicate,
            reorder=network.reorder,
            is_narrow=any(speed is not None for speed in speeds),
            longest_way_ns=max(map(_longest, ways)),
        ),
        faults=faults,
        count_dropped=count_dropped,
    )


def _longest(latency: str | Latency) -> int:
    """How long a packet may take by such a table, in nanoseconds."""
    if isinstance(latency, str):
        return parse_duration(latency)
    match latency.kind:
        case "constant":
            return latency.value
        case "uniform":
            return latency.high
        case "lognormal":
            return _TAIL * latency.p99
        case "exponential":
            return latency.floor + 10 * latency.mean
    return _SECOND  # regions and distances of this planet
