"""Scenarios that nobody thought of: drawn at random, each must pass, and each is the same whenever it is drawn."""

from __future__ import annotations

import pytest

from sim.run import run_plan
from tests.sim.fuzz import draw

NUMBERS = (3, 29, 58, 101, 105, 1108)
"""29: a peer of dialect 0.5 behind a relay; 58: hostile facts where nothing is relayed;
1108: an id that is refused, taken and refused again; the rest are any."""


@pytest.mark.parametrize("number", NUMBERS)
def test_a_drawn_scenario_passes(number: int) -> None:
    result = run_plan(draw(number))
    assert [check for check in result.checks if check.ok is not True] == []
    assert result.verdict == "pass"
    assert result.run_json["facts"] > 5


def test_a_number_draws_the_same_scenario_every_time() -> None:
    assert [draw(number).scenario for number in range(20)] == [draw(number).scenario for number in range(20)]
