"""How likely a disagreement of this size is when there is none: p-values of a few tests, from numpy alone.

No statistics library is a dependency of this project, and these are short. Each function returns a p-value in 0..1;
`tests/validation/test_significance.py` holds them against tables and against chance of their own.

Sources: the limit of Kolmogorov's statistic and the correction for finite samples by M. A. Stephens (1970); the
cube-root approximation of chi-square by E. B. Wilson and M. M. Hilferty (1931), good to two digits where p is above
1e-6 and the degrees of freedom are three or more; R. A. Fisher's transform of a correlation (1921).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_EXPECTED_MIN = 8.0
"""Cells of a chi-square test are joined until so many are expected in each."""


_SURE = 1.0 - 1e-15


def kolmogorov_tail(scaled: float) -> float:
    """The chance that Kolmogorov's statistic, times the root of the sample size, exceeds this."""
    if scaled < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2.0 * (k * scaled) ** 2) for k in range(1, 101))
    return min(max(2.0 * sum(terms), 0.0), 1.0)


def ks_law(sample: ArrayLike, cdf: Callable[[Floats], ArrayLike]) -> float:
    """Kolmogorov and Smirnov: whether a sample is of the law with this continuous distribution function."""
    ordered = np.sort(np.asarray(sample, dtype=float))
    count = len(ordered)
    law = np.asarray(cdf(ordered), dtype=float)
    steps = np.arange(count + 1) / count
    distance = float(max((steps[1:] - law).max(), (law - steps[:-1]).max()))
    root = math.sqrt(count)
    return kolmogorov_tail((root + 0.12 + 0.11 / root) * distance)


def ks_two(first: ArrayLike, second: ArrayLike) -> float:
    """Kolmogorov and Smirnov: whether two samples are of one law. Ties make it careful, never eager."""
    one, other = np.sort(np.asarray(first, dtype=float)), np.sort(np.asarray(second, dtype=float))
    places = np.concatenate([one, other])
    shares = [np.searchsorted(each, places, side="right") / len(each) for each in (one, other)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    return kolmogorov_tail((root + 0.12 + 0.11 / root) * distance)


def normal_two_sided(z: float) -> float:
    """The chance that a standard normal variable is at least so far from 0."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def share(hits: int, tries: int, expected: float) -> float:
    """Whether so many of `tries` are what a share `expected` gives; binomial, by its normal limit with a correction."""
    spread = math.sqrt(tries * expected * (1.0 - expected))
    return normal_two_sided(max(abs(hits - tries * expected) - 0.5, 0.0) / spread)


def chi_square_tail(statistic: float, freedom: int) -> float:
    """The chance that a chi-square variable exceeds this."""
    width = 2.0 / (9.0 * freedom)
    z = ((statistic / freedom) ** (1.0 / 3.0) - (1.0 - width)) / math.sqrt(width)
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def chi_square(seen: ArrayLike, expected: ArrayLike) -> float:
    """Whether counts are of the law with these expected counts (same total); small cells are joined with the next."""
    joined: list[list[float]] = [[0.0, 0.0]]
    for count, law in zip(np.asarray(seen, dtype=float), np.asarray(expected, dtype=float), strict=True):
        if joined[-1][1] >= _EXPECTED_MIN:
            joined.append([0.0, 0.0])
        joined[-1][0] += count
        joined[-1][1] += law
    if len(joined) > 1 and joined[-1][1] < _EXPECTED_MIN:
        count, law = joined.pop()
        joined[-1][0] += count
        joined[-1][1] += law
    statistic = sum((count - law) ** 2 / law for count, law in joined)
    return chi_square_tail(statistic, max(len(joined) - 1, 1))


def correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Whether two series that belong together place by place are uncorrelated."""
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    r = float(np.corrcoef(one, other)[0, 1])
    r = min(max(r, -_SURE), _SURE)  # two series that are the same have no finite transform
    return normal_two_sided(math.atanh(r) * math.sqrt(len(one) - 3))


def correlations(columns: ArrayLike) -> float:
    """Whether the columns of a table (a row per observation) are uncorrelated: all pairs in one test."""
    table = np.asarray(columns, dtype=float)
    matrix = np.corrcoef(table, rowvar=False)
    pairs = matrix[np.triu_indices_from(matrix, k=1)]
    return chi_square_tail(float((np.arctanh(pairs) ** 2).sum() * (len(table) - 3)), len(pairs))
