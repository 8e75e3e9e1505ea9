"""Chance and time of the simulated world: delays, queues of a link, clocks that drift, writers and their subjects.

Everything here is read from the trace of one long run and compared with a closed form; what is deterministic is
compared to the nanosecond.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.validation import laws, significance
from tests.validation.lag import WIRE, burst
from tests.validation.rows import Experiment, Row
from tests.validation.runs import PULL, scenario, simulate, simulate_traced

Floats = NDArray[np.float64]
_MS = 1e6

# --- delays ---

LATENCIES = {
    "uniform": '{ kind = "uniform", low = "10ms", high = "50ms" }',
    "lognormal": '{ kind = "lognormal", median = "40ms", p99 = "180ms" }',
    "exponential": '{ kind = "exponential", floor = "5ms", mean = "20ms" }',
}
_DELAY_LAWS: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "uniform": ("10 to 50 ms", lambda ms: laws.uniform((ms - 10.0) / 40.0)),
    "lognormal": ("median 40 ms, p99 180 ms", lambda ms: laws.lognormal(ms, 40.0, 180.0)),
    "exponential": ("5 ms and a mean of 20 ms more", lambda ms: laws.exponential(ms - 5.0, 20.0)),
}


def delays(seed: int, kind: str) -> dict[str, list[float]]:
    """Delays in ms of the messages of three nodes, by sender."""
    wire = f"[network]\nlatency = {LATENCIES[kind]}"
    text = scenario(wire, burst("node-01", "5s"), duration="600s", nodes="3", pull_interval='"1s"')
    found: dict[str, list[float]] = defaultdict(list)
    for event in simulate_traced(text, seed).events:
        if event[1] == "sent":
            found[event[2]].append(event[7] / _MS)
    return dict(found)


def judge_delays(kind: str, found: dict[str, list[float]]) -> list[Row]:
    told, law = _DELAY_LAWS[kind]
    all_of_them = np.concatenate([found[sender] for sender in sorted(found)])
    return [
        Row(
            law=f"{kind} latency: {told}",
            predicted=told,
            measured=f"median {np.median(all_of_them):.2f} ms over {len(all_of_them)} messages",
            test="KS",
            p=significance.ks_law(all_of_them, law),
        )
    ]


def judge_streams(found: dict[str, list[float]], shared: float = 0.0) -> list[Row]:
    """One stream of chance per sender: none says anything about another, nor about its own past. `shared`: how much of
    the second sender a test mixes into the first."""
    names = sorted(found)
    length = min(len(found[name]) for name in names)
    table = np.log(np.array([found[name][:length] for name in names]).T)
    table[:, 0] += shared * table[:, 1]
    before, after = table[:-1].ravel(), table[1:].ravel()
    return [
        Row(
            law="delays of different senders are independent",
            predicted="no correlation",
            measured=f"{len(names)} senders, {length} messages each",
            test="chi-square of all correlations",
            p=significance.correlations(table),
        ),
        Row(
            law="delays of one sender, one after the other, are independent",
            predicted="no correlation",
            measured=f"{len(before)} pairs",
            test="correlation",
            p=significance.correlation(before, after),
        ),
    ]


# --- bandwidth ---

BITS_PER_S = 64_000


def queued(seed: int) -> list[list[tuple[int, int, int]]]:
    """(when sent, bytes, delay) in ns of every message, a list per ordered pair of nodes."""
    wire = f'[network]\nlatency = "30ms"\nbandwidth = "{BITS_PER_S // 1000}kbit/s"'
    text = scenario(wire, burst("node-01", "5s", 40), burst("node-02", "9s", 40), duration="20s", nodes="3",
                    pull_interval='"1s"', pull_timeout='"8s"')  # fmt: skip
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for event in simulate_traced(text, seed).events:
        if event[1] == "sent":
            found[event[2], event[3]].append((event[0], event[5], event[7]))
    return list(found.values())


def judge_queues(found: list[list[tuple[int, int, int]]], bits_per_s: int = BITS_PER_S) -> list[Row]:
    worst = waited = 0
    for pair in found:
        predicted = laws.link_delays_ns([(time, size) for time, size, _ in pair], bits_per_s, 30_000_000)
        for (_, size, delay), law in zip(pair, predicted, strict=True):
            worst = max(worst, abs(delay - law))
            waited += law > 30_000_000 + size * 8 * 1_000_000_000 // bits_per_s
    return [
        Row(
            law="bandwidth: each ordered pair of nodes is a queue of its own, first come, first served, without end",
            predicted=f"every delay to the nanosecond, {waited} of them in a queue",
            measured=f"largest difference {worst} ns over {sum(map(len, found))} messages",
            test="exact",
            holds=worst == 0 and waited > 10,
        )
    ]


# --- clocks ---

DRIFTS_PPM = {"node-01": 0, "node-02": 50_000, "node-03": -50_000}


def rests(seed: int) -> dict[str, list[int]]:
    """Nanoseconds from one empty pull to the next, by who pulls."""
    clocks = [f'[[clock]]\nnode = "{name}"\ndrift_ppm = {ppm}' for name, ppm in DRIFTS_PPM.items() if ppm]
    text = scenario(WIRE, *clocks, burst("node-01", "5s"), duration="60s", nodes="3", pull_interval='"2s"')
    asked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in simulate_traced(text, seed).tried(PULL):
        if event[0] > 20_000_000_000:
            asked[event[2], event[3]].append(event[0])
    found: dict[str, list[int]] = defaultdict(list)
    for (source, _), times in asked.items():
        found[source] += [later - sooner for sooner, later in pairwise(times)]
    return dict(found)


def judge_drift(found: dict[str, list[int]], drifts: dict[str, int] = DRIFTS_PPM) -> list[Row]:
    worst = 0
    for name, gaps in found.items():
        period_ns = 2_000_000_000 * 1_000_000 // (1_000_000 + drifts[name]) + 2 * 1_000_000 + 500_000
        worst = max(worst, *(abs(gap - period_ns) for gap in gaps))
    return [
        Row(
            law="clock drift: a node rests its interval on its own clock, two ways and a sync come on top",
            predicted="2 s / (1 + drift) + 2L + S for drifts of 0, +50,000 and -50,000 ppm",
            measured=f"largest difference {worst} ns over {sum(map(len, found.values()))} pulls",
            test="exact, to 2 ns",
            holds=worst <= 2,
        )
    ]


# --- writers ---

SUBJECTS, EXPONENT, RATE = 50, 1.2, 40.0


def written(seed: int) -> tuple[list[float], list[int]]:
    """When the facts of one busy node were written, and how often each of its subjects was, by rank."""
    workload = f"""[[workload]]
