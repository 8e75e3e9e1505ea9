# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How long until everybody knows?
#
# A fact is written on one node and becomes visible on the others when they pull it. The time in between is the
# **replication lag**. This notebook is a study of it, and a model for a study of your own. It asks four questions:
# what the pull interval does to lag, how long a federation needs to catch up after a cut, what each hop costs, and
# what lost messages cost. Each is answered in the same five steps:
#
# 1. a small scenario, and the one key of it that is varied;
# 2. a law: what a line of arithmetic, or a few rules on paper, say beforehand;
# 3. many runs at every value, each with a seed of its own;
# 4. a figure with the law beside the measurement, and bands that say how sure the measurement is;
# 5. a sentence on what not to conclude.
#
# Everything is simulated from seeds, so the numbers come out the same every time. It takes two or three minutes.

# %%
import heapq
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl

import sim
from sim.scenario.reading import parse_scenario

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "scenarios").is_dir())
JOBS = min(os.cpu_count() or 1, 8)
LAW = {"color": "#D55E00", "linestyle": "--"}
plt.rcParams.update({"figure.figsize": (8.0, 3.4), "axes.spines.top": False, "axes.spines.right": False})


def sound(frame: pl.DataFrame) -> pl.DataFrame:
    """The runs, if every one of them was sound: the numbers of a broken run mean nothing."""
    broken = frame.filter(pl.col("verdict") != "pass")
    if broken.height:
        raise RuntimeError(f"runs that did not pass:\n{broken.select('seed', 'verdict')}")
    return frame


def medians(frame: pl.DataFrame, key: str, metric: str) -> pl.DataFrame:
    """How many runs there are at each value of a key, and their median and extremes."""
    value = pl.col(metric)
    return frame.group_by(key, maintain_order=True).agg(
        runs=pl.len(), least=value.min(), median=value.median(), most=value.max()
    )


# %% [markdown]
# ## First look at one run
#
# Two organisations contradict each other all the time, and for ten minutes they cannot talk. `sim.run` gives a
# result; `result.facts()` has a row for every fact and every node that should come to hold it.

# %%
split = sim.run(ROOT / "scenarios" / "split-brain.toml")
copies = split.facts().filter(pl.col("lag_s").is_not_null())
copies.select("origin", "node", "written_s", "visible_s", "lag_s").head()

# %%
figure, axes = plt.subplots(layout="constrained")
for fault in split.faults().iter_rows(named=True):
    axes.axvspan(fault["begin_s"] / 60, fault["end_s"] / 60, color="#EEEEEE", label=fault["label"])
for node, colour in zip(split.nodes, ("#0072B2", "#D55E00"), strict=True):
    mine = copies.filter(pl.col("node") == node)
    look = {"color": colour, "markersize": 2, "alpha": 0.4, "label": f"seen on {node}"}
    axes.plot(mine["written_s"] / 60, mine["lag_s"], ".", **look)
axes.set(yscale="log", xlabel="written at (simulated minutes)", ylabel="replication lag (s)", xticks=range(0, 21, 2))
_ = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=5, frameon=False)

# %% [markdown]
# Before the cut and long after it the lag is spread evenly between the latency and the pull interval. A fact that is
# written during the cut has to wait for its end, and then until the next attempt: attempts become rarer while
# nobody answers, so the slope does not end where the cut does. The small slopes are single messages that were lost.
#
# The figure shows two thousand copies, and is still **one sample**: where in its interval each node pulls was drawn
# once, and every copy shares it. With another seed the slopes end elsewhere. That is why everything below is
# repeated with many seeds, and why intervals are taken over *runs* and never over the copies of a run.

# %% [markdown]
# ## 1. Pull interval against lag
#
# **The law.** Two nodes, a constant latency of $L$ one way, no loss. A puller that has read its peer to the end rests
# for an interval $I$; its request takes $L$ to the peer and the page $L$ back, so requests reach the peer every
# $I + 2L$. A fact is written at any moment of that period with the same probability. It waits $U$, uniform on
# $[0, I + 2L]$, for the next request to arrive, and then travels $L$:
#
# $$\text{lag} = U + L, \qquad p_{99} = 0.99\,(I + 2L) + L \approx 0.99\,I + 3L.$$
#
# Deployed nodes lengthen or shorten each rest by up to a tenth, so that they do not fall into step. That jitter is
# switched off here, since the arithmetic is for rests of one length (`docs/validation.md` has the law with jitter).

