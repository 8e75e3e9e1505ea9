"""A study: every cell of a sweep with every seed, run by a pool of workers, and what comes of it.

    frame = sim.sweep("scenarios/split-brain.toml", over={"fault.cut.for": ["1m", "10m"]}, seeds=range(20), jobs=2)

One row a run: the seed, a column for each key that is varied, the verdict, and a column for each metric. What is
*expected over seeds* (`over_seeds = "p95"` in an `[[expect]]`) is held against the interval of the statistic: kept when
the whole interval keeps the bound, failed when none of it does, and undecided between the two, which more seeds mend.
Every other expectation is held against each run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sim.analysis.lag_query import selector_text
from sim.analysis.outcome import EXIT_STATUS
from sim.analysis.verdict import BOUNDS
from sim.scenario.reading import load_scenario
from sim.scenario.tables import Scenario
from sim.study.cells import Cell, axes_of, cells_of
from sim.study.cluster import Cluster
from sim.study.pool import Pool, default_jobs
from sim.study.statistics import Interval, interval_of
from sim.study.store import Store, identity_of
from sim.study.worker import Job, Measure
from sim.units import parse_duration

if TYPE_CHECKING:
    import polars as pl

__all__ = ["OverSeeds", "Study", "frame_of", "sweep"]

_NS: Final = 1e9
Told = Callable[[int, int], None]
"""Called with how many runs are done and how many there are."""


class OverSeeds(NamedTuple):
    """An expectation over seeds, in one cell: `ok` is None when its interval has the limit inside, or when no run had a
    value."""

    name: str
    cell: int
    ok: bool | None
    interval: Interval | None
    limit: float
    bound: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is to be run: the cells of a scenario, each with every seed. `folder` is where its data files are."""

    scenario: Scenario
    cells: Sequence[Cell]
    seeds: Sequence[int]
    folder: Path
    allow_plugins: bool = False
    measure: Measure | None = None
    """What else each row tells of its run, as `measured`."""

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        seeds: Iterable[int],
        *,
        folder: Path,
        over: Mapping[str, Sequence[Any]] | None = None,
        allow_plugins: bool = False,
    ) -> Study:
        """The study of a scenario: over what its `[[sweep]]` tables say and, crossed with it, over the values of these
        keys. Raises BadScenario."""
        axes = [*axes_of(scenario.sweep), *({key: list(values)} for key, values in (over or {}).items())]
        cells = cells_of(scenario, axes, folder=folder, allow_plugins=allow_plugins)
        return cls(
            scenario=scenario,
            cells=cells,
            seeds=tuple(dict.fromkeys(seeds)),
            folder=folder,
            allow_plugins=allow_plugins,
        )

    @property
    def identity(self) -> str:
        """Tells this study from others whose rows must not be mixed with its own; seeds do not count."""
        return identity_of(self.scenario, [cell.values for cell in self.cells])

    def places(self, shard: tuple[int, int] = (1, 1)) -> list[tuple[int, int]]:
        """(cell, seed) of every run, or of the n-th of so many shards, which share them out in turn."""
        every = [(cell, seed) for cell in range(len(self.cells)) for seed in self.seeds]
        number, count = shard
        return every[number - 1 :: count]

    def run(
        self, store: Store, workers: Pool | Cluster, *, shard: tuple[int, int] = (1, 1), told: Told | None = None
    ) -> list[dict[str, Any]]:
        """Have the workers run whatever the store does not have, and keep each row as it comes; the rows of the study
        in order. What ends it early, such as Ctrl-C, leaves the store with the rows that are done."""
        places = self.places(shard)
        left = [place for place in places if not store.has(*place)]
        done = len(places) - len(left)
        with workers as pool:
            if told is not None:
                told(done, len(places))
            jobs = [
                Job(self.cells[cell].scenario, self.folder, seed, self.allow_plugins, self.measure)
                for cell, seed in left
            ]
            for number, row in pool.run(jobs):
                cell, seed = left[number]
                store.add({"cell": cell, "seed": seed, "values": self.cells[cell].values, **row})
                done += 1
                if told is not None:
                    told(done, len(places))
        wanted = set(places)
        rows = [row for row in store.rows if (row["cell"], row["seed"]) in wanted]
        return sorted(rows, key=lambda row: (row["cell"], row["seed"]))

    def over_seeds(self, rows: Sequence[Mapping[str, Any]]) -> list[OverSeeds]:
        """What is expected over seeds, in every cell."""
        found = []
        for cell in range(len(self.cells)):
            mine = [row for row in rows if row["cell"] == cell and "over_seeds" in row]
            for number, name, statistic, bound, limit in self._expected():
                values = [row["over_seeds"][number] for row in mine]
                whole = bool(values) and None not in values
                interval = interval_of(values, statistic) if whole else None
                ok = _kept(interval, bound, limit) if interval is not None else (False if values else None)
                found.append(OverSeeds(f"{statistic} over seeds of {name}", cell, ok, interval, limit, bound))
        return found

    def _expected(self) -> Iterator[tuple[int, str, str, str, float]]:
        """(its number among those over seeds, metric, statistic, bound, limit) of every bound."""
        over = [each for each in self.scenario.expect if each.over_seeds is not None]
        for number, each in enumerate(over):
            for bound in BOUNDS:
                given = getattr(each, bound)
                if each.over_seeds is not None and given is not None:
                    limit = parse_duration(given) / _NS if isinstance(given, str) else given
                    yield number, each.metric + selector_text(each), each.over_seeds, bound, limit

    def verdict(self, rows: Sequence[Mapping[str, Any]]) -> Literal["pass", "fail", "inconclusive"]:
        """Fail when any run or anything expected over seeds fails, inconclusive when something could not be told."""
        words = [row["verdict"] for row in rows]
        over = [each.ok for each in self.over_seeds(rows)]
        if "fail" in words or "error" in words or False in over:
            return "fail"
        return "inconclusive" if not words or "inconclusive" in words or None in over else "pass"

    def exit_status(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """What a command that ran this exits with: 0, 1 or 3."""
        return EXIT_STATUS[self.verdict(rows)]


def _kept(interval: Interval, bound: str, limit: float) -> bool | None:
    low, high = interval.low, interval.high
    if bound == "at_most":
        return True if high <= limit else False if low > limit else None
    if bound == "at_least":
        return True if low >= limit else False if high < limit else None
    return low == high == limit if low == high else (None if low <= limit <= high else False)


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A row per run: cell, seed, the varied keys, verdict, every metric; a run that was an error has no metrics."""
    import polars as pl

    keys = list(dict.fromkeys(key for row in rows for key in row["values"]))
    metrics = list(dict.fromkeys(name for row in rows for name in row.get("metrics", ())))
    table: dict[str, Any] = {
        "cell": [row["cell"] for row in rows],
        "seed": [row["seed"] for row in rows],
        **{key: [_plain(row["values"].get(key)) for row in rows] for key in keys},
        "verdict": [row["verdict"] for row in rows],
        **{name: [_number(row.get("metrics", {}).get(name)) for row in rows] for name in metrics},
    }
    numbers: dict[str, Any] = dict.fromkeys(metrics, pl.Float64)
    return pl.DataFrame(table, schema_overrides=numbers, strict=False)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool)) or value is None else repr(value)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def sweep(
    what: str | Path | Scenario,
    over: Mapping[str, Sequence[Any]] | None = None,
    *,
    seeds: Iterable[int] = range(20),
    jobs: int | None = None,
    cluster: Any = None,
    out: str | Path | None = None,
    told: Told | None = None,
    allow_plugins: bool = False,
) -> pl.DataFrame:
    """Run a scenario, a file or a value, with every seed at every combination of the values of some keys.

    `over`: dotted keys, as in a file, each with its values: `{"network.loss": [0, 0.1], "fault.cut.for": ["1m"]}`;
    faults by their `name` or number. They are crossed with each other and with the scenario's own `[[sweep]]` tables.
    `jobs`: worker processes, by default one a processor; or `cluster`, the address of a Dask scheduler, a cluster of
    Dask, or a `distributed.Client`, for workers on other machines (`sim.study.cluster`). With `out`, a folder, what is
    done already is not done again. `told` is called with the runs that are done and all there are. The frame has a row
    a run: the keys, `seed`, `verdict`, and every metric in seconds or counts. Raises BadScenario before anything runs;
    BadFolder; and BadCluster, which may come late and leaves in `out` what is done.
    """
    if isinstance(seeds, int):
        raise TypeError(f"seeds are a list or a range: write seeds=range({seeds})")
    for key, values in (over or {}).items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"the values of {key} are a list: write [{values!r}]")
    source = Path(what) if isinstance(what, (str, Path)) else None
    scenario = what if isinstance(what, Scenario) else load_scenario(Path(what), allow_plugins=allow_plugins)
    folder = Path.cwd() if source is None else source.parent.absolute()
    study = Study.of(scenario, seeds, folder=folder, over=over, allow_plugins=allow_plugins)
    store = Store(None if out is None else Path(out), name=scenario.name, identity=study.identity)
    workers = Pool(default_jobs() if jobs is None else jobs) if cluster is None else Cluster(cluster)
    return frame_of(study.run(store, workers, told=told))
