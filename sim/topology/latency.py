"""Distance on the wire: from the network tables of a scenario to the rules that always hold.

Builds the draw tables per ordered pair of nodes: constants, distributions, a table of regions or great-circle
distance on a map. Files of regions are read by `sim.topology.regions`, maps were read into the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Final, Protocol

from sim.diagnostics.errors import Misfit
from sim.diagnostics.suggestions import listed, quoted
from sim.diagnostics.toml_lines import key_text
from sim.topology.federation import Federation
from sim.topology.regions import REGIONS_KEY, read_regions
from sim.topology.tables import Latency, LinkTable, NetworkTable
from sim.units import format_duration, parse_duration
from sim.world.network import Rule
from sim.world.random_streams import exponential_table, lognormal_table
from sim.world.rules import Bandwidth, Corruption, Delay, Duplication, Loss, PairStreams, Reordering

__all__ = ["Constant", "Draw", "Uniform", "great_circle_km", "link_draws", "make_draw", "standing_rules"]

_EARTH_KM: Final = 6_371.0088
_US: Final = 1_000
_ELSEWHERE_NS: Final = 20_000_000


class Draw(Protocol):
    """A distribution of delays in nanoseconds."""

    def draw(self, random: Random) -> int: ...


_Draws = dict[tuple[str, str], Draw]


class Constant:
    """Always the same."""

    def __init__(self, value_ns: int) -> None:
        self._value_ns = value_ns

    def draw(self, random: Random) -> int:
        return self._value_ns


class Uniform:
    """Anything between two bounds."""

    def __init__(self, low_ns: int, high_ns: int) -> None:
        self._low_ns = low_ns
        self._span_ns = high_ns - low_ns

    def draw(self, random: Random) -> int:
        return self._low_ns + (self._span_ns * random.getrandbits(32) >> 32)


def great_circle_km(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Distance in km between two (latitude, longitude) pairs in degrees, by the haversine formula."""
    (lat1, lon1), (lat2, lon2) = ((math.radians(a), math.radians(b)) for a, b in (first, second))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


def make_draw(latency: str | Latency, key: str) -> Draw:
    """The distribution of one latency table, which stands at `key`. Raises Misfit.

    Regions and distance need a pair of nodes and are refused here.
    """
    if isinstance(latency, str):
        return Constant(parse_duration(latency))
    match latency.kind:
        case "constant":
            return Constant(latency.value)
        case "uniform":
            if latency.low > latency.high:
                raise Misfit(
                    f"{key}.low", f"{format_duration(latency.low)} is more than high, {format_duration(latency.high)}"
                )
            return Uniform(latency.low, latency.high)
        case "lognormal":
            if latency.median < _US:
                raise Misfit(f"{key}.median", "a lognormal latency has a median of at least 1us")
            if latency.p99 < latency.median:
                raise Misfit(
                    f"{key}.p99",
                    f"{format_duration(latency.p99)} is less than the median, {format_duration(latency.median)}",
                )
            return lognormal_table(latency.median, latency.p99)
        case "exponential":
            return exponential_table(latency.floor, latency.mean)
    raise Misfit(f"{key}.kind", f"latency by {latency.kind} is for the whole network, not for one link")


def _around(one_way_ns: int, jitter: float) -> Draw:
    rounded = round(one_way_ns / _US) * _US
    return Uniform(rounded, rounded + round(one_way_ns * jitter / _US) * _US)


def _by_region(federation: Federation, latency: Latency) -> _Draws:
    if latency.file is None:
        raise Misfit(REGIONS_KEY, "missing; latency by regions needs a CSV file of round-trip times")
    table = read_regions(federation.folder / latency.file)
    regions = tuple(dict.fromkeys(region for region, _ in table))
    where = {name: latency.regions.get(name, name) for name in federation.nodes}
    for name, region in where.items():
        if region not in regions:
            key = key_text(("network", "latency", "regions", *([name] if name in latency.regions else [])))
            raise Misfit(key, f"node {quoted(name)} has region {quoted(region)}, which {latency.file} does not list",
                         given=region, known=regions)  # fmt: skip
    draws: _Draws = {}
    for pair in _both_ways(federation.links):
        here, there = where[pair[0]], where[pair[1]]
        if (here, there) not in table:
            raise Misfit(REGIONS_KEY, f"{latency.file} has no time from {quoted(here)} to {quoted(there)}")
        draws[pair] = _around(table[here, there], latency.jitter)
    return draws