# %%
LATENCY_S = 0.04
TWO = parse_scenario("""
[scenario]
name = "two"
duration = "5m"
signatures = "stand-in"

[federation]
nodes = ["north", "south"]
pull_interval = "5s"
pull_jitter = 0.0

[network]
latency = "40ms"

[[workload]]
kind = "writers"
rate = "30/m"
""")

# %% [markdown]
# `sim.sweep` runs a scenario with every seed at every value of a key, on all processors, and gives a table with a row
# a run: the values, the seed, the verdict and every metric.

# %%
intervals = ["1s", "2s", "5s", "10s", "20s", "40s"]
by_interval = sound(sim.sweep(TWO, {"federation.pull_interval": intervals}, seeds=range(10), jobs=JOBS))
by_interval.select("federation.pull_interval", "seed", "verdict", "lag.p50", "lag.p99", "requests").head()

# %% [markdown]
# `sim.band_figure` draws a metric over a key: the median over runs, its 95 % interval, and the middle 90 % of the runs.


# %%
def p99_s(interval_s: np.ndarray) -> np.ndarray:
    """By the law."""
    return 0.99 * (interval_s + 2 * LATENCY_S) + LATENCY_S


seconds = by_interval["federation.pull_interval"].str.strip_suffix("s").cast(pl.Float64)
by_interval = by_interval.with_columns(ratio=pl.col("lag.p99") / pl.Series(p99_s(seconds.to_numpy())))
interval_s = np.array([float(value.removesuffix("s")) for value in intervals])
figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 3.4), layout="constrained")
sim.band_figure(by_interval, "federation.pull_interval", "lag.p99", ax=left)
left.get_legend().remove()
left.plot(interval_s, p99_s(interval_s), label="the law", **LAW)
left.set(xscale="log", yscale="log", ylim=(0.7, None), ylabel="p99 of lag (s)")
left.set_yticks(interval_s, labels=intervals)
sim.band_figure(by_interval, "federation.pull_interval", "ratio", ax=right)
right.axhline(1.0, label="the law", **LAW)
right.set(xscale="log", ylim=(0.95, 1.05), ylabel="p99 of lag, by that of the law")
for axes in (left, right):
    axes.set_xticks(interval_s, labels=intervals)
    axes.minorticks_off()
    axes.set_xlabel("pull interval I")
_ = right.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

# %% [markdown]
# Twenty times the interval is twenty times the p99, and the runs lie within two hundredths of the law. What is left is
# the chance of the few hundred facts of a run: a p99 of them hangs on the last three or six.

# %%
if (medians(by_interval, "federation.pull_interval", "ratio")["median"] - 1).abs().max() > 0.03:
    raise ArithmeticError("the measured percentiles are not where the arithmetic puts them")

# %% [markdown]
# **What not to conclude.** That lag *is* a pull interval. It is, between two nodes that are linked to each other;
# over several hops the waits add up, which is question 3. And pulls need not rest at all: with `pull_wait` a peer
# answers when it has news (`docs/studies/wait-or-interval.md`).

# %% [markdown]
# ## Rules on paper
#
# For the next questions arithmetic is not enough, but the rules by which two nodes pull from each other fit on a page
# (`spec/replication.md`, sections 1 and 2):
#
# * who has an answer rests for the interval; the first rest is a random part of it;
# * who has no answer within the timeout of 10 s rests for the interval, doubled for every further failure up to a
#   minute, and lengthened or shortened by up to a fifth;
# * a peer that asks something is there: who failed last and rests asks at once, and who is asking again
#   already does not rest after that.
#
# `pages` plays them without the simulator. That is worth a cell: two programs that agree are worth more than one.

# %%
TIMEOUT_S, REST_S_MAX = 10.0, 60.0
Lost = Callable[[float], bool]
Pages = list[tuple[float, float]]


