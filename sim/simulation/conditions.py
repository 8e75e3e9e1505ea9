"""From a scenario's tables to the conditions of a run: what clocks, disks and the wire do by themselves.

What a scenario's tables mean for what may be late is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable

from sim.observation.conditions import Conditions, FaultTimes, NetworkConditions
from sim.scenario.tables import Scenario
from sim.topology.ways import longest, ways

__all__ = ["conditions_of"]


def conditions_of(scenario: Scenario, faults: FaultTimes, count_dropped: Callable[[str, str], int]) -> Conditions:
    """The conditions under which a scenario runs."""
    network = scenario.network
    speeds = [network.bandwidth, *(link.bandwidth for link in scenario.link)]
    latencies = [network.latency, *(link.latency for link in scenario.link if link.latency is not None)]
    return Conditions(
        drift_ppm={table.node: table.drift_ppm for table in scenario.clock},
        disk_sync_ns=scenario.disk.sync,
        network=NetworkConditions(
            corrupt=network.corrupt,
            duplicate=network.duplicate,
            reorder=network.reorder,
            loses=bool(network.loss or any(link.loss for link in scenario.link)),
            is_narrow=any(speed is not None for speed in speeds),
            longest_way_ns=max(map(longest, latencies)),
            way_ns=ways(network, scenario.link, longest),
        ),
        faults=faults,
        count_dropped=count_dropped,
    )
