"""The laws: closed forms against simulated chance, recursions against cases that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from tests.validation import laws, significance
from tests.validation.laws import Patience, Pull

PULL = Pull(interval_s=2.0, way_s=0.001)


@pytest.mark.parametrize("terms", [1, 2, 5, 8])
def test_irwin_and_hall_is_the_sum_of_uniform_variables(terms: int) -> None:
    sums = np.random.default_rng(terms).random((4_000, terms)).sum(axis=1)
    assert significance.ks_law(sums, lambda x: laws.irwin_hall(x, terms)) > 0.001
    assert significance.ks_law(sums, lambda x: laws.irwin_hall(x, terms + 1)) < 1e-12
    assert laws.irwin_hall(np.array([-1.0, terms / 2, terms + 1.0]), terms) == pytest.approx([0.0, 0.5, 1.0])


def test_the_times_of_a_pull_are_those_of_the_example() -> None:
    assert PULL.period_s == pytest.approx(2.0025)
    assert PULL.hop_s == pytest.approx(0.002)
    assert PULL.round_s == pytest.approx(0.003)
    assert PULL.page_s == pytest.approx(0.0025)


def test_a_timetable_of_a_line_adds_up_the_waits() -> None:
    phases = {(1, 0): 0.5, (2, 1): 0.2}
    arrived = laws.first_arrivals(0, 0.1, phases, PULL, [[1], [2], []])
    assert arrived[1] == pytest.approx(0.5 + PULL.hop_s)
    assert arrived[2] == pytest.approx(0.2 + PULL.period_s + PULL.hop_s)


def test_a_timetable_takes_the_quicker_of_two_ways() -> None:
    phases = {(1, 0): 0.1, (2, 1): 0.2, (2, 0): 1.9}
    readers = [[1, 2], [2], []]
    assert laws.first_arrivals(0, 0.0, phases, PULL, readers)[2] == pytest.approx(0.2 + PULL.hop_s)
    assert laws.first_arrivals(0, 0.0, phases, PULL, readers, 1)[2] == pytest.approx(1.9 + PULL.hop_s)


def test_pages_double_after_five_full_ones_and_end_with_the_rest() -> None:
    assert laws.page_sizes(1_650, 50) == [50] * 6 + [100] * 6 + [200] * 3 + [150]
    assert laws.page_sizes(1_500, 50, limit_max=50) == [50] * 30
    assert laws.page_sizes(3, 50) == [3]


def test_messages_queue_for_a_link_one_after_the_other() -> None:
    assert laws.link_delays_ns([(0, 1_000), (0, 1_000), (5_000_000_000, 500)], 8_000, 7) == [
        1_000_000_007, 2_000_000_007, 500_000_007,
    ]  # fmt: skip


def test_failures_before_each_success_are_counted() -> None:
    assert laws.run_lengths([True, False, False, True, True, False]) == [0, 2, 0]
    assert laws.geometric(3, 0.75) == pytest.approx([0.75, 0.1875, 0.046875, 0.015625])


def test_after_a_cut_that_no_pull_meets_the_next_pull_catches_up() -> None:
    random = Random(1)
    found = [laws.catch_up_s(PULL, 0.0001, Patience(timeout_s=3.0), random) for _ in range(500)]
    unhurt = [each for each in found if each <= PULL.period_s + PULL.round_s]
    assert len(unhurt) > 490


def test_whoever_gets_through_wakes_the_other() -> None:
    patience = Patience(timeout_s=3.0)
    woken, deaf = (
        np.median([laws.catch_up_s(PULL, 150.0, each, Random(seed)) for seed in range(400)])
        for each in (patience, replace(patience, woken=False))
    )
    assert woken < deaf - 5
