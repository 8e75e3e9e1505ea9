"""The scenario: what is simulated, as typed values.

Structs only, one per table of a scenario file, with the defaults a person would expect. Reading files and
telling what is wrong in them is `sim.scenario.reading`; whether the parts fit together is `sim.scenario.planning`.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from sim.adversary import Adversary
from sim.fault import Fault
from sim.kinds import find_kinds
from sim.naming import NodeName
from sim.topology.tables import LinkTable, NetworkTable, Shape, Topology
from sim.units import Duration, NonNegative, Positive, parse_duration
from sim.workload import Workload
from stigmem.core import limits
from stigmem.core.scopes import Scope

__all__ = [
    "ClockTable", "DiskTable", "Expectation", "Federation", "QuotaTable", "Reach", "Scenario",
    "ScenarioTable", "Sweep", "Variant", "scenario_type", ]  # fmt: skip

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
    """What the run is called."""
    seed: Annotated[int, Meta(ge=0)] = 1
    """What all chance of the run comes from."""
    duration: Positive = parse_duration("10m")
    """How long workloads and faults go on."""
    settle: NonNegative = parse_duration("5m")
    """How long it may take to converge after that."""
    signatures: Literal["ed25519", "stand-in"] = "ed25519"
    """The signature scheme: the real one, or a cheap stand-in where signatures are not the question."""
    warm_up: NonNegative | None = None
    """Facts written before this are not measured; left out, until every link between nodes that are there from the
    start is made."""
    converges: bool = True
    """Whether convergence is expected at all; `false` only checks safety."""
    needs: list[str] = []
    """Data files that not everybody has, relative to the scenario's folder; where one is absent the scenario is
    skipped."""
    plugins: list[str] = []
    """Python modules whose kinds the scenario uses (`sim.kinds`); they are imported only where that is allowed."""


_Attested = Annotated[str, Meta(pattern=r"^(local|team|company|public)=(off|warn|enforce)$")]


class QuotaTable(_Table):
    """`[federation] quota`: how much of a peer and of an origin a node takes in within a window; 0 is no limit."""

    window: Positive = parse_duration("1d")
    """How long a window is; it begins at a multiple of its length on the wall clock."""
    peer_facts: Annotated[int, Meta(ge=0)] = 0
    """Facts that a peer may bring in a window."""
    peer_bytes: Annotated[int, Meta(ge=0)] = 0
    """Bytes of facts that a peer may bring in a window."""
    peer_origins: Annotated[int, Meta(ge=0)] = 0
    """Origins whose facts a peer may bring in a window."""
    peer_entities: Annotated[int, Meta(ge=0)] = 0
    """Entities about which a peer may bring facts in a window."""
    origin_facts: Annotated[int, Meta(ge=0)] = 0
    """Facts of one origin that are taken in within a window, whoever brings them."""
    origin_bytes: Annotated[int, Meta(ge=0)] = 0
    """Bytes of facts of one origin that are taken in within a window."""


class Federation(_Table):
    """`[federation]`: who takes part, how they are linked and how they replicate."""

    nodes: list[NodeName] | Annotated[int, Meta(ge=1)] | None = None
    """The nodes: their names, or how many there are; left out where a map says it."""
    topology: Shape | Topology = "mesh"
    """Who is linked to whom: a shape, a shape with its numbers, or a map."""
    pull_interval: Positive = parse_duration("10s")
    """How long a node rests between two pulls from a peer that had nothing more."""
    pull_jitter: Annotated[float, Meta(ge=0.0, le=0.5)] = limits.PULL_JITTER
    """By which part of the interval each rest is longer or shorter, at random; 0 keeps the phases of a run."""
    pull_timeout: Positive = parse_duration("10s")
    """How long a node waits for an answer."""
    discovery_timeout: Positive = parse_duration("5s")
    """How long a node waits for a document of another one. Over links with longer round trips nobody can join."""
    pull_wait: NonNegative = Duration(0)
    """How long a peer that has nothing new may hold a pull; 0s is not at all."""
    pull_limit: Annotated[int, Meta(ge=1, le=500)] = 100
    """Facts in one page at most."""
    scopes: tuple[Scope, ...] = ("company", "public")
    """The scopes that both sides grant on every link."""
    allow_team: bool = False
    """Whether facts of scope 'team' may leave their node."""
    push: bool = False
    """Whether nodes let their peers bring facts unasked; ours never do, hostile ones may try."""
    relay: bool = True
    """Whether nodes serve public facts on that they received."""
    origin_keys: Literal["pinned", "vouched"] = "pinned"
    """How the keys of nodes that are no peers are known: `pinned` by operators, or `vouched` for by peers too."""
    node_ids: Literal["certified", "named"] = "certified"
    """`named`: ids like stigmem://north.sim, whose keys must be pinned or vouched for."""
    owned_sources_only: bool = False
    """Whether nodes take only facts whose source belongs to their origin."""
    attestation: tuple[_Attested, ...] = ()
    """What nodes ask of the facts of a scope: `public=enforce` for each source's signature, `warn` for a remark."""
    tombstone_signers: list[str] = []
    """Whose tombstones nodes follow beside what their manifests list: names of nodes, or `*` for every peer."""
    fresh_declarations: bool = False
    """Whether nodes refuse declarations that were signed long ago, or in the future."""
    skew_future: NonNegative = parse_duration("300s")
    """How far ahead of its own clock a stamp may be that a node takes in."""
    skew_past: NonNegative = parse_duration("30d")
    """How far behind its own clock a stamp may be."""
    drag: NonNegative = parse_duration("5s")
    """How far a received stamp may push a node's own stamps ahead."""
    quota: QuotaTable | None = None
    """How much of a peer and of an origin a node takes in within a window; left out, any amount."""
    mailbox: Annotated[int, Meta(ge=1)] = 4096
    """Messages that a node's mailbox holds before it answers 503."""


