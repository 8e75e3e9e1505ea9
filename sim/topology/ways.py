"""How long a packet takes from one node to another by the tables of a scenario, faults apart: usually, and at most.

For whoever judges what may be late (`sim.simulation.conditions`) or foresees what cannot work
(`sim.scenario.warnings`). The draws themselves are `sim.topology.latency`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sim.topology.tables import Latency, LinkTable, NetworkTable
from sim.units import parse_duration

__all__ = ["Measure", "longest", "usual", "ways"]

_SECOND: Final = 1_000_000_000
_TAIL: Final = 4
"""No draw of our latency distributions is longer than so many times their 99th percentile (or mean, times ten)."""

Measure = Callable[[str | Latency], int]


def longest(latency: str | Latency) -> int:
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


def usual(latency: str | Latency) -> int:
    """How long half of the packets take or less, in nanoseconds; 0 where it depends on places."""
    if isinstance(latency, str):
        return parse_duration(latency)
    match latency.kind:
        case "constant":
            return latency.value
        case "uniform":
            return (latency.low + latency.high) // 2
        case "lognormal":
            return latency.median
        case "exponential":
            return latency.floor + latency.mean
    return 0


def ways(network: NetworkTable, links: Sequence[LinkTable], measure: Measure) -> Callable[[str, str], int]:
    """The way from a first node to a second in nanoseconds, by a measure: `longest` or `usual`."""
    everywhere = measure(network.latency)
    own: dict[tuple[str, str], int] = {}
    for table in sorted(links, key=lambda each: each.one_way):  # what is said of one way stands
        if table.latency is not None:
            first, second = table.between
            way = measure(table.latency)
            own[first, second] = way
            if not table.one_way:
                own[second, first] = way
    return lambda first, second: own.get((first, second), everywhere)
