"""The comparison with recorded behaviour stays alive: the node script, two quick scenarios, and that it can fail."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from tests.equality.__main__ import compare_steps, first_difference, recorded
from tests.equality.node_script import run_script
from tests.equality.scenarios import ROOT, run_one, runs_wanted


def test_a_node_answers_and_stores_what_was_recorded_and_a_difference_names_its_step() -> None:
    steps = run_script()
    wanted = recorded()["node"]
    assert compare_steps(steps, wanted) == ""
    steps[41].answers[0] += b" "
    assert steps[41].name in compare_steps(steps, wanted)
    assert "answers" in compare_steps(steps, wanted)
    assert "recorded were" in compare_steps(steps[:41], wanted)


@pytest.mark.parametrize("name", ["replay", "partial-failure"])
def test_a_scenario_gives_the_digests_that_were_recorded(name: str) -> None:
    (seed,) = [seed for each, seed in runs_wanted(short=True) if each == name]
    wanted = recorded()["scenarios"][name][str(seed)]
    found = run_one(name, seed)
    assert first_difference(name, seed, wanted, found) == ""
    assert "state_digest" in first_difference(name, seed, wanted, found | {"state_digest": "other"})


def test_every_shipped_scenario_is_recorded() -> None:
    known = {(name, int(seed)) for name, seeds in recorded()["scenarios"].items() for seed in seeds}
    assert known == set(runs_wanted(short=False))


def test_the_script_does_not_depend_on_the_order_of_sets() -> None:
    code = "from tests.equality.node_script import run_script; print([step.digests() for step in run_script()])"
    texts = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        texts.append(done.stdout)
    assert texts[0] == texts[1]
    assert len(msgspec.json.encode(texts[0])) > 10_000
