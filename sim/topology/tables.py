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
    """The shape of the graph."""
    graphml: str | None = None
    """A map in GraphML instead of a shape, relative to the scenario's folder."""
    degree: Annotated[int, Meta(ge=2)] = 4
    """random-regular: how many links each node has."""
    branching: Annotated[int, Meta(ge=1)] = 2
    """tree: how many nodes hang below each."""
    neighbours: Annotated[int, Meta(ge=2)] = 4
    """small-world: how many of the nearest nodes each is linked to at first."""
    rewire: _Probability = 0.1
    """small-world: the probability with which a link is then moved to any other node."""
    component: Literal["refuse", "largest", "all"] = "refuse"
    """What is done with a map of several parts: refuse it, take the largest part, or run all side by side."""
    without_coordinates: Literal["refuse", "drop", "neighbours"] = "neighbours"
    """What is done with nodes of a map that have none: refuse it, drop them, or give them the middle of their
    neighbours."""

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
    """The distribution."""
    value: NonNegative = parse_duration("20ms")
    """constant: the delay."""
    low: NonNegative = parse_duration("10ms")
    """uniform: the shortest delay."""
    high: NonNegative = parse_duration("50ms")
    """uniform: the longest delay."""
    median: NonNegative = parse_duration("40ms")
    """lognormal: half of the packets take no longer."""
    p99: NonNegative = parse_duration("180ms")
    """lognormal: 99 of 100 packets take no longer."""
    floor: NonNegative = parse_duration("1ms")
    """exponential and distance: what is added to every delay."""
    mean: NonNegative = parse_duration("20ms")
    """exponential: the mean of what comes on top of the floor."""
    file: str | None = None
    """regions: a CSV file of round-trip times in ms, relative to the scenario's folder."""
    regions: dict[str, str] = {}
    """regions: node to region, for nodes that are not called like theirs."""
    jitter: _Probability = 0.1
    """For regions and distance: up to this share more, drawn per packet."""
    speed_km_s: Annotated[float, Meta(gt=0)] = 200_000.0
    """distance: how fast the signal is."""
    detour: Annotated[float, Meta(ge=1)] = 1.5
    """distance: how much longer the cable is than the great circle."""

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
    """One-way delay of every packet."""
    loss: _Probability = 0.0
    """Probability that a packet is lost."""
    duplicate: _Probability = 0.0
    """Probability that a packet arrives twice."""
    reorder: _Probability = 0.0
    """Probability that a packet takes longer, so that later ones overtake it."""
    reorder_by: NonNegative = parse_duration("500ms")
    """How much longer at most, and how much later a copy comes at most."""
    corrupt: _Probability = 0.0
    """Probability that a packet arrives with some bits flipped."""
    bandwidth: Speed | None = None
    """What each link carries in each direction; left out, without limit."""


class LinkTable(_Table):
    """`[[link]]`: what differs on one link, in both directions unless `one_way`."""

    between: Annotated[list[str], Meta(min_length=2, max_length=2)]
    """The two nodes."""
    scopes: list[Scope] | None = None
    """The scopes that both sides grant on it, instead of those of the federation."""
    latency: _DelayText | Latency | None = None
    """One-way delay, instead of the network's."""
    loss: _Probability | None = None
    """Probability that a packet is lost, instead of the network's."""
    bandwidth: Speed | None = None
    """What it carries in each direction, instead of the network's."""
    one_way: bool = False
    """From the first of `between` to the second; it goes before a table that holds both ways."""