def pages(lost: Lost, interval_s: float, until_s: float, random: np.random.Generator) -> tuple[Pages, Pages]:
    """For each of two nodes: when pages for it are chosen at the other, and when they arrive. `lost(t)`: whether a
    message that is sent at t is lost."""
    found: tuple[Pages, Pages] = ([], [])
    failures, turn, resting, knocked = [0, 0], [0, 0], [True, True], [False, False]
    order = itertools.count()
    events = [(random.uniform(0, interval_s), next(order), "ask", side, 0) for side in (0, 1)]

    def then(time: float, what: str, side: int) -> None:
        turn[side] += 1  # what was planned for this side before is off
        heapq.heappush(events, (time, next(order), what, side, turn[side]))

    while events[0][0] < until_s:
        now, _, what, side, number = heapq.heappop(events)
        other = 1 - side
        if what != "heard" and number != turn[side]:
            continue
        if what == "ask":
            resting[side] = False
            reached = not lost(now)
            if reached:
                heapq.heappush(events, (now + LATENCY_S, next(order), "heard", other, 0))
            answered = reached and not lost(now + LATENCY_S)
            then(now + (2 * LATENCY_S if answered else TIMEOUT_S), "answer" if answered else "silence", side)
        elif what == "heard":
            if failures[side] and resting[side]:
                then(now, "ask", side)
            knocked[side] = bool(failures[side]) and not resting[side]
        else:
            rest_s = interval_s
            if what == "answer":
                failures[side] = 0
                found[side].append((now - LATENCY_S, now))
            else:
                rest_s = min(interval_s * 2 ** failures[side], REST_S_MAX) * random.uniform(0.8, 1.2)
                failures[side] += 1
            then(now if knocked[side] else now + rest_s, "ask", side)
            resting[side], knocked[side] = True, False
    return found


# %% [markdown]
# ## 2. Cut length against catch-up
#
# **The law.** When a cut ends, how long until everything that was written before its end is everywhere? That is the
# metric `catch_up`, here of the fault that we call `cut`. While its peer is silent a node asks ever more rarely. What
# is left of the rest that the end of the cut falls into is lost; the first side that gets through wakes the other.

# %%
CUT = parse_scenario("""
[scenario]
name = "cut"
duration = "8m"
settle = "2m"
signatures = "stand-in"

[federation]
nodes = ["north", "south"]
pull_interval = "5s"
pull_jitter = 0.0

[network]
latency = "40ms"

[[workload]]
kind = "writers"
rate = "30/m"

[[fault]]
kind = "partition"
name = "cut"
at = "30s"
for = "10s"
groups = [["north"], ["south"]]
""")
CUT_AT_S, INTERVAL_S = 30.0, 5.0
cuts = [10, 20, 40, 80, 160, 320]
by_cut = sound(sim.sweep(CUT, {"fault.cut.for": [f"{cut}s" for cut in cuts]}, seeds=range(20), jobs=JOBS))
medians(by_cut, "fault.cut.for", "catch_up.cut")


# %%
def caught_up_s(cut_s: float, random: np.random.Generator) -> float:
    """By the rules: from the end of the cut to the moment at which both have a page that was chosen after it."""
    end = CUT_AT_S + cut_s
    sides = pages(lambda time: CUT_AT_S <= time < end, INTERVAL_S, end + 200.0, random)
    return max(next(stored for chosen, stored in side if chosen >= end) for side in sides) - end


random = np.random.default_rng(1)
cut_laws = {cut: [caught_up_s(cut, random) for _ in range(400)] for cut in cuts}
figure, axes = plt.subplots(layout="constrained")
sim.band_figure(by_cut, "fault.cut.for", "catch_up.cut", ax=axes)
axes.plot(cuts, [np.median(cut_laws[cut]) for cut in cuts], label="median, by the rules", **LAW)
for percent, label in ((5, "middle 90 %, by the rules"), (95, None)):
    axes.plot(cuts, [np.percentile(cut_laws[cut], percent) for cut in cuts], label=label, linewidth=0.7, **LAW)
axes.set(xscale="log", xlabel="length of the cut", ylabel="catch-up (s)")
axes.set_xticks(cuts, labels=[f"{cut}s" for cut in cuts])
axes.minorticks_off()
_ = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

# %% [markdown]
# Catch-up does not simply grow with the cut. Both sides fail first at about the same time, when the cut begins, and
# then try after about 15, 35, 65 and 115 seconds, and every 70 from there on: a timeout and a rest each time. A cut of
# 80 s ends just after an attempt and pays nearly a whole rest; one of 160 s ends when an attempt is near. Later the
# spread of the rests has added up, and the light band tells all there is to tell: any time up to a minute and a bit.
# What has piled up counts for little, since it travels in pages one after the other, in a fraction of a second.
#
# **What not to conclude.** That a long cut is better than a short one: this is the time *after* its end. That a minute
# is enough for any federation: in a mesh there are more pairs, so the first that gets through comes earlier, and along
# a line the side that is far from the cut waits for the near one. And nothing about *one* outage from the median of
# many: where the light band is wide, the catch-up of one says next to nothing about that of the next.

