"""Percentiles over runs, and how sure one can be of them.

A statistic of n runs (a median, a p95) is given with a 95 % interval by the percentile bootstrap: n runs are drawn with
replacement from those there are, the statistic is taken of them, and this again and again; the interval holds the
middle 95 % of what came out. It needs no law of the numbers. Two warts: of fewer than about ten runs the interval is
too narrow, and of a p95 it cannot reach beyond the worst run that there was. The draws have a fixed seed, so that the
same runs give the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

__all__ = ["DRAWS", "STATISTICS", "Interval", "interval_of", "interval_of_difference"]

DRAWS: Final = 2_000
"""Resamples: then the ends of an interval vary by about a hundredth of its width from seed to seed."""
STATISTICS: Final = {"p5": 5.0, "p50": 50.0, "p90": 90.0, "p95": 95.0, "max": 100.0}
_SEED: Final = 95


class Interval(NamedTuple):
    """A statistic over runs and the ends of its 95 % interval. `runs`: how many had a value."""

    value: float
    low: float
    high: float
    runs: int


def interval_of(values: Sequence[float], statistic: str = "p50") -> Interval:
    """A statistic of `STATISTICS` over at least one run."""
    percent = STATISTICS[statistic]
    runs = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(_SEED).integers(0, len(runs), size=(DRAWS, len(runs)))
    low, high = np.percentile(np.percentile(runs[draws], percent, axis=1), [2.5, 97.5])
    return Interval(float(np.percentile(runs, percent)), float(low), float(high), len(runs))


def interval_of_difference(first: Sequence[float], second: Sequence[float]) -> Interval:
    """The median of the second runs less that of the first ones, two samples that have nothing to do with each other:
    each is drawn anew by itself."""
    rng = np.random.default_rng(_SEED)
    samples = [np.asarray(values, dtype=np.float64) for values in (first, second)]
    one, other = (np.median(runs[rng.integers(0, len(runs), size=(DRAWS, len(runs)))], axis=1) for runs in samples)
    low, high = np.percentile(other - one, [2.5, 97.5])
    value = float(np.median(samples[1]) - np.median(samples[0]))
    return Interval(value, float(low), float(high), min(len(first), len(second)))
