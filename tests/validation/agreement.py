"""The laboratory against the independent model, and run.json against its own parquet file.

Both sides get the same federation and different chance; what is compared are numbers per run (a run is one sample,
however many facts it has): median and 99th percentile of lag, how many pulls were tried, and how long the last copy
took after the writes stopped, or after the heal where there is a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from random import Random
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from tests.validation import significance
from tests.validation.lag import burst, poisson_times, writers
from tests.validation.model import Model, Rules
from tests.validation.rows import Experiment, Row
from tests.validation.runs import PULL, Job, in_chunks, scenario, simulate_traced

Floats = NDArray[np.float64]
NUMBERS = ("median lag", "99th percentile of lag", "pulls tried", "last copy")
_LOW_S, _HIGH_S = 0.01, 0.05
_BEGIN_S = 8.0
"""Writes begin: all links are made by then."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One federation for both sides. `cut`: begin and end in seconds; the first half of the nodes against the rest.
    `loss` begins with the writes, so that the handshakes are over, and ends a second after them. `elsewhere`: of the
    model only."""

    name: str
    told: str
    nodes: int
    shape: str
    interval_s: float
    timeout_s: float = 10.0
    wait_s: float = 0.0
    loss: float = 0.0
    jitter: float = 0.0
    elsewhere: bool = True
    writes_per_minute: int = 4
    stop_s: float = 40.0
    cut: tuple[float, float] | None = None

    @property
    def watched_s(self) -> tuple[float, float]:
        """Between which moments pulls are counted."""
        return _BEGIN_S, self.stop_s

    def links(self) -> list[tuple[int, int]]:
        """Both directions of every link."""
        graph = nx.complete_graph(self.nodes) if self.shape == "mesh" else nx.path_graph(self.nodes)
        return [pair for link in graph.edges for pair in (link, link[::-1])]


CASES = (
    Case(name="line", told="line of 12", nodes=12, shape="line", interval_s=2.0, writes_per_minute=2, stop_s=28.0),
    Case(
        name="cut", told="mesh of 6 with jitter, a cut of 30 s and 2 % loss", nodes=6, shape="mesh", interval_s=2.0,
        timeout_s=3.0, loss=0.02, stop_s=62.0, cut=(15.0, 45.0), jitter=0.1,
    ),
    Case(
        name="loss", told="two nodes at 20 % loss", nodes=2, shape="mesh", interval_s=2.0, timeout_s=2.0, loss=0.2,
        writes_per_minute=20, stop_s=100.0,
    ),
    Case(
        name="waiting-two", told="two nodes with waiting pulls", nodes=2, shape="mesh", interval_s=6.0, wait_s=4.0,
        writes_per_minute=20, stop_s=60.0,
    ),
    Case(
        name="waiting-mesh", told="triangle with waiting pulls", nodes=3, shape="mesh", interval_s=20.0, wait_s=10.0,
        writes_per_minute=20, stop_s=80.0,
    ),
)  # fmt: skip


def simulated(seeds: tuple[int, ...], case: Case) -> Floats:
    """A row per seed: NUMBERS in the laboratory."""
    tables = [
        '[network]\nlatency = { kind = "uniform", low = "10ms", high = "50ms" }',
        writers(f"{case.writes_per_minute}/m", f"{_BEGIN_S:g}s", f"{case.stop_s:g}s"),
    ]
    if case.loss:
        tables.append(f'[[fault]]\nkind = "loss"\nat = "{_BEGIN_S:g}s"\nshare = {case.loss}')
    if case.cut is not None:
        begin, end = case.cut
        tables.append(f'[[fault]]\nkind = "partition"\nat = "{begin:g}s"\nfor = "{end - begin:g}s"\nshape = "halves"')
    text = scenario(
        *tables, duration=f"{case.stop_s + 1:g}s", settle="5m", nodes=str(case.nodes), topology=f'"{case.shape}"',
        pull_interval=f'"{case.interval_s:g}s"', pull_timeout=f'"{case.timeout_s:g}s"', pull_wait=f'"{case.wait_s:g}s"',
        pull_jitter=f"{case.jitter:g}",
    )  # fmt: skip
    rows = []
    for seed in seeds:
        outcome = simulate_traced(text, seed)
        copies = outcome.copies()
        pulls = [event[0] / 1e9 for event in outcome.tried(PULL)]
        rows.append(_numbers(case, copies["written_s"].to_numpy(), copies["visible_s"].to_numpy(), pulls))
    return np.array(rows)


def modelled(runs: int, case: Case, seed: int = 1) -> Floats:
    """A row per run: NUMBERS in the model."""
    random = Random(f"model {case.name} {seed}")
    begin, end = case.cut or (0.0, 0.0)
    half = case.nodes // 2

    def lost(source: int, target: int, now: float, random: Random) -> bool:
        cut = begin <= now < end and (source < half) != (target < half)
        return cut or (_BEGIN_S <= now < case.stop_s + 1 and random.random() < case.loss)

    rules = Rules(
        interval_s=case.interval_s, timeout_s=case.timeout_s, wait_s=case.wait_s, jitter=case.jitter,
        elsewhere=case.elsewhere,
        delay=lambda random: random.uniform(_LOW_S, _HIGH_S), lost=lost,
    )  # fmt: skip
    links = case.links()
    starts = {link: 0.2 + 0.01 * (number // 2) for number, link in enumerate(links)}
    rows = []
    for _ in range(runs):
        model = Model(case.nodes, links, rules, random)
        per_s = case.writes_per_minute / 60.0
        writes = [(t, node) for node in range(case.nodes) for t in poisson_times(random, per_s, _BEGIN_S, case.stop_s)]
        model.run(writes, case.stop_s + 200.0, starts)
        written, visible = [], []
        for node, held in enumerate(model.nodes):
            for fact, time in held.seen.items():
                if model.origins[fact] != node:
                    written.append(model.nodes[model.origins[fact]].seen[fact])
                    visible.append(time)
        rows.append(_numbers(case, np.array(written), np.array(visible), model.pulls))
    return np.array(rows)


def _numbers(case: Case, written: Floats, visible: Floats, pulls: Sequence[float]) -> list[float]:
    lags = visible - written
    since, upto = case.watched_s
    tried = sum(since <= time < upto for time in pulls)
    end = case.stop_s if case.cut is None else case.cut[1]
    last = visible[written < end].max() - end
    p50, p99 = np.quantile(lags, [0.5, 0.99])
    # Rounded, so that what is constant in both is equal in both: one counts in nanoseconds, the other in floats.
    return [round(float(p50), 5), round(float(p99), 5), tried, round(float(last), 5)]


def judge_case(case: Case, measured: Floats, law: Floats) -> list[Row]:
    rows = []
    for place, what in enumerate(NUMBERS):
        unit = "" if what == "pulls tried" else " s"
        name = "last copy after the heal" if what == "last copy" and case.cut else what
        rows.append(
            Row(
                law=f"{case.told}: {name}, by the independent model",
                predicted=f"median over runs {np.median(law[:, place]):.4g}{unit}",
                measured=f"{np.median(measured[:, place]):.4g}{unit} over {len(measured)} runs",
                test="KS, two samples of runs",
                p=significance.ks_two(measured[:, place], law[:, place]),
            )
        )
    return rows


# --- percentiles from the parquet file ---


def percentiles(seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Lag as run.json tells it, and worked out from facts.parquet with polars alone: nearest rank."""
    wire = '[network]\nlatency = { kind = "lognormal", median = "40ms", p99 = "180ms" }\nloss = 0.02'
    text = scenario(wire, writers("20/m", "3s", "50s"), burst("node-01", "20s", 30), duration="52s", nodes="5",
                    topology='"ring"', pull_interval='"3s"')  # fmt: skip
    outcome = simulate_traced(text, seed)
    lags = outcome.facts.filter("measured").select("age_s").sort("age_s")["age_s"]
    ranks = {"p50_s": 0.5, "p90_s": 0.9, "p99_s": 0.99, "max_s": 1.0}
    found = {name: float(lags[max(ceil(len(lags) * share) - 1, 0)]) for name, share in ranks.items()}
    return outcome.numbers["lag"], found


