"""The scenario: what is simulated, as typed values.

Structs only, one per table of a scenario file, with the defaults a person would expect. Reading files and
telling what is wrong in them is `sim.reading`; whether the parts fit together is `sim.fitting`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sim.adversary import AnyAdversary
from sim.fault import AnyFault
from sim.units import Duration, Speed, parse_duration
from sim.workload import AnyWorkload
from stigmem.core.scopes import Scope

__all__ = [
    "ClockTable", "DiskTable", "Expectation", "Federation", "Latency", "LinkTable", "NetworkTable", "Probability",
    "Scenario", "ScenarioTable", "Shape", "Topology",
]  # fmt: skip

Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Shape = Literal["mesh", "ring", "line", "star", "tree", "random-regular", "small-world"]
_Ppm = Annotated[int, Meta(gt=-500_000, lt=500_000)]


class _Table(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A table of a scenario file: unknown keys are refused."""


class ScenarioTable(_Table):
    """`[scenario]`: name, seed and length. `settle`: how long it may take to converge after the faults."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    seed: Annotated[int, Meta(ge=0)] = 1
    duration: Duration = parse_duration("10m")
    settle: Duration = parse_duration("5m")
    signatures: Literal["ed25519", "stand-in"] = "ed25519"
    converges: bool = True
    """Whether convergence is expected at all; `false` only checks safety."""


class Topology(_Table):
    """`topology = { kind = "random-regular", degree = 4 }`, or `{ graphml = "file" }` for a map.

    A map may have several components: `component = "largest"` takes one of them. Its nodes without coordinates
    get the middle of their neighbours, or are dropped, or refused.
    """

    kind: Shape | None = None
    graphml: str | None = None
    degree: Annotated[int, Meta(ge=2)] = 4
    branching: Annotated[int, Meta(ge=1)] = 2
    neighbours: Annotated[int, Meta(ge=2)] = 4
    rewire: Probability = 0.1
    component: Literal["refuse", "largest"] = "refuse"
    without_coordinates: Literal["refuse", "drop", "neighbours"] = "neighbours"

    def __post_init__(self) -> None:
        if (self.kind is None) == (self.graphml is None):
            raise ValueError("a topology has either a kind or a graphml file")


class Federation(_Table):
    """`[federation]`: who takes part, how they are linked and how they replicate."""

    nodes: list[Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._'-]{0,62}$")]] | Annotated[int, Meta(ge=1)] | None = None
    topology: Shape | Topology = "mesh"
    pull_interval: Duration = parse_duration("10s")
    pull_timeout: Duration = parse_duration("10s")
    pull_wait: Duration = Duration(0)
    pull_limit: Annotated[int, Meta(ge=1, le=500)] = 100
    scopes: tuple[Scope, ...] = ("company", "public")
    allow_team: bool = False
    relay: bool = True
    origin_keys: Literal["pinned", "vouched"] = "pinned"
    node_ids: Literal["certified", "named"] = "certified"
    """`named`: ids like stigmem://north.sim, whose keys must be pinned or vouched for."""
    owned_sources_only: bool = False
    skew_future: Duration = parse_duration("300s")
    skew_past: Duration = parse_duration("30d")
    drag: Duration = parse_duration("5s")
    mailbox: Annotated[int, Meta(ge=1)] = 4096


class Latency(_Table):
    """`latency`: one-way delay. Texts for the common case: `latency = "40ms"`.

    kinds: constant (`value`), uniform (`low`, `high`), lognormal (`median`, `p99`), exponential (`floor`,
    `mean`), regions (`file` of round-trip times and optionally `regions = { node = "region" }`), distance
    (great-circle at `speed_km_s`, times `detour`, plus `floor`).
    """

    kind: Literal["constant", "uniform", "lognormal", "exponential", "regions", "distance"]
    value: Duration = parse_duration("20ms")
    low: Duration = parse_duration("10ms")
    high: Duration = parse_duration("50ms")
    median: Duration = parse_duration("40ms")
    p99: Duration = parse_duration("180ms")
    floor: Duration = parse_duration("1ms")
    mean: Duration = parse_duration("20ms")
    file: str | None = None
    regions: dict[str, str] = {}
    jitter: Probability = 0.1
    """For regions and distance: up to this share more, drawn per parcel."""
    speed_km_s: Annotated[float, Meta(gt=0)] = 200_000.0
    detour: Annotated[float, Meta(ge=1)] = 1.5


def _check_latency(latency: str | Latency | None) -> None:
    if isinstance(latency, str):
        parse_duration(latency)


class NetworkTable(_Table):
    """`[network]`: what the wire is like all the time."""

    latency: str | Latency = "20ms"
    loss: Probability = 0.0
    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    reorder_by: Duration = parse_duration("500ms")
    corrupt: Probability = 0.0
    bandwidth: Speed | None = None

    def __post_init__(self) -> None:
        _check_latency(self.latency)


class LinkTable(_Table):
    """`[[link]]`: what differs on one link, in both directions unless `one_way`."""

    between: Annotated[list[str], Meta(min_length=2, max_length=2)]
    scopes: list[Scope] | None = None
    latency: str | Latency | None = None
    loss: Probability | None = None
    bandwidth: Speed | None = None
    one_way: bool = False

    def __post_init__(self) -> None:
        _check_latency(self.latency)


class DiskTable(_Table):
    """`[disk]`: how long a sync takes, and how much fits."""

    sync: Duration = parse_duration("0.5ms")
    capacity: Annotated[int, Meta(ge=1)] | None = None
    """Bytes; None is endless."""


class ClockTable(_Table):
    """`[[clock]]`: how wrong a node's clock is from the start."""

    node: str
    offset: Duration = Duration(0)
    drift_ppm: _Ppm = 0


class Expectation(_Table):
    """`[[expect]]`: a metric of run.json and its bound. Durations as texts for metrics in seconds."""

    metric: str
    at_most: str | float | None = None
    at_least: str | float | None = None
    equals: str | float | None = None

    def __post_init__(self) -> None:
        bounds = (self.at_most, self.at_least, self.equals)
        if all(bound is None for bound in bounds):
            raise ValueError("an expectation needs at_most, at_least or equals")
        for bound in bounds:
            if isinstance(bound, str):
                parse_duration(bound)


class Scenario(_Table):
    """A whole scenario."""

    scenario: ScenarioTable
    federation: Federation = msgspec.field(default_factory=Federation)
    network: NetworkTable = msgspec.field(default_factory=NetworkTable)
    disk: DiskTable = msgspec.field(default_factory=DiskTable)
    clock: list[ClockTable] = []
    link: list[LinkTable] = []
    workload: list[AnyWorkload] = []
    fault: list[AnyFault] = []
    adversary: list[AnyAdversary] = []
    expect: list[Expectation] = []

    @property
    def name(self) -> str:
        return self.scenario.name

    @staticmethod
    def load(path: str | Path) -> Scenario:
        """A scenario from a file; raises `sim.reading.BadScenario`."""
        from sim.reading import load_scenario

        return load_scenario(Path(path))
