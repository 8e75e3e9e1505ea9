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

__all__ = ["DRAWS", "STATISTICS", "Interval", "interval_of"]

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
