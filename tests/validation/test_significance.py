"""The tests of significance: held against tables, and against chance of their own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.validation import significance

CHANCE = np.random.default_rng(1)


@pytest.mark.parametrize(("scaled", "tail"), [(1.2239, 0.10), (1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)])
def test_the_tail_of_kolmogorov_is_that_of_the_tables(scaled: float, tail: float) -> None:
    assert significance.kolmogorov_tail(scaled) == pytest.approx(tail, rel=0.01)


@pytest.mark.parametrize(
    ("statistic", "freedom", "tail"),
    [(7.815, 3, 0.05), (18.307, 10, 0.05), (29.588, 10, 0.001), (67.505, 50, 0.05), (73.3, 30, 1.9e-5)],
)
def test_the_tail_of_chi_square_is_that_of_the_tables(statistic: float, freedom: int, tail: float) -> None:
    assert significance.chi_square_tail(statistic, freedom) == pytest.approx(tail, rel=0.15)


@pytest.mark.parametrize("test", ["ks_law", "ks_two", "share", "chi_square", "correlation", "correlations"])
def test_a_true_law_is_refused_as_often_as_its_level_says(test: str) -> None:
    refused = sum(_p_under_truth(test) < 0.05 for _ in range(800)) / 800
    assert 0.02 <= refused <= 0.08


def _p_under_truth(test: str) -> float:
    if test == "ks_law":
        return significance.ks_law(CHANCE.random(300), lambda x: x)
    if test == "ks_two":
        return significance.ks_two(CHANCE.random(60), CHANCE.random(400))
    if test == "share":
        return significance.share(int(CHANCE.binomial(4_000, 0.2)), 4_000, 0.2)
    if test == "chi_square":
        law = np.array([0.5, 0.3, 0.15, 0.04, 0.01])
        return significance.chi_square(CHANCE.multinomial(1_000, law), law * 1_000)
    if test == "correlation":
        return significance.correlation(CHANCE.random(300), CHANCE.random(300))
    return significance.correlations(CHANCE.random((300, 5)))


def test_what_differs_is_noticed() -> None:
    sample = CHANCE.random(2_000)
    other = np.array([0.5, 0.3, 0.2])
    assert significance.ks_law(sample * 0.9, lambda x: x) < 1e-6
    assert significance.ks_two(sample, sample + 0.1) < 1e-6
    assert significance.share(450, 2_000, 0.2) < 0.01
    assert significance.chi_square(np.array([400, 300, 300]), other * 1_000) < 1e-6
    assert significance.correlation(sample, sample + CHANCE.random(2_000)) < 1e-6
    assert significance.correlations(np.stack([sample, sample + CHANCE.random(2_000)], axis=1)) < 1e-6


def test_equal_values_in_two_samples_are_no_difference() -> None:
    assert significance.ks_two(np.ones(50), np.ones(400)) == 1.0