# %% [markdown]
# ## 3. Hops against lag
#
# **The law.** In a line of nodes a fact goes from neighbour to neighbour, and at each hop it waits for a puller whose
# phase has nothing to do with the others. Each wait is uniform on one period $P = I + 2L$, so the lag after $h$ hops
# is a sum of $h$ uniform variables and the way,
#
# $$\text{lag}_h = P\,(U_1 + \dots + U_h) + hL,$$
#
# whose distribution bears the names of Irwin and Hall. Its mean grows with $h$, and its spread with $\sqrt h$. Within
# one run only $U_1$ differs from fact to fact, which is why this scenario writes a single fact at one end, and counts
# seeds. With one fact, `lag.max` is its lag at the far end.

# %%
LINE = parse_scenario("""
[scenario]
name = "line"
duration = "12s"
signatures = "stand-in"

[federation]
nodes = 2
topology = "line"
pull_interval = "5s"
pull_jitter = 0.0

[network]
latency = "40ms"

[[workload]]
kind = "burst"
nodes = ["node-01"]
count = 1
start = "10s"
""")
HOPS = [1, 2, 4, 8]
line = sim.sweep(LINE, {"federation.nodes": [hops + 1 for hops in HOPS]}, seeds=range(40), jobs=JOBS)
by_hops = sound(line).with_columns(hops=pl.col("federation.nodes") - 1)
medians(by_hops, "hops", "lag.max")


# %%
def irwin_hall(x: np.ndarray, terms: int) -> np.ndarray:
    """The chance that the sum of so many uniform variables on 0..1 is at most x."""
    x = np.clip(x, 0.0, terms)
    steps = ((-1) ** k * math.comb(terms, k) * np.clip(x - k, 0.0, None) ** terms for k in range(terms + 1))
    return sum(steps) / math.factorial(terms)


PERIOD_S = INTERVAL_S + 2 * LATENCY_S
figure, axes = plt.subplots(layout="constrained")
for hops, colour in zip(HOPS, ("#0072B2", "#009E73", "#CC79A7", "#E69F00"), strict=True):
    lags = by_hops.filter(pl.col("hops") == hops)["lag.max"].sort()
    x = np.linspace(0.0, hops * (PERIOD_S + LATENCY_S), 200)
    axes.plot(x, irwin_hall((x - hops * LATENCY_S) / PERIOD_S, hops), color=colour, linestyle="--", linewidth=1)
    told = f"{hops} hop{'s' * (hops > 1)}"
    axes.step(lags, np.arange(1, len(lags) + 1) / len(lags), where="post", color=colour, label=told)
axes.plot([], [], color="#222222", linestyle="--", linewidth=1, label="Irwin and Hall")
axes.set(xlabel="lag at the far end (s)", ylabel="part of the runs with at most this lag", ylim=(0.0, 1.0))
_ = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

# %%
figure, axes = plt.subplots(layout="constrained")
sim.band_figure(by_hops, "hops", "lag.max", ax=axes)
grid = np.linspace(0.0, 8.0, 4_001)


def quantile_s(share: float, hops: int) -> float:
    """The lag that this share of facts has at most, by Irwin and Hall."""
    return PERIOD_S * grid[np.searchsorted(irwin_hall(grid, hops), share)] + hops * LATENCY_S


axes.plot(HOPS, [quantile_s(0.5, hops) for hops in HOPS], label="median, Irwin and Hall", **LAW)
for share, label in ((0.05, "middle 90 %, Irwin and Hall"), (0.95, None)):
    axes.plot(HOPS, [quantile_s(share, hops) for hops in HOPS], label=label, linewidth=0.7, **LAW)
axes.set(xlabel="hops", ylabel="lag at the far end (s)", xticks=HOPS)
_ = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

# %% [markdown]
# After eight hops the luckiest and the unluckiest of forty runs are nearly twenty seconds apart, and either alone would
# have been a perfectly good run to show. A single run of a line tells more about its seed than about the line.
#
# **What not to conclude.** That a chain of eight takes eight times half an interval in the field. There the rests have
# a jitter, which mixes the phases while a federation runs; within a day a fact meets lucky and unlucky phases.

