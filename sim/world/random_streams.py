"""Chance, from one seed: named streams, and distributions in whole microseconds.

Every sender and every purpose has a stream of its own, so that adding one never moves another's draws.
Distributions are looked up in integer tables made once from a quantile function: the same on every machine,
because a table entry is rounded to microseconds, far above the last bit in which math libraries differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from random import Random
from statistics import NormalDist
from typing import Final

__all__ = ["RandomStreams", "Table", "exponential_table", "lognormal_table", "zipf_weights"]

_STEPS: Final = 4_096
_US: Final = 1_000


class RandomStreams:
    """Independent random streams of one seed, by name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> Random:
        """A new generator; the same name gives the same draws."""
        return Random(f"{self.seed}/{name}")


class Table:
    """A distribution of durations in nanoseconds as `_STEPS` quantiles, interpolated."""

    __slots__ = ("_values",)

    def __init__(self, quantile_ns: Callable[[float], float]) -> None:
        edges = ((i + 0.5) / (_STEPS + 1) for i in range(_STEPS + 1))
        self._values = [round(quantile_ns(p) / _US) * _US for p in edges]

    def draw(self, random: Random) -> int:
        """One duration."""
        scaled = random.getrandbits(32) * _STEPS
        at, part = scaled >> 32, scaled & 0xFFFFFFFF
        low = self._values[at]
        return low + ((self._values[at + 1] - low) * part >> 32)


@lru_cache(maxsize=256)
def lognormal_table(median_ns: int, p99_ns: int) -> Table:
    """Lognormal with this median and 99th percentile."""
    normal = NormalDist()
    sigma = math.log(p99_ns / median_ns) / normal.inv_cdf(0.99)
    return Table(lambda p: median_ns * math.exp(sigma * normal.inv_cdf(p)))


@lru_cache(maxsize=256)
def exponential_table(floor_ns: int, mean_ns: int) -> Table:
    """A floor and an exponential tail with this mean above it."""
    return Table(lambda p: floor_ns - mean_ns * math.log1p(-p))


@lru_cache(maxsize=64)
def zipf_weights(count: int, exponent: float) -> list[int]:
    """Cumulative integer weights of ranks 1 to `count` with P(k) proportional to k**-exponent."""
    total, sums = 0, []
    for k in range(1, count + 1):
        total += round(1e9 / k**exponent)
        sums.append(total)
    return sums