def _by_distance(federation: Federation, latency: Latency) -> _Draws:
    lost = [name for name in federation.nodes if name not in federation.positions]
    if len(lost) == len(federation.nodes):
        raise Misfit(
            "network.latency.kind", 'latency by distance needs a map with coordinates: topology = { graphml = "file" }'
        )
    if lost:
        raise Misfit("network.latency.kind", f"latency by distance needs coordinates, and {listed(lost)} "
                     f"{'has' if len(lost) == 1 else 'have'} none on this map")  # fmt: skip
    draws: _Draws = {}
    for a, b in federation.links:
        km = great_circle_km(federation.positions[a], federation.positions[b]) * latency.detour
        one_way = latency.floor + round(km / latency.speed_km_s * 1e9)
        draws[a, b] = draws[b, a] = _around(one_way, latency.jitter)
    return draws


def _both_ways(links: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for first, second in links:
        yield first, second
        yield second, first


def link_draws(federation: Federation, network: NetworkTable, links: Sequence[LinkTable]) -> tuple[Draw, _Draws]:
    """The delay that holds where nothing else is said, and delays per ordered pair. Raises Misfit.

    By regions and distance only links have a delay of their own: whoever stands on no map, such as an
    adversary, is 20 ms away from everybody.
    """
    latency = network.latency
    default: Draw
    if isinstance(latency, Latency) and latency.kind in ("regions", "distance"):
        by = _by_region if latency.kind == "regions" else _by_distance
        draws, default = by(federation, latency), Constant(_ELSEWHERE_NS)
    else:
        draws, default = {}, make_draw(latency, "network.latency")
    for number, table in _specific_last(links):
        if table.latency is not None:
            draw = make_draw(table.latency, f"link[{number}].latency")
            draws.update(dict.fromkeys(_pairs(table), draw))
    return default, draws


def _specific_last(tables: Sequence[LinkTable]) -> list[tuple[int, LinkTable]]:
    """With their numbers: what holds both ways first, so that what is said of one way stands."""
    return sorted(enumerate(tables), key=lambda numbered: numbered[1].one_way)


def _pairs(table: LinkTable) -> tuple[tuple[str, str], ...]:
    first, second = table.between
    return ((first, second),) if table.one_way else ((first, second), (second, first))


def standing_rules(
    federation: Federation, network: NetworkTable, links: Sequence[LinkTable], stream: Callable[[str], Random]
) -> list[Rule]:
    """The rules of the wire that hold all the time, distance first; `stream` gives chance by name. Raises Misfit."""
    default, draws = link_draws(federation, network, links)
    losses: dict[tuple[str, str], float] = {}
    speeds: dict[tuple[str, str], int] = {}
    for _, table in _specific_last(links):
        for pair in _pairs(table):
            if table.loss is not None:
                losses[pair] = table.loss
            if table.bandwidth is not None:
                speeds[pair] = table.bandwidth
    rules: list[Rule] = [Delay(PairStreams(stream, "latency"), default, draws)]
    if network.bandwidth is not None or speeds:
        rules.append(Bandwidth(network.bandwidth, speeds))
    if network.loss or losses:
        rules.append(Loss(PairStreams(stream, "loss"), network.loss, losses))
    if network.duplicate:
        rules.append(Duplication(PairStreams(stream, "duplication"), network.duplicate, network.reorder_by))
    if network.reorder:
        rules.append(Reordering(PairStreams(stream, "reordering"), network.reorder, network.reorder_by))
    if network.corrupt:
        rules.append(Corruption(PairStreams(stream, "corruption"), network.corrupt))
    return rules
