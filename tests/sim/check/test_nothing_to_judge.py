"""A run in which nothing could have gone wrong is no proof that anything works."""

from __future__ import annotations

from pathlib import Path

import sim
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from tests.sim.small_runs import scenario_text, workload

LOCAL = workload("contradictions", rate="1/s", entities=5, scope="local")
TALK = workload("contradictions", rate="1/s", entities=5)


def judged(text: str) -> tuple[str, bool | None, str]:
    found = sim.run(parse_scenario(text))
    convergence = next(check for check in found.checks if check.name == "convergence")
    return found.verdict, convergence.ok, convergence.detail


def test_a_federation_of_one_node_is_inconclusive() -> None:
    verdict, ok, detail = judged(scenario_text(TALK, nodes=("a",), duration="10s"))
    assert (verdict, ok) == ("inconclusive", None)
    assert detail == "nothing that was written is for any other node, so nothing had to go anywhere"


def test_a_federation_of_one_node_is_doubted_before_it_runs() -> None:
    plan = make_plan(parse_scenario(scenario_text(TALK, nodes=("a",))), Path())
    assert plan.warnings == ("The federation has one node: nothing is replicated, and a run of it is inconclusive.",)


def test_a_run_in_which_everything_stays_at_home_is_inconclusive() -> None:
    assert judged(scenario_text(LOCAL, duration="10s"))[:2] == ("inconclusive", None)


def test_one_fact_that_others_may_hold_is_enough_to_judge() -> None:
    verdict, ok, detail = judged(scenario_text(LOCAL, TALK, duration="10s"))
    assert (verdict, ok) == ("pass", True)
    assert "facts everywhere" in detail
