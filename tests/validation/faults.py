"""What follows a fault: catching up after cuts, backlogs by pages, retries under loss, restarts, a peer that is off."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.validation import laws, significance
from tests.validation.lag import PULL, WIRE, burst
from tests.validation.laws import Patience, Pull
from tests.validation.rows import Experiment, Row
from tests.validation.runs import PULL as PULL_KIND
from tests.validation.runs import Outcome, in_chunks, scenario, simulate, simulate_traced

Floats = NDArray[np.float64]

# --- cuts ---

CUTS_S = (10, 40, 150)
PATIENCE = Patience(timeout_s=3.0)


def catch_ups(seeds: tuple[int, ...], cut_s: int) -> Floats:
    """From the heal to the moment at which both of two nodes hold what the other wrote during the cut."""
    begin = 20
    cut = f'[[fault]]\nkind = "partition"\nat = "{begin}s"\nfor = "{cut_s}s"\ngroups = [["node-01"], ["node-02"]]'
    early = [burst(name, "5s") for name in ("node-01", "node-02")]
    missed = [burst(name, f"{begin + cut_s / 2:g}s") for name in ("node-01", "node-02")]
    text = scenario(WIRE, *early, *missed, cut, duration=f"{begin + cut_s + 1}s", nodes="2",
                    pull_interval='"2s"', pull_timeout=f'"{PATIENCE.timeout_s:g}s"')  # fmt: skip
    heal = begin + cut_s
    found = []
    for seed in seeds:
        late = simulate(text, seed).copies().filter(pl.col("written_s") > begin)
        found.append(max(late["visible_s"].to_list()) - heal)
    return np.array(found)


def catch_up_law(cut_s: float, runs: int, patience: Patience = PATIENCE) -> Floats:
    """What catch_ups should give, so many times."""
    random = Random(1)
    return np.array([laws.catch_up_s(PULL, cut_s, patience, random) for _ in range(runs)])


def judge_cut(cut_s: float, measured: Floats, law: Floats) -> list[Row]:
    return [
        Row(
            law=f"catching up after a cut of {cut_s} s: back-off doubles to 60 s, and who gets through wakes the other",
            predicted=f"median {np.median(law):.2f} s, 95 % within {np.quantile(law, 0.95):.2f} s",
            measured=f"{np.median(measured):.2f} s and {np.quantile(measured, 0.95):.2f} s over {len(measured)} runs",
            test="KS, two samples of runs",
            p=significance.ks_two(measured, law),
        )
    ]


# --- backlogs ---

BACKLOG, PAGE = 1_650, 50
FAR = Pull(interval_s=2.0, way_s=0.03)


def pages(seed: int) -> list[tuple[float, int]]:
    """(when, how many facts) of each page by which one node takes another's backlog, the way of a message 30 ms."""
    text = scenario('[network]\nlatency = "30ms"', burst("node-01", "7s", BACKLOG), duration="12s", nodes="2",
                    pull_interval='"2s"', pull_limit=str(PAGE))  # fmt: skip
    counts = Counter(simulate(text, seed).copies()["visible_s"].to_list())
    return sorted(counts.items())


def judge_pages(found: list[tuple[float, int]], page_s: float = FAR.page_s, limit_max: int = 500) -> list[Row]:
    """`limit_max` and `page_s`: what a test makes wrong."""
    sizes = [size for _, size in found]
    law = laws.page_sizes(BACKLOG, PAGE, limit_max)
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(found)]
    worst = max(abs(gap - page_s) for gap in gaps)
    return [
        Row(
            law=f"a backlog of {BACKLOG:,} facts comes in pages of {PAGE}, doubled after five full ones",
            predicted=", ".join(f"{law.count(size)} of {size}" for size in dict.fromkeys(law)),
            measured=", ".join(f"{sizes.count(size)} of {size}" for size in dict.fromkeys(sizes)),
            test="exact",
            holds=sizes == law,
        ),
        Row(
            law="pages of one reading follow each other after two ways and one sync: the next is asked for on arrival",
            predicted=f"{page_s * 1000:.1f} ms",
            measured=f"largest difference {worst * 1000:.4f} ms over {len(gaps)} gaps",
            test="exact, to 0.1 ms",
            holds=worst < 1e-4,
        ),
    ]


# --- loss ---

LOSSES = (0.02, 0.05, 0.1, 0.2, 0.3)