# %% [markdown]
# ## 4. Loss against lag
#
# **The law.** A message is lost whole, with a chance $q$, by itself. A pull succeeds when the question and the answer
# pass, so failures in a row are geometric, and each costs a timeout of 10 s and a rest. The rules on paper give the
# percentiles of lag.

# %%
losses = [0.0, 0.05, 0.1, 0.15, 0.2]
over = {"network.loss": losses, "scenario.duration": ["8m"], "workload.0.rate": ["20/m"]}
by_loss = sound(sim.sweep(TWO, over, seeds=range(20), jobs=JOBS))
medians(by_loss, "network.loss", "lag.p99")


# %%
def lags_s(loss: float, random: np.random.Generator) -> np.ndarray:
    """The lags of a run, by the rules: 320 facts, spread over eight minutes on two nodes."""
    found = []
    for side in pages(lambda _: random.random() < loss, INTERVAL_S, 1_200.0, random):
        chosen, stored = np.array(side).T
        written = random.uniform(5.0, 480.0, 160)
        found.append(stored[np.searchsorted(chosen, written)] - written)
    return np.concatenate(found)


figure, both = plt.subplots(1, 2, figsize=(10.0, 3.4), layout="constrained")
loss_laws = {loss: [lags_s(loss, random) for _ in range(150)] for loss in losses}
for axes, metric, percent in zip(both, ("lag.p50", "lag.p99"), (50, 99), strict=True):
    sim.band_figure(by_loss, "network.loss", metric, ax=axes)
    runs = np.array([[np.percentile(lags, percent) for lags in loss_laws[loss]] for loss in losses])
    axes.plot(losses, np.median(runs, axis=1), label="median, by the rules", **LAW)
    for share, label in ((5, "middle 90 %, by the rules"), (95, None)):
        axes.plot(losses, np.percentile(runs, share, axis=1), label=label, linewidth=0.7, **LAW)
    axes.set(xlabel="messages lost", ylabel=f"p{percent} of lag (s)")
    axes.get_legend().remove()
_ = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

# %% [markdown]
# The tail pays first. A loss that leaves the median nearly where it was makes the p99 several times as long: most facts
# never meet a lost message, and the one in a hundred that does waits for a timeout and a rest. Whoever reports only a
# mean reports neither. And the band widens with the loss, so more loss asks for more seeds too.
#
# **What not to conclude.** Anything about networks that lose *packets*. TCP repeats those by itself; a message
# is lost here when a connection breaks or a machine is gone for a moment. And losses that come in bursts are another
# fault (`flap`, `clog`) with other figures.

# %% [markdown]
# A notebook that is run again should notice when a law no longer holds.

# %%
for name, frame, key, metric, law in (
    ("cuts", by_cut, "fault.cut.for", "catch_up.cut", [np.median(cut_laws[cut]) for cut in cuts]),
    ("hops", by_hops, "hops", "lag.max", [quantile_s(0.5, hops) for hops in HOPS]),
    ("loss", by_loss, "network.loss", "lag.p50", [np.median([np.median(run) for run in loss_laws[q]]) for q in losses]),
):
    measured = medians(frame, key, metric)["median"].to_numpy()
    if np.abs(measured / np.array(law) - 1.0).max() > 0.25:
        raise ArithmeticError(f"{name}: the medians {measured} are not where the law puts them, {law}")

# %% [markdown]
# ## A study of your own
#
# At the command line the same is a scenario file with the keys that are varied,
#
# ```toml
# [[sweep]]
# key = "network.loss"
# values = [0.0, 0.1, 0.2]
# ```
#
# and `stigmem-sim run my-study.toml --seeds 20`. The table has medians over seeds with their 95 % intervals, the
# folder a figure with bands for each key. What is done is kept, so Ctrl-C costs nothing, and `--seeds 40` later
# runs only the other twenty. `--shard 3/8` and `stigmem-sim merge` spread a study over machines by hand, `--scheduler
# ADDRESS` on a Dask cluster. `docs/studies/wait-or-interval.md` is one that was done this way.
#
# Three rules keep such a study honest. Write the law down *before* looking at the measurement. Take intervals over
# runs. And say in a sentence what must not be concluded.
