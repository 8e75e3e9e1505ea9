"""Distance on the wire: from the network tables of a scenario to the rules that always hold.

Builds the draw tables per ordered pair of nodes: constants, distributions, a table of regions or great-circle
distance on a map. Reading region files happens here; maps were read into the plan.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, Protocol

from sim.chance import exponential_table, lognormal_table
from sim.fault.base import Misfit
from sim.network import Rule
from sim.plan import Plan
from sim.rules import Bandwidth, Corruption, Delay, Duplication, Loss, Per, Reordering
from sim.scenario import Latency
from sim.units import parse_duration

__all__ = ["Constant", "Draw", "Uniform", "great_circle_km", "make_draw", "read_regions", "standing_rules"]

_EARTH_KM: Final = 6_371.0088
_US: Final = 1_000


class Draw(Protocol):
    """A distribution of delays in nanoseconds."""

    def draw(self, random: Random) -> int: ...


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


def make_draw(latency: str | Latency) -> Draw:
    """The distribution of one latency table; regions and distance need a pair of nodes and are refused here."""
    if isinstance(latency, str):
        return Constant(parse_duration(latency))
    match latency.kind:
        case "constant":
            return Constant(latency.value)
        case "uniform":
            return Uniform(latency.low, latency.high)
        case "lognormal":
            return lognormal_table(latency.median, latency.p99)
        case "exponential":
            return exponential_table(latency.floor, latency.mean)
    raise Misfit("latency", f"latency of kind {latency.kind!r} is for the whole network, not for one link")


def _around(one_way_ns: int, jitter: float) -> Draw:
    rounded = round(one_way_ns / _US) * _US
    return Uniform(rounded, rounded + round(one_way_ns * jitter / _US) * _US)


def read_regions(path: Path) -> dict[tuple[str, str], int]:
    """One-way nanoseconds per ordered pair of regions, from a CSV of round-trip times in ms.

    First row: `from` and the target regions; lines that begin with # are remarks; an empty cell is the same
    region. Raises Misfit.
    """
    if not path.is_file():
        raise Misfit("file", f"there is no file {path}")
    rows = [row for row in csv.reader(path.read_text().splitlines()) if row and not row[0].startswith("#")]
    if len(rows) < 2:
        raise Misfit("file", f"{path.name} holds no table of regions")
    targets = rows[0][1:]
    found: dict[tuple[str, str], int] = {}
    for line, row in enumerate(rows[1:], 2):
        for target, cell in zip(targets, row[1:], strict=False):
            try:
                found[row[0], target] = round(float(cell) * 500_000) if cell.strip() else 250_000
            except ValueError:
                raise Misfit("file", f"{path.name}: row {line}, column {target}: {cell!r} is no number of ms") from None
    return found


def _by_region(plan: Plan, latency: Latency) -> dict[tuple[str, str], Draw]:
    if latency.file is None:
        raise Misfit("latency.file", "latency by regions needs a file")
    table = read_regions(plan.base / latency.file)
    regions = {region: None for region, _ in table}
    where = {name: latency.regions.get(name, name) for name in plan.nodes}
    for name, region in where.items():
        if region not in regions:
            raise Misfit(
                "latency.regions", f"node {name!r} has region {region!r}, which {latency.file} does not list",
                given=region, known=tuple(regions),
            )  # fmt: skip
    pairs = ((a, b) for a in plan.nodes for b in plan.nodes if a != b)
    return {(a, b): _around(table.get((where[a], where[b]), 250_000), latency.jitter) for a, b in pairs}


def _by_distance(plan: Plan, latency: Latency) -> dict[tuple[str, str], Draw]:
    lost = [name for name in plan.nodes if name not in plan.positions]
    if lost:
        raise Misfit("latency", f"latency by distance needs coordinates, and {lost[0]!r} has none on this map")
    draws: dict[tuple[str, str], Draw] = {}
    for a, b in plan.links:
        km = great_circle_km(plan.positions[a], plan.positions[b]) * latency.detour
        one_way = latency.floor + round(km / latency.speed_km_s * 1e9)
        draws[a, b] = draws[b, a] = _around(one_way, latency.jitter)
    return draws


def _pairs(first: str, second: str, *, one_way: bool) -> tuple[tuple[str, str], ...]:
    return ((first, second),) if one_way else ((first, second), (second, first))


def standing_rules(plan: Plan, stream: Callable[[str], Random]) -> list[Rule]:
    """The rules of the wire that hold all the time, distance first."""
    network = plan.scenario.network
    default: Draw
    links: dict[tuple[str, str], Draw] = {}
    if isinstance(network.latency, Latency) and network.latency.kind in ("regions", "distance"):
        by = _by_region if network.latency.kind == "regions" else _by_distance
        links, default = by(plan, network.latency), Constant(20_000_000)
    else:
        default = make_draw(network.latency)
    losses: dict[tuple[str, str], float] = {}
    speeds: dict[tuple[str, str], int] = {}
    for table in plan.scenario.link:
        for pair in _pairs(*table.between, one_way=table.one_way):
            if table.latency is not None:
                links[pair] = make_draw(table.latency)
            if table.loss is not None:
                losses[pair] = table.loss
            if table.bandwidth is not None:
                speeds[pair] = table.bandwidth
    rules: list[Rule] = [Delay(Per(stream, "latency"), default, links)]
    if network.bandwidth is not None or speeds:
        rules.append(Bandwidth(network.bandwidth, speeds))
    if network.loss or losses:
        rules.append(Loss(Per(stream, "loss"), network.loss, losses))
    if network.duplicate:
        rules.append(Duplication(Per(stream, "duplication"), network.duplicate, network.reorder_by))
    if network.reorder:
        rules.append(Reordering(Per(stream, "reordering"), network.reorder, network.reorder_by))
    if network.corrupt:
        rules.append(Corruption(Per(stream, "corruption"), network.corrupt))
    return rules
