"""The scenario: what is simulated, as typed values.

Structs only, one per table of a scenario file, with the defaults a person would expect. Reading files and
telling what is wrong in them is `sim.scenario.reading`; whether the parts fit together is `sim.scenario.planning`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sim.adversary import AnyAdversary
from sim.fault import AnyFault
from sim.naming import NodeName
from sim.topology.tables import LinkTable, NetworkTable, Shape, Topology
from sim.units import Duration, NonNegative, Positive, parse_duration
from sim.workload import AnyWorkload
from stigmem.core.scopes import Scope

__all__ = [
    "ClockTable", "DiskTable", "Expectation", "Federation",
    "Scenario", "ScenarioTable", ]  # fmt: skip

_Ppm = Annotated[int, Meta(gt=-500_000, lt=500_000)]
_BoundText = Annotated[str, Meta(extra={"unit": Duration})]


class _Table(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A table of a scenario file: unknown keys are refused."""


class ScenarioTable(_Table):
    """`[scenario]`: name, seed and length. `settle`: how long it may take to converge after the faults. `needs`: data
    files that not everybody has, relative to the scenario; where one is absent the scenario is skipped."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
            description="a name of lower-case letters, digits and hyphens, such as 'split-brain' (at most 63)",
        ),
    ]
    seed: Annotated[int, Meta(ge=0)] = 1
    duration: Positive = parse_duration("10m")
    settle: NonNegative = parse_duration("5m")
    signatures: Literal["ed25519", "stand-in"] = "ed25519"
    converges: bool = True
    """Whether convergence is expected at all; `false` only checks safety."""
    needs: list[str] = []


class Federation(_Table):
    """`[federation]`: who takes part, how they are linked and how they replicate."""

    nodes: list[NodeName] | Annotated[int, Meta(ge=1)] | None = None
    topology: Shape | Topology = "mesh"
    pull_interval: Positive = parse_duration("10s")
    pull_timeout: Positive = parse_duration("10s")
    pull_wait: NonNegative = Duration(0)
    pull_limit: Annotated[int, Meta(ge=1, le=500)] = 100
    scopes: tuple[Scope, ...] = ("company", "public")
    allow_team: bool = False
    push: bool = False
    """Whether nodes let their peers bring facts unasked; ours never do, hostile ones may try."""
    relay: bool = True
    origin_keys: Literal["pinned", "vouched"] = "pinned"
    node_ids: Literal["certified", "named"] = "certified"
    """`named`: ids like stigmem://north.sim, whose keys must be pinned or vouched for."""
    owned_sources_only: bool = False
    skew_future: NonNegative = parse_duration("300s")
    skew_past: NonNegative = parse_duration("30d")
    drag: NonNegative = parse_duration("5s")
    mailbox: Annotated[int, Meta(ge=1)] = 4096


class DiskTable(_Table):
    """`[disk]`: how long a sync takes, and how much fits."""

    sync: NonNegative = parse_duration("0.5ms")
    capacity: Annotated[int, Meta(ge=1)] | None = None
    """Bytes; None is endless."""


class ClockTable(_Table):
    """`[[clock]]`: how wrong a node's clock is from the start."""

    node: str
    offset: Duration = Duration(0)
    drift_ppm: _Ppm = 0


class Expectation(_Table):
    """`[[expect]]`: a metric of run.json and its bounds (`sim.scenario.metrics`), at least one of them.

    Metrics of time are in seconds; their bounds may be durations as texts.
    """

    metric: str
    at_most: _BoundText | float | None = None
    at_least: _BoundText | float | None = None
    equals: _BoundText | float | None = None


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
        """A scenario from a file; raises `sim.scenario.reading.BadScenario`."""
        from sim.scenario.reading import load_scenario

        return load_scenario(Path(path))
