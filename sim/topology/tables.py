"""The tables of a scenario that say how a federation is linked: its topology, its delays, its links.

Structs only; the other tables of a file are in `sim.scenario.tables`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from sim.units import Duration, NonNegative, Speed, parse_duration
from stigmem.core.scopes import Scope

__all__ = ["Latency", "LinkTable", "NetworkTable", "Shape", "Topology"]

_Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Shape = Literal["mesh", "ring", "line", "star", "tree", "random-regular", "small-world"]
_DelayText = Annotated[str, Meta(extra={"unit": Duration, "least": 0})]


class _Table(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A table of a scenario file: unknown keys are refused."""


class Topology(_Table):
    """`topology = { kind = "random-regular", degree = 4 }`, or `{ graphml = "file" }` for a map.

    A map may have several components: `component = "largest"` takes one of them, `"all"` runs them side by
    side. Its nodes without coordinates get the middle of their neighbours, or are dropped, or refused.
    """

    kind: Shape | None = None
    graphml: str | None = None
    degree: Annotated[int, Meta(ge=2)] = 4
    branching: Annotated[int, Meta(ge=1)] = 2
    neighbours: Annotated[int, Meta(ge=2)] = 4
    rewire: _Probability = 0.1
    component: Literal["refuse", "largest", "all"] = "refuse"
    without_coordinates: Literal["refuse", "drop", "neighbours"] = "neighbours"

    @staticmethod
    def keys_for(given: dict[str, Any]) -> tuple[str, tuple[str, ...]] | None:
        """What the table describes, in words, and the keys that mean something for it; None: cannot be told."""
        if "graphml" in given:
            return "a map", ("graphml", "component", "without_coordinates")
        own = _TOPOLOGY_KEYS.get(str(given.get("kind")))
        return None if own is None else (f"topology {given['kind']!r}", ("kind", *own))


_TOPOLOGY_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "mesh": (), "ring": (), "line": (), "star": (), "tree": ("branching",), "random-regular": ("degree",),
    "small-world": ("neighbours", "rewire"),
}  # fmt: skip


class Latency(_Table):
    """`latency`: one-way delay. Texts for the common case: `latency = "40ms"`.

    kinds: constant (`value`), uniform (`low`, `high`), lognormal (`median`, `p99`), exponential (`floor`,
    `mean`), regions (`file` of round-trip times and optionally `regions = { node = "region" }`), distance
    (great-circle at `speed_km_s`, times `detour`, plus `floor`).
    """

    kind: Literal["constant", "uniform", "lognormal", "exponential", "regions", "distance"]
    value: NonNegative = parse_duration("20ms")
    low: NonNegative = parse_duration("10ms")
    high: NonNegative = parse_duration("50ms")
    median: NonNegative = parse_duration("40ms")
    p99: NonNegative = parse_duration("180ms")
    floor: NonNegative = parse_duration("1ms")
    mean: NonNegative = parse_duration("20ms")
    file: str | None = None
    regions: dict[str, str] = {}
    jitter: _Probability = 0.1
    """For regions and distance: up to this share more, drawn per packet."""
    speed_km_s: Annotated[float, Meta(gt=0)] = 200_000.0
    detour: Annotated[float, Meta(ge=1)] = 1.5

    @staticmethod
    def keys_for(given: dict[str, Any]) -> tuple[str, tuple[str, ...]] | None:
        """What the table describes, in words, and the keys that mean something for it; None: cannot be told."""
        own = _LATENCY_KEYS.get(str(given.get("kind")))
        return None if own is None else (f"latency of kind {given['kind']!r}", ("kind", *own))


_LATENCY_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "constant": ("value",), "uniform": ("low", "high"), "lognormal": ("median", "p99"),
    "exponential": ("floor", "mean"), "regions": ("file", "regions", "jitter"),
    "distance": ("floor", "speed_km_s", "detour", "jitter"),
}  # fmt: skip


class NetworkTable(_Table):
    """`[network]`: what the wire is like all the time."""

    latency: _DelayText | Latency = "20ms"
    loss: _Probability = 0.0
    duplicate: _Probability = 0.0
    reorder: _Probability = 0.0
    reorder_by: NonNegative = parse_duration("500ms")
    corrupt: _Probability = 0.0
    bandwidth: Speed | None = None


class LinkTable(_Table):
    """`[[link]]`: what differs on one link, in both directions unless `one_way`."""

    between: Annotated[list[str], Meta(min_length=2, max_length=2)]
    scopes: list[Scope] | None = None
    latency: _DelayText | Latency | None = None
    loss: _Probability | None = None
    bandwidth: Speed | None = None
    one_way: bool = False
    """From the first of `between` to the second; it goes before a table that holds both ways."""
