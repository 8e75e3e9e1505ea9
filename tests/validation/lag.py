"""Lag without faults: one hop, a line of hops, meshes and random graphs, waiting pulls."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.validation import laws, significance
from tests.validation.laws import Pull
from tests.validation.rows import Experiment, Row
from tests.validation.runs import in_chunks, scenario, simulate

Floats = NDArray[np.float64]
PULL = Pull(interval_s=2.0, way_s=0.001)
WIRE = '[network]\nlatency = "1ms"'
HOPS = 8


def writers(rate: str, start: str, stop: str, nodes: str = "") -> str:
    """Poisson writers of facts that contradict nothing."""
    where = f"\nnodes = {nodes}" if nodes else ""
    return f"""[[workload]]
kind = "writers"
rate = "{rate}"
start = "{start}"
stop = "{stop}"
fresh = true
kinds = ["number"]{where}"""


def burst(node: str, at: str, count: int = 1) -> str:
    """So many facts at one moment."""
    return f'[[workload]]\nkind = "burst"\nnodes = ["{node}"]\ncount = {count}\nstart = "{at}"'


def poisson_times(random: Random, per_s: float, begin: float, end: float) -> list[float]:
    """The moments of a Poisson process."""
    times, time = [], begin + random.expovariate(per_s)
    while time < end:
        times.append(time)
        time += random.expovariate(per_s)
    return times


# --- two nodes ---


def two_nodes(seeds: tuple[int, ...]) -> Floats:
    """Lags of facts that two nodes write all the time: every page holds one, so its sync is part of the period."""
    text = scenario(WIRE, writers("20/s", "6s", "54s"), duration="56s", nodes="2", pull_interval='"2s"')
    return np.concatenate([simulate(text, seed).copies()["lag_s"].to_numpy() for seed in seeds])


JITTER = 0.4


def jittered(seeds: tuple[int, ...]) -> Floats:
    """The same with rests that are spread."""
    text = scenario(
        WIRE, writers("20/s", "6s", "94s"), duration="100s", nodes="2", pull_interval='"2s"',
        pull_jitter=f"{JITTER}",
    )  # fmt: skip
    return np.concatenate([simulate(text, seed).copies()["lag_s"].to_numpy() for seed in seeds])


def judge_jittered(lags: Floats, jitter: float = JITTER, pull: Pull = PULL) -> list[Row]:
    spread_s, period_s = jitter * pull.interval_s, pull.period_s + pull.sync_s
    least, most = period_s - spread_s, period_s + spread_s + 1e-9
    mean_s = (period_s**2 + spread_s**2 / 3.0) / (2.0 * period_s) + pull.hop_s
    return [
        Row(
            law=f"two nodes whose rests are spread by {jitter:.0%}: lag is what is left of a period (renewal theory)",
            predicted=f"mean {mean_s:.4f} s",
            measured=f"mean {lags.mean():.4f} s over {len(lags)} copies",
            test="KS",
            p=significance.ks_law(lags - pull.hop_s, lambda x: laws.residual(x, least, most)),
        )
    ]


def judge_two_nodes(lags: Floats, pull: Pull = PULL) -> list[Row]:
    period_s = pull.period_s + pull.sync_s
    p = significance.ks_law((lags - pull.hop_s) / period_s, laws.uniform)
    return [
        Row(
            law="two nodes: lag is uniform over one period of the puller",
            predicted=f"mean {period_s / 2 + pull.hop_s:.4f} s",
            measured=f"mean {lags.mean():.4f} s over {len(lags)} copies",
            test="KS",
            p=p,
        )
    ]


# --- a line ---


def line(seeds: tuple[int, ...]) -> Floats:
    """A row per direction and seed: the lag of one fact after 1, 2, ... hops. One fact from each end: the two use
    different pullers."""
    names = [f"node-{number:02d}" for number in range(1, HOPS + 2)]
    text = scenario(
        WIRE, burst(names[0], "5s"), burst(names[-1], "5s"), duration="6s",
        nodes=str(HOPS + 1), topology='"line"', pull_interval='"2s"',
    )  # fmt: skip
    found = []
    for seed in seeds:
        copies = simulate(text, seed).copies()
        for end in (names, names[::-1]):
            of_end = copies.filter(pl.col("origin") == end[0])
            by_node = dict(zip(of_end["node"], of_end["lag_s"], strict=True))
            found.append([by_node[name] for name in end[1:]])
    return np.array(found)


def judge_line(lags: Floats, pull: Pull = PULL, skipped: int = 0) -> list[Row]:
    """`skipped` hops are left out of the law: what a test perturbs."""
    rows = []
    for hops in range(1, lags.shape[1] + 1):
        terms = max(hops - skipped, 1)
        fixed_s = hops * pull.hop_s + (hops - 1) * pull.stranger_s
        sums = (lags[:, hops - 1] - fixed_s) / pull.period_s
        many = "s" * (hops > 1)
        rows.append(
            Row(
                law=f"line, {hops} hop{many}: lag is the sum of {hops} uniform wait{many} (Irwin-Hall)",
                predicted=f"mean {hops * pull.period_s / 2 + fixed_s:.3f} s",
                measured=f"mean {lags[:, hops - 1].mean():.3f} s over {len(lags)} chains",
                test="KS",
                p=significance.ks_law(sums, lambda x, terms=terms: laws.irwin_hall(x, terms)),
            )
        )
    return rows


def waits_of(lags: Floats, pull: Pull = PULL) -> Floats:
    """The waits at each hop, in periods."""
    return np.diff(lags, axis=1, prepend=0.0) / pull.period_s


def judge_phases(lags: Floats) -> list[Row]:
    """`lags` of the line: a row per direction and seed, the two directions of a seed one after the other."""
    waits = waits_of(lags)
    inner = waits[:, 1:]
    up, down = inner[0::2], inner[1::2]
    return [
        Row(
            law="phases of the pullers along a line are independent of each other",
            predicted="no correlation",
            measured=f"{inner.shape[1] * (inner.shape[1] - 1) // 2} pairs of hops, {len(inner)} chains",
            test="chi-square of all correlations",
            p=significance.correlations(inner),
        ),
        Row(
            law="the same federation with another seed is another sample: seed n against seed n + 1",
            predicted="no correlation",
            measured=f"{up[1:].size} pairs",
            test="correlation",
            p=significance.correlation(up[:-1].ravel(), up[1:].ravel()),
        ),
        Row(
            law="the two pullers of one link are independent of each other",
            predicted="no correlation",
            measured=f"{up[:, :-1].size} pairs",
            test="correlation",
            # Hop h of the one chain and hop HOPS + 1 - h of the other are the two directions of a link.
            p=significance.correlation(up[:, :-1].ravel(), down[:, -2::-1].ravel()),
        ),
    ]


# --- graphs ---

MESH = 6
REGULAR, DEGREE = 16, 4
RATE_PER_MINUTE = 3


def graph_run(seeds: tuple[int, ...], shape: str, nodes: int) -> Floats:
    """A row per seed: median, 90th percentile and maximum of lag."""
    topology = '"mesh"' if shape == "mesh" else f'{{ kind = "random-regular", degree = {DEGREE} }}'
    text = scenario(
        WIRE,
        writers(f"{RATE_PER_MINUTE}/m", "8s", "28s"),
        duration="29s",
        nodes=str(nodes),
        topology=topology,
        pull_interval='"2s"',
    )
    return np.array([summary(simulate(text, seed).copies()["lag_s"].to_numpy()) for seed in seeds])


def summary(lags: Floats) -> list[float]:
    return [float(np.quantile(lags, 0.5)), float(np.quantile(lags, 0.9)), float(lags.max()), len(lags)]


def graph_law(shape: str, nodes: int, runs: int, *, hops_max: int | None = None) -> Floats:
    """What graph_run should give, by timetables on graphs of their own. `hops_max`: as `laws.first_arrivals`."""
    random = Random(1)
    found = []
    for _ in range(runs):
        graph = nx.complete_graph(nodes)
        while shape != "mesh" and not nx.is_connected(graph := nx.random_regular_graph(DEGREE, nodes, random)):
            pass
        links = [pair for a, b in graph.edges for pair in ((a, b), (b, a))]
        facts = max(1, len(poisson_times(random, nodes * RATE_PER_MINUTE / 60.0, 0.0, 20.0)))
        found.append(summary(laws.timetable_lags(links, facts, PULL, random, hops_max)))
    return np.array(found)


def judge_graph(name: str, measured: Floats, law: Floats) -> list[Row]:
    rows = []
    for place, what in enumerate(("median", "90th percentile", "maximum")):
        rows.append(
            Row(
                law=f"{name}: {what} of a run's lag, by timetables with random phases",
                predicted=f"median over runs {np.median(law[:, place]):.3f} s",
                measured=f"{np.median(measured[:, place]):.3f} s over {len(measured)} runs",
                test="KS, two samples of runs",
                p=significance.ks_two(measured[:, place], law[:, place]),
            )
        )
    return rows


def _two_nodes() -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        lags = np.concatenate(results)
        return {
            "two nodes whose interval is 5 % longer": judge_two_nodes(lags, replace(PULL, interval_s=2.1)),
            "two nodes that are 40 ms further apart": judge_two_nodes(lags, replace(PULL, way_s=0.041)),
        }

    return Experiment(
        name="two-nodes",
        title="Lag without faults",
        jobs=lambda: in_chunks(two_nodes, range(1, 5), 1),
        judge=lambda results: judge_two_nodes(np.concatenate(results)),
        wrong=wrong,
    )


def _jittered() -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        return {"rests that are not spread": judge_jittered(np.concatenate(results), 0.0)}

    return Experiment(
        name="jitter",
        title="Lag without faults",
        jobs=lambda: in_chunks(jittered, range(1, 5), 1),
        judge=lambda results: judge_jittered(np.concatenate(results)),
        wrong=wrong,
    )


def _line() -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        lags = np.concatenate(results)
        common = lags + 0.5 * lags[:, :1] * np.arange(1, HOPS + 1)  # a part of every wait that all of them share
        return {
            "a line with one hop less": judge_line(lags, skipped=1)[1:],
            "a line whose interval is 10 % longer": judge_line(lags, replace(PULL, interval_s=2.2)),
            "phases that have a part in common": judge_phases(common)[:1],
        }

    def judge(results: list[Any]) -> list[Row]:
        lags = np.concatenate(results)
        return [*judge_line(lags), *judge_phases(lags)]

    return Experiment(
        name="line", title="Lag without faults", jobs=lambda: in_chunks(line, range(1, 161), 10), judge=judge,
        wrong=wrong,
    )  # fmt: skip


def _graph(name: str, shape: str, nodes: int, runs: int) -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        measured = np.concatenate(results[:-1])
        return {
            f"{name} without relays": judge_graph(name, measured, graph_law("mesh", nodes, 200, hops_max=1)),
        }

    return Experiment(
        name=shape,
        title="Lag without faults",
        jobs=lambda: [*in_chunks(graph_run, range(1, runs + 1), 4, shape, nodes), (graph_law, (shape, nodes, 600))],
        judge=lambda results: judge_graph(name, np.concatenate(results[:-1]), results[-1]),
        wrong=wrong,
    )


EXPERIMENTS = (
    _two_nodes(),
    _jittered(),
    _line(),
    _graph(f"mesh of {MESH}", "mesh", MESH, 40),
    _graph(f"random graph of {REGULAR}, degree {DEGREE}", "random-regular", REGULAR, 20),
)