def lossy(seed: int, loss: float) -> tuple[int, int, list[list[bool]]]:
    """Messages that were lost, messages in all, and for each puller whether its questions had an answer."""
    wire = f'[network]\nlatency = "1ms"\nloss = {loss}'
    text = scenario(wire, burst("node-01", "15s"), duration="900s", settle="10m", nodes="4", topology='"star"',
                    pull_interval='"1s"', pull_timeout='"1s"')  # fmt: skip
    outcome = simulate_traced(text, seed)
    messages = [event for event in outcome.events if event[1] in ("sent", "dropped")]
    lost = sum(event[1] == "dropped" for event in messages)
    return lost, len(messages), _answered(outcome)


def _answered(outcome: Outcome) -> list[list[bool]]:
    """A puller has one question under way, since no page here is followed by another; so of what it is sent between two
    questions the next answer is its own. The peer's pulls go the same way, and their kind tells them apart."""
    outcomes: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for event in outcome.events:
        if event[1] not in ("sent", "dropped"):
            continue
        _, how, source, target, kind = event[:5]
        if kind == PULL_KIND:
            outcomes[source, target].append(False)
        elif kind == "response" and how == "sent" and outcomes[target, source]:
            outcomes[target, source][-1] = True
    return list(outcomes.values())


def judge_loss(loss: float, lost: int, messages: int, outcomes: list[list[bool]], lossy_ways: int = 2) -> list[Row]:
    """`lossy_ways`: how many of the two messages of a pull can be lost; a test says 1."""
    runs = [length for puller in outcomes for length in laws.run_lengths(puller)]
    success = (1 - loss) ** lossy_ways
    most = 12
    seen = np.bincount(np.minimum(runs, most), minlength=most + 1)
    return [
        Row(
            law=f"loss {loss}: each message is lost by itself, whole",
            predicted=f"{loss:.3f}",
            measured=f"{lost / messages:.4f} of {messages} messages",
            test="binomial",
            p=significance.share(lost, messages, loss),
        ),
        Row(
            law=f"loss {loss}: a pull is answered when question and answer pass; failures in a row are geometric",
            predicted=f"{1 / success - 1:.3f} failures before a success",
            measured=f"{np.mean(runs):.3f} over {len(runs)} successes",
            test="chi-square",
            p=significance.chi_square(seen, laws.geometric(most, success) * len(runs)),
        ),
    ]


# --- restarts, and a peer that is off ---


def first_rests(seed: int, nodes: int = 30, restarts: int = 6) -> list[float]:
    """Seconds from a boot to the first pull of each puller, all nodes restarted again and again."""
    faults = [f'[[fault]]\nkind = "restart"\nat = "{20 + 8 * number}s"' for number in range(restarts)]
    text = scenario(WIRE, burst("node-01", "5s"), *faults, duration=f"{20 + 8 * restarts}s", nodes=str(nodes),
                    topology='"ring"', pull_interval='"4s"')  # fmt: skip
    found: list[float] = []
    booted: dict[str, int] = {}
    awaited: dict[str, set[str]] = {}
    for event in simulate_traced(text, seed).events:
        if event[1] == "booted":
            booted[event[2]], awaited[event[2]] = event[0], set()
        elif event[1] in ("sent", "dropped") and event[4] == PULL_KIND:
            time, _, source, target = event[:4]
            if time > 20_000_000_000 and target not in awaited[source]:
                awaited[source].add(target)
                found.append((time - booted[source]) / 1e9)
    return found


def judge_first_rests(rests: list[float], interval_s: float = 4.0) -> list[Row]:
    return [
        Row(
            law="restart: the first rest after a boot is a random part of the interval",
            predicted=f"uniform, mean {interval_s / 2:.2f} s",
            measured=f"mean {np.mean(rests):.3f} s over {len(rests)} pullers",
            test="KS",
            p=significance.ks_law(np.array(rests) / interval_s, laws.uniform),
        )
    ]


OFF_INTERVAL_S = 2.0


def retries(seed: int, leaves: int = 40) -> list[list[float]]:
    """The rests in seconds of each leaf of a star whose hub is off for five minutes, in their order."""
    off = '[[fault]]\nkind = "crash"\nnode = "node-01"\nat = "10s"\nfor = "300s"'
    text = scenario(WIRE, burst("node-02", "5s"), off, duration="312s", nodes=str(leaves + 1), topology='"star"',
                    pull_interval=f'"{OFF_INTERVAL_S:g}s"')  # fmt: skip
    asked: dict[str, list[float]] = defaultdict(list)
    for event in simulate_traced(text, seed).tried(PULL_KIND):
        if 10_000_000_000 < event[0] < 310_000_000_000 and event[3] == "node-01":
            asked[event[2]].append(event[0] / 1e9)
    ways_s = 2 * PULL.way_s  # a machine that is off refuses at once
    return [[later - sooner - ways_s for sooner, later in pairwise(times)] for times in asked.values()]


