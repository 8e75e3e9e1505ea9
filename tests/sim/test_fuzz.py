"""Scenarios that nobody thought of: each of those that once found something passes, and so do a few new ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.explore.drawing import draw
from sim.result import Result
from sim.runner import run_plan
from sim.scenario.planning import load_plan

KEPT = sorted((Path(__file__).parents[1] / "data" / "drawn").glob("*.toml"))
"""Drawn once; what each of them is about stands at its head. As files they outlive every change of the drawing."""
FEATURES = frozenset(
    {
        "workload retractions", "workload resolver", "workload burst", "fault crash-at-commit", "fault partition",
        "fault random-crashes", "fault reorder", "fault clock-step", "adversary forger", "adversary page-liar",
        "wrong clocks", "lossy wire", "push",
    }
)  # fmt: skip
NUMBERS = (3, 6, 14)
"""Of `sim.explore.drawing` with these features: what they draw changes only when a key of one of the kinds does."""


def assert_sound(result: Result) -> None:
    doubts = [check for check in result.checks if check.ok is not True]
    idle = [check for check in doubts if check.name == "convergence" and "nothing had to go anywhere" in check.detail]
    assert doubts == idle, "a scenario may be drawn in which nothing is for another node; nothing else may be left open"
    assert result.verdict == ("inconclusive" if idle else "pass")


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_a_drawn_scenario_that_once_found_something_passes(file: Path) -> None:
    result = run_plan(load_plan(file))
    assert_sound(result)
    assert result.run_json["facts"] > 0


@pytest.mark.parametrize("number", NUMBERS)
def test_a_newly_drawn_scenario_passes(number: int) -> None:
    assert_sound(run_plan(draw(number, FEATURES).plan))