kind = "writers"
rate = "{RATE:.0f}/s"
start = "5s"
entities = {SUBJECTS}
exponent = {EXPONENT}
fresh = true
kinds = ["number"]
nodes = ["node-01"]"""
    # A disk that needs no time: a fact is written the moment it is said. Where nobody else is, no run passes.
    text = scenario('[disk]\nsync = "0s"', workload, duration="105s", nodes="2")
    facts = simulate(text, seed).facts.filter(pl.col("node") == pl.col("origin")).sort("written_s")
    counts = Counter(facts["entity"].cast(pl.String).to_list())
    ranked = [counts[f"stigmem://sim.example/topic/{rank}"] for rank in range(SUBJECTS)]
    return facts["written_s"].to_list(), ranked


def judge_writers(times: list[float], ranked: list[int], rate: float = RATE, exponent: float = EXPONENT) -> list[Row]:
    gaps = np.diff(np.concatenate([[5.0], times]))
    counts = np.histogram(times, bins=np.arange(5.0, 105.01, 0.5))[0]
    expected = laws.zipf(SUBJECTS, exponent) * len(times)
    dispersion = float(((counts - rate / 2) ** 2).sum() / (rate / 2))
    tail = significance.chi_square_tail(dispersion, len(counts))
    return [
        Row(
            law="Poisson writers: gaps are exponential",
            predicted=f"mean {1000 / rate:.2f} ms",
            measured=f"mean {gaps.mean() * 1000:.2f} ms over {len(gaps)} gaps",
            test="KS",
            p=significance.ks_law(gaps, lambda x: laws.exponential(x, 1.0 / rate)),
        ),
        Row(
            law="Poisson writers: counts in half seconds have their mean for a variance",
            predicted=f"{rate / 2:.1f}",
            measured=f"variance {counts.var():.1f} over {len(counts)} half seconds",
            test="chi-square, both sides",
            p=2 * min(tail, 1 - tail),
        ),
        Row(
            law=f"subjects are drawn by Zipf's law, exponent {EXPONENT}",
            predicted=f"the first {expected[0]:.0f} times, the tenth {expected[9]:.0f}",
            measured=f"{ranked[0]} and {ranked[9]} of {len(times)}",
            test="chi-square",
            p=significance.chi_square(ranked, expected),
        ),
    ]


def _delays(kind: str, seed: int) -> Experiment:
    def judge(results: list[Any]) -> list[Row]:
        return judge_delays(kind, results[0]) + (judge_streams(results[0]) if kind == "lognormal" else [])

    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        longer = {sender: [1.08 * each for each in delays] for sender, delays in results[0].items()}
        found = {f"{kind} latency that is 8 % longer": judge_delays(kind, longer)}
        if kind == "lognormal":
            found["a tenth of one sender's delays in another's"] = judge_streams(results[0], shared=0.1)[:1]
        return found

    return Experiment(
        name=f"delay-{kind}", title="The wire and its chance", jobs=lambda: [(delays, (seed, kind))], judge=judge,
        wrong=wrong,
    )  # fmt: skip


def _bandwidth() -> Experiment:
    return Experiment(
        name="bandwidth", title="The wire and its chance", jobs=lambda: [(queued, (1,))],
        judge=lambda found: judge_queues(found[0]),
        wrong=lambda found: {"bandwidth that is 1 % more": judge_queues(found[0], BITS_PER_S * 101 // 100)},
    )  # fmt: skip


def _drift() -> Experiment:
    return Experiment(
        name="drift", title="The wire and its chance", jobs=lambda: [(rests, (1,))],
        judge=lambda found: judge_drift(found[0]),
        wrong=lambda found: {"a drift that is 1 ppm more": judge_drift(found[0], {**DRIFTS_PPM, "node-02": 50_001})},
    )  # fmt: skip


def _writers() -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        times, ranked = results[0]
        even = list(np.linspace(5.0, 105.0, len(times), endpoint=False))
        return {
            "writers that are 15 % quicker": judge_writers(times, ranked, rate=1.15 * RATE)[:1],
            "writers that are regular": judge_writers(even, ranked)[1:2],
            "a Zipf exponent that is 0.2 less": judge_writers(times, ranked, exponent=EXPONENT - 0.2)[2:],
        }

    return Experiment(
        name="writers", title="The wire and its chance", jobs=lambda: [(written, (1,))],
        judge=lambda found: judge_writers(*found[0]), wrong=wrong,
    )  # fmt: skip


EXPERIMENTS = (
    _delays("uniform", 1),
    _delays("lognormal", 2),
    _delays("exponential", 3),
    _bandwidth(),
    _drift(),
    _writers(),
)
