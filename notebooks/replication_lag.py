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
# **replication lag**. This notebook measures it in simulated federations, one fact and one node at a time, and
# compares it with what a line of arithmetic predicts: first in a run with a cut, then for many pull intervals,
# then for cuts of many lengths. Everything is simulated from a seed, so the numbers come out the same every time.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl

from sim import Result, Scenario, run
from sim.scenario.reading import parse_scenario
from stigmem.core import limits

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "scenarios").is_dir())
BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"
plt.rcParams.update({"figure.figsize": (7.5, 3.6), "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## One run
#
# Two organisations contradict each other all the time, and for ten minutes they cannot talk. `run` gives a result;
# `result.facts()` has a row for every fact and every node that should come to hold it.

# %%
split = run(ROOT / "scenarios" / "split-brain.toml")
copies = split.facts().filter(pl.col("lag_s").is_not_null())
copies.select("origin", "node", "written_s", "visible_s", "lag_s").head()

# %%
figure, axes = plt.subplots(layout="constrained")
for fault in split.faults().iter_rows(named=True):
    axes.axvspan(fault["begin_s"] / 60, fault["end_s"] / 60, color="#EEEEEE", label=fault["label"])
for node, colour in zip(split.nodes, (BLUE, RED), strict=True):
    mine = copies.filter(pl.col("node") == node)
    look = {"color": colour, "markersize": 2, "alpha": 0.4, "label": f"seen on {node}"}
    axes.plot(mine["written_s"] / 60, mine["lag_s"], ".", **look)
axes.set(yscale="log", xlabel="written at (simulated minutes)", ylabel="replication lag (s)")
_ = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=5, frameon=False)

# %% [markdown]
# Before the cut and long after it the lag is spread evenly between the latency and the pull interval. A fact that is
# written during the cut has to wait for its end, and then until the next attempt: attempts become rarer while
# nobody answers, so the slope does not end where the cut does.

# %% [markdown]
# ## Pull interval against lag
#
# Two nodes, a constant latency of $L$ one way, no loss. A puller that has read its peer to the end rests for an
# interval $I$; its request takes $L$ to the peer and the page $L$ back, so requests reach the peer every
# $I + 2L$. A fact is written at any moment of that period with the same probability. It waits $U$, uniform on
# $[0, I + 2L]$, for the next request to arrive, and then travels $L$:
#
# $$\text{lag} = U + L, \qquad p_{99} = 0.99\,(I + 2L) + L \approx 0.99\,I + 3L.$$
#
# For intervals much longer than the latency this is 99 % of the interval plus a latency. Deployed nodes lengthen or
# shorten each rest by up to a tenth, so that they do not fall into step; the jitter is switched off here, since the
# arithmetic is for rests of one length (`docs/validation.md` has the law with jitter).

# %%
LATENCY_S = 0.04
TWO = parse_scenario("""
[scenario]
name = "two"
duration = "10m"
signatures = "stand-in"

[federation]
nodes = ["north", "south"]
pull_jitter = 0.0

[network]
latency = "40ms"

[[workload]]
kind = "writers"
rate = "1/s"
""")


def passed(result: Result) -> Result:
    """The result, if its run was sound: numbers of a broken run mean nothing."""
    if result.verdict != "pass":
        raise RuntimeError(f"seed {result.seed}: {result.verdict}")
    return result


def p99_s(scenario: Scenario, interval_s: float) -> float:
    """The measured 99th percentile of the lag with this pull interval."""
    result = passed(run(scenario, federation={"pull_interval": f"{interval_s}s"}))
    return result.run_json["lag"]["p99_s"]


def expected_p99_s(interval_s: float) -> float:
    """What the arithmetic above says."""
    return 0.99 * (interval_s + 2 * LATENCY_S) + LATENCY_S


intervals = [0.5, 1, 2, 5, 10, 20, 30]
sweep = pl.DataFrame(
    {
        "interval_s": intervals,
        "p99_s": [p99_s(TWO, interval) for interval in intervals],
        "expected_s": [expected_p99_s(interval) for interval in intervals],
    }
).with_columns(error=pl.col("p99_s") / pl.col("expected_s") - 1)
sweep.sort("interval_s")

# %%
figure, axes = plt.subplots(layout="constrained")
axes.plot(sweep["interval_s"], sweep["expected_s"], color=GREEN, label="0.99 (I + 2L) + L")
axes.plot(sweep["interval_s"], sweep["p99_s"], "o", color=BLUE, label="measured")
axes.set(xscale="log", yscale="log", xlabel="pull interval I (s)", ylabel="99th percentile of the lag (s)")
_ = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

# %%
if sweep["error"].abs().max() > 0.05:
    raise ArithmeticError("the measured percentiles are not where the arithmetic puts them")

# %% [markdown]
# ## Cut length against catch-up time
#
# When a cut ends, how long until everything that was written before its end is everywhere? While its peer is
# silent a puller waits for an answer (the pull timeout), then rests, each time twice as long, up to a limit. So the
# time to catch up is what is left of the rest that the end of the cut falls into. At worst a request was lost just
# before the end and the whole timeout and a whole rest follow; once one side gets through, its request wakes the
# other.
#
# Longer cuts cost more only until the rests have reached their limit: what has piled up meanwhile travels in
# pages one after the other, in a small part of the time.

# %%
TIMEOUT_S = 10.0
BOUND_S = TIMEOUT_S + max(limits.UNREACHABLE_S_MAX, 5.0) * (1 + limits.BACKOFF_JITTER)


def catch_up_s(cut_s: int, seed: int) -> float:
    """From the end of a cut until the last fact written before its end is visible everywhere."""
    begin, end = 30, 30 + cut_s
    result = run(
        TWO,
        seed=seed,
        scenario={"duration": f"{end + 120}s"},
        federation={"pull_interval": "5s"},
        workload=[{"kind": "writers", "rate": "30/m"}],
        fault=[{"kind": "partition", "at": f"{begin}s", "for": f"{cut_s}s", "groups": [["north"], ["south"]]}],
    )
    passed(result)
    before = result.facts().filter(pl.col("written_s") < end)
    return max(before["visible_s"].max() - end, 0.0)


cuts = [10, 20, 40, 80, 160, 320, 640]
seeds = [1, 2, 3]
caught = pl.DataFrame(
    [{"cut_s": cut, "seed": seed, "catch_up_s": catch_up_s(cut, seed)} for cut in cuts for seed in seeds]
)
time = pl.col("catch_up_s")
caught.group_by("cut_s", maintain_order=True).agg(least=time.min(), mean=time.mean(), most=time.max())

# %%
figure, axes = plt.subplots(layout="constrained")
axes.plot(caught["cut_s"], caught["catch_up_s"], "o", color=BLUE, alpha=0.6, label="measured, one dot a seed")
axes.axhline(BOUND_S, color=GREEN, label="timeout + longest rest")
axes.set(xscale="log", xlabel="length of the cut (s)", ylabel="time to catch up (s)", ylim=(0, None))
_ = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

# %%
if caught["catch_up_s"].max() > BOUND_S:
    raise ArithmeticError("a federation took longer to catch up than its rests allow")