def judge_percentiles(told: dict[str, float], found: dict[str, float]) -> list[Row]:
    worst = max(abs(told[name] - found[name]) for name in found)
    return [
        Row(
            law="percentiles of run.json are those of facts.parquet, by nearest rank",
            predicted=", ".join(f"{name[:-2]} {value:.6f}" for name, value in found.items()),
            measured=f"largest difference {worst * 1e9:.0f} ns",
            test="exact, to 1 ns",
            holds=worst < 1.5e-9,
        )
    ]


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "line": ("a line that is one node shorter", {"nodes": 11}),
    "cut": ("a cut that is a third shorter", {"cut": (15.0, 35.0)}),
    "loss": ("no loss", {"loss": 0.0}),
    "waiting-two": ("pulls that do not wait", {"wait_s": 0.0}),
    "waiting-mesh": ("every repetition ends a wait", {"elsewhere": False}),
}
"""For each case a model that is wrong: what is wrong with it, and the fields that differ."""


def _case(case: Case, runs: int, modelled_runs: int) -> Experiment:
    told, fields = WRONG[case.name]

    def jobs() -> list[Job]:
        half = modelled_runs // 2
        models = [(modelled, (half, case, 1)), (modelled, (half, case, 2)), (modelled, (40, replace(case, **fields)))]
        return [*in_chunks(simulated, range(1, runs + 1), 4, case), *models]

    def judge(results: list[Any]) -> list[Row]:
        return judge_case(case, np.concatenate(results[:-3]), np.concatenate(results[-3:-1]))

    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        return {f"{case.told}: {told}": judge_case(case, np.concatenate(results[:-3]), results[-1])}

    return Experiment(
        name=f"model-{case.name}", title="Against the independent model", jobs=jobs, judge=judge, wrong=wrong
    )


def _percentiles() -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        told, found = results[0]
        return {
            "percentiles that are a microsecond more": judge_percentiles(told, {**found, "p99_s": told["p99_s"] + 1e-6})
        }

    return Experiment(
        name="percentiles", title="What is printed", jobs=lambda: [(percentiles, (1,))],
        judge=lambda found: judge_percentiles(*found[0]), wrong=wrong,
    )  # fmt: skip


LINE, CUT, LOSS, WAITING_TWO, WAITING_MESH = CASES
EXPERIMENTS = (
    _case(LINE, 36, 100),
    _case(CUT, 36, 100),
    _case(LOSS, 48, 300),
    _case(WAITING_TWO, 48, 300),
    _case(WAITING_MESH, 36, 200),
    _percentiles(),
)