class DiskTable(_Table):
    """`[disk]`: how long a sync takes, and how much fits."""

    sync: NonNegative = parse_duration("0.5ms")
    """How long a sync takes."""
    capacity: Annotated[int, Meta(ge=1)] | None = None
    """Bytes; None is endless."""


class ClockTable(_Table):
    """`[[clock]]`: how wrong a node's clock is from the start."""

    node: str
    """Whose clock it is."""
    offset: Duration = Duration(0)
    """How far it is ahead of true time, or behind when negative."""
    drift_ppm: _Ppm = 0
    """Parts per million by which it runs fast, or slow when negative."""


class Expectation(_Table):
    """`[[expect]]`: a metric of run.json and its bounds (`sim.scenario.metrics`), at least one of them.

    Metrics of time are in seconds; their bounds may be durations as texts. The other keys are for lag and `missing`:
    `per` tells whether a lag is that of a copy, of a fact until it was everywhere, or until a majority held it; `node`
    (the reader), `origin`, `scope`, `hops` and `link` choose copies, `window` the time of writing: begin and end.
    """

    metric: str
    """The name of the metric."""
    at_most: _BoundText | float | None = None
    """The most that it may be."""
    at_least: _BoundText | float | None = None
    """The least that it may be."""
    equals: _BoundText | float | None = None
    """What it must be."""
    per: Literal["copy", "fact", "quorum"] = "copy"
    """Whose lag it is: of every copy, of every fact until its last copy, or until a majority held the fact."""
    node: str | None = None
    """Only copies on this node."""
    origin: str | None = None
    """Only facts that this node wrote."""
    scope: Scope | None = None
    """Only facts of this scope."""
    hops: Annotated[int, Meta(ge=1)] | None = None
    """Only copies so many links from their origin, on the shortest way."""
    link: Annotated[list[str], Meta(min_length=2, max_length=2)] | None = None
    """Only copies of one end of this link on its other end."""
    window: Annotated[list[NonNegative], Meta(min_length=2, max_length=2)] | None = None
    """Only facts that were written from the first time on and before the second."""
    over_seeds: Literal["p5", "p50", "p90", "p95", "max"] | None = None
    """In a study of many seeds: which of their values the bounds are for. It then says nothing about a single one of
    its runs."""


