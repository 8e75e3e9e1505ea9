"""Chance, from one seed: named streams, and distributions in whole microseconds.

Every purpose has a stream of its own, and a rule of the wire one for every ordered pair of nodes, so that adding a
fault, a workload or a loss on one link never moves another's draws. A stream is named by what it is for and not by a
place in a file (`distinct`).

Distributions are looked up in integer tables made once from a quantile function: the same on every machine, because a
table value is rounded to microseconds, far above the last bit in which math libraries differ. A table has 4,096 equally
likely cells; the first and the last of them have 256 cells of their own, for there the quantiles run away:

    cell 0                    cells 1 to 4,094          cell 4,095
    256 cells of one in       quantiles of k / 4,096,   256 cells, up to the quantile of
    a million each            linear in between         p = 1 - 1 / 2,097,152, about 4.9 sigma

One draw takes 32 bits: 12 choose the cell, and in the outer cells 8 more the cell within.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from random import Random
from statistics import NormalDist
from typing import Final

__all__ = ["RandomStreams", "Table", "distinct", "exponential_table", "lognormal_table", "zipf_weights"]

_CELL_BITS: Final = 12
_OUTER_BITS: Final = 8
_US: Final = 1_000


class RandomStreams:
    """Independent random streams of one seed, by name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> Random:
        """A new generator; the same name gives the same draws."""
        return Random(f"{self.seed}/{name}")


def distinct(names: Iterable[str]) -> list[str]:
    """The same names in the same order; one that came before has a number behind it: `loss`, `loss 2`."""
    found: dict[str, None] = {}
    for name in names:
        told, number = name, 1
        while told in found:
            number += 1
            told = f"{name} {number}"
        found[told] = None
    return list(found)


class Table:
    """A distribution of durations in nanoseconds as quantiles, interpolated."""

    __slots__ = ("_body", "_high", "_low")

    def __init__(self, quantile_ns: Callable[[float], float]) -> None:
        """`quantile_ns` is asked for probabilities above 0 and below 1 only."""
        cells, outer = 1 << _CELL_BITS, 1 << _OUTER_BITS
        least = 1.0 / (cells * outer)

        def quantile(p: float) -> int:
            return round(quantile_ns(min(max(p, least / 2), 1.0 - least / 2)) / _US) * _US

        self._body = [quantile(k / cells) for k in range(cells + 1)]
        self._low = [quantile(k * least) for k in range(outer + 1)]
        self._high = [quantile(1.0 - (outer - k) * least) for k in range(outer + 1)]

    def draw(self, random: Random) -> int:
        """One duration."""
        bits = random.getrandbits(32)
        at, rest, width = bits >> 20, bits & 0xFFFFF, 20
        edges = self._body
        if at in (0, 0xFFF):
            edges = self._low if at == 0 else self._high
            at, rest, width = rest >> 12, rest & 0xFFF, 12
        low = edges[at]
        return low + ((edges[at + 1] - low) * rest >> width)


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
