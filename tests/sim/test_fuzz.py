"""Scenarios that nobody thought of: drawn at random, each must pass, and each is the same whenever it is drawn."""

from __future__ import annotations

import pytest

from sim.runner import run_plan
from tests.sim.fuzz import draw
from tests.sim.wild import draw_wild

NUMBERS = (3, 29, 58, 101, 105, 1108, 3005, 3119)
"""29: a peer of dialect 0.5 behind a relay; 58: hostile facts where nothing is relayed;
1108: an id that is refused, taken and refused again; 3005: a wipe where nothing is relayed;
3119: a stolen id whose owner left; the rest are any."""
WILD = (11, 13, 24, 26, 30, 37, 42, 82)
"""11: a narrow link, and named ids in a line; 13: hostile peers where nothing is public; 26: facts in the name of a
node that was not known yet; 24, 30, 42, 82: links that grant more than the federation does; 37: sources that must be
owned."""


@pytest.mark.parametrize("number", NUMBERS)
def test_a_drawn_scenario_passes(number: int) -> None:
    result = run_plan(draw(number))
    assert [check for check in result.checks if check.ok is not True] == []
    assert result.verdict == "pass"
    assert result.run_json["facts"] > 5


@pytest.mark.parametrize("number", WILD)
def test_a_wild_scenario_passes(number: int) -> None:
    result = run_plan(draw_wild(number))
    doubts = [check for check in result.checks if check.ok is not True]
    idle = [check for check in doubts if check.name == "convergence" and "nothing had to go anywhere" in check.detail]
    assert doubts == idle, "a scenario may be drawn in which nothing is for another node; nothing else may be left open"
    assert result.verdict == ("inconclusive" if idle else "pass")


def test_a_number_draws_the_same_scenario_every_time() -> None:
    assert [draw(number).scenario for number in range(20)] == [draw(number).scenario for number in range(20)]
    assert draw_wild(7).scenario == draw_wild(7).scenario