class Sweep(_Table):
    """`[[sweep]]`: a key that is varied, for `stigmem-sim run` with `--seeds` and for `sim.sweep` (`sim.study.cells`).

    Values are given, or are `count` at equal distances from `first` to `last`: numbers, or durations as texts.
    """

    key: str
    """Dotted, as in `network.loss` or `fault.cut.for`: faults by their names, other entries by their numbers from 0."""
    values: list[str | int | float | bool] | None = None
    """The values that the key takes, one after the other."""
    first: str | int | float | None = None
    """The first of equally distant values."""
    last: str | int | float | None = None
    """The last of them."""
    count: Annotated[int, Meta(ge=2, le=10_000)] | None = None
    """How many they are."""
    together: str | None = None
    """The name of a group whose keys advance together; sweeps of no group are crossed with everything."""


class Reach(_Table):
    """`[[reach]]`: what at least one run of a suite must have met; exactly one of the keys. It says nothing about a
    single run: a suite in which no seed met it has not tried what the scenario is about, and is no pass."""

    code: str | None = None
    """The code of something that was turned away (`sim.scenario.metrics`)."""
    event: str | None = None
    """An event that a node wrote into its audit log."""
    metric: str | None = None
    """A metric of run.json that must be above 0."""


class Variant(_Table):
    """`[[variant]]`: the same scenario with some keys changed, which a suite runs beside it and
    `stigmem-sim run --variant` runs alone."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$", description="a short name such as 'skewed'")]
    """What it is called."""
    set: dict[str, Any]
    """The keys that are changed, dotted as in a sweep (`"fault.cut.for" = "1m"`), each with its value; a list such as
    `fault` is replaced as a whole."""


class Scenario(_Table):
    """A whole scenario."""

    # Files are read as `scenario_type`, whose kinds are those that the scenario sees; values made in Python may hold
    # any.

    scenario: ScenarioTable
    """Name, seed and length of the run."""
    federation: Federation = msgspec.field(default_factory=Federation)
    """Who takes part, how they are linked and how they replicate."""
    network: NetworkTable = msgspec.field(default_factory=NetworkTable)
    """What the wire is like all the time."""
    disk: DiskTable = msgspec.field(default_factory=DiskTable)
    """What disks are like."""
    clock: list[ClockTable] = []
    """How wrong clocks are from the start."""
    link: list[LinkTable] = []
    """What differs on single links."""
    workload: list[Workload] = []
    """What is written."""
    fault: list[Fault] = []
    """What goes wrong."""
    adversary: list[Adversary] = []
    """Who is hostile."""
    expect: list[Expectation] = []
    """What must come of it."""
    sweep: list[Sweep] = []
    """Which keys are varied, when the scenario is run as a study of many runs."""
    reach: list[Reach] = []
    """What at least one run of a suite must have met."""
    variant: list[Variant] = []
    """The same scenario with some keys changed."""

    @property
    def name(self) -> str:
        return self.scenario.name

    @staticmethod
    def load(path: str | Path, *, allow_plugins: bool = False) -> Scenario:
        """A scenario from a file; raises `sim.scenario.reading.BadScenario`."""
        from sim.scenario.reading import load_scenario

        return load_scenario(Path(path), allow_plugins=allow_plugins)


_SORTS: Final = ("workload", "fault", "adversary")


@lru_cache(maxsize=64)
def scenario_type(modules: tuple[str, ...] = ()) -> type[Scenario]:
    """The shape of a file whose kinds are those of this package and of some other modules. Raises AmbiguousKind."""
    kinds = [(sort, _list_of(_any_of(sort, modules)), _tables()) for sort in _SORTS]
    made: Any = msgspec.defstruct(
        Scenario.__name__,
        [
            *kinds,
            ("expect", list[Expectation], _tables()),
            ("sweep", list[Sweep], _tables()),
            ("reach", list[Reach], _tables()),
            ("variant", list[Variant], _tables()),
        ],
        bases=(Scenario,),
        module=Scenario.__module__,
        namespace={"__doc__": Scenario.__doc__},
        kw_only=True,
    )
    found: type[Scenario] = made
    return found


def _any_of(sort: str, modules: tuple[str, ...]) -> Any:
    return reduce(or_, find_kinds(sort, modules).values())


def _list_of(item: Any) -> Any:
    return list[item]


def _tables() -> Any:
    return msgspec.field(default_factory=list)