def judge_retries(rests: list[list[float]], most_s: float = 60.0, spread: float = 0.2) -> list[Row]:
    bases = [min(OFF_INTERVAL_S * 2.0**number, most_s) for number in range(max(map(len, rests)))]
    spreads = [rest / base for each in rests for rest, base in zip(each, bases, strict=False)]
    return [
        Row(
            law="back-off: the interval, doubled for each failure, to at most 60 s, each times 0.8 to 1.2 at random",
            predicted="uniform on 0.8 to 1.2",
            measured=f"{min(spreads):.3f} to {max(spreads):.3f}, mean {np.mean(spreads):.3f} of {len(spreads)} rests",
            test="KS",
            p=significance.ks_law((np.array(spreads) - 1 + spread) / (2 * spread), laws.uniform),
        )
    ]


def _cut(cut_s: int) -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        measured = np.concatenate(results[:-1])
        deaf, steady = replace(PATIENCE, woken=False), replace(PATIENCE, growth=1.0)
        told = f"a cut of {cut_s} s"
        found = {}
        if cut_s > 10:  # after a short cut both come back soon in any case
            found[f"{told} after which nobody wakes the other"] = judge_cut(
                cut_s, measured, catch_up_law(cut_s, 2_000, deaf)
            )
            found[f"{told} with a back-off that does not grow"] = judge_cut(
                cut_s, measured, catch_up_law(cut_s, 2_000, steady)
            )
        else:
            slow = replace(PATIENCE, timeout_s=4.5)
            found[f"{told} with a timeout that is 1.5 s longer"] = judge_cut(
                cut_s, measured, catch_up_law(cut_s, 2_000, slow)
            )
        return found

    return Experiment(
        name=f"cut-{cut_s}",
        title="Faults",
        jobs=lambda: [*in_chunks(catch_ups, range(1, 161), 20, cut_s), (catch_up_law, (cut_s, 4_000))],
        judge=lambda results: judge_cut(cut_s, np.concatenate(results[:-1]), results[-1]),
        wrong=wrong,
    )


def _pages() -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        return {
            "pages that are never doubled": judge_pages(results[0], limit_max=PAGE),
            "pages asked for when the last one is stored": judge_pages(results[0], FAR.round_s),
        }

    return Experiment(
        name="pages", title="Faults", jobs=lambda: [(pages, (1,))], judge=lambda found: judge_pages(found[0]),
        wrong=wrong,
    )  # fmt: skip


def _loss(loss: float, seed: int) -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        lost, messages, outcomes = results[0]
        return {
            f"loss {loss} of questions only": judge_loss(loss, lost, messages, outcomes, lossy_ways=1),
            f"loss {loss} that is a quarter more": judge_loss(1.25 * loss, lost, messages, outcomes),
        }

    return Experiment(
        name=f"loss-{loss}", title="Loss", jobs=lambda: [(lossy, (seed, loss))],
        judge=lambda found: judge_loss(loss, *found[0]), wrong=wrong,
    )  # fmt: skip


def _restart() -> Experiment:
    return Experiment(
        name="restart", title="Faults", jobs=lambda: [(first_rests, (1,))],
        judge=lambda found: judge_first_rests(found[0]),
        wrong=lambda found: {"a first rest that is up to a quarter longer": judge_first_rests(found[0], 5.0)},
    )  # fmt: skip


def _back_off() -> Experiment:
    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        return {
            "a back-off that grows to 300 s": judge_retries(results[0], most_s=300.0),
            "a back-off that is spread by 30 %": judge_retries(results[0], spread=0.3),
        }

    return Experiment(
        name="back-off", title="Faults", jobs=lambda: [(retries, (1,))], judge=lambda found: judge_retries(found[0]),
        wrong=wrong,
    )  # fmt: skip


EXPERIMENTS = (
    *(_cut(cut_s) for cut_s in CUTS_S),
    _pages(),
    _restart(),
    _back_off(),
    *(_loss(loss, seed) for seed, loss in enumerate(LOSSES, 1)),
)
