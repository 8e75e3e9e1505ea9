"""`stigmem-sim explore`: what it writes, how small it makes a failure, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main
from sim.explore import session
from sim.explore.drawing import draw
from sim.explore.running import Explored
from sim.explore.shrinking import cause_of, shrink
from sim.explore.tally import REACH, Tally
from sim.scenario.planning import load_plan
from sim.scenario.reading import parse_scenario, plain_values
from tests.sim.small import fault, small_text, workload


def row_of(verdict: str, *failed: str, **members: Any) -> dict[str, Any]:
    sentences = [f"{name}: it does not hold" for name in failed]
    return {"verdict": verdict, "failed": list(failed), "sentences": sentences, "rejections": {}, **members}


FAILED = row_of("fail", "durability")
PASSED = row_of("pass", rejections={"hlc_skew": 3}, reach=[1] + [0] * (len(REACH) - 1))


@pytest.fixture
def explored(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any] | type[BaseException]]:
    """What becomes of the scenarios that a session draws; an exception ends it there."""
    rows: list[dict[str, Any] | type[BaseException]] = []

    def explore(_pool: object, first: int, **_: object) -> Iterator[Explored]:
        for number, row in enumerate(rows, start=first):
            if not isinstance(row, dict):
                raise row
            yield Explored(draw(number), row)

    monkeypatch.setattr(session, "explore", explore)
    return rows


def test_a_failure_is_a_whole_scenario_file_with_its_cause_and_the_command_that_runs_it(
    tmp_path: Path, explored: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    explored += [PASSED, FAILED]
    out = tmp_path / "out"
    assert main(["explore", "--count", "2", "--seed", "7", "--out", str(out)]) == 1
    file = out / "drawn-8.toml"
    assert sorted(each.name for each in out.glob("*.toml")) == [file.name]
    assert f"stigmem-sim run {file}" in file.read_text()
    assert "durability: it does not hold" in file.read_text()
    assert plain_values(load_plan(file).scenario) == draw(8).values
    told = capsys.readouterr()
    assert f"stigmem-sim run {file}" in told.err
    assert "2 drawn scenarios: 1 fail, 1 pass; 1 failed" in told.out


def test_ctrl_c_ends_with_what_is_known(
    tmp_path: Path, explored: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    explored += [PASSED, KeyboardInterrupt]
    assert main(["explore", "--out", str(tmp_path)]) == 130
    assert "1 drawn scenarios: 1 pass; 0 failed" in capsys.readouterr().out
    whole = json.loads((tmp_path / "explored.json").read_text())
    assert [run["number"] for run in whole["runs"]] == [1]
    assert "hlc_skew" not in whole["never_met"]["rejection code"]
    assert "hlc_malformed" in whole["never_met"]["rejection code"]


def test_scenarios_are_drawn_and_run_by_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["explore", "--count", "2", "--seed", "11", "--jobs", "1", "--out", str(tmp_path)])
    told = capsys.readouterr().out
    assert "2 drawn scenarios" in told
    assert status == (0 if "; 0 failed" in told else 1), "what is drawn may fail, and that is another test's to say"
    assert re.search(r"\| audit event \| fact_write \| [12] \|", (tmp_path / "explored.md").read_text())


def test_count_and_budget_are_not_both_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--count", "2", "--budget", "1m"]) == 2
    assert "give one of them" in capsys.readouterr().err


# --- what was met ---


def test_what_no_run_met_is_named_and_what_is_rare_comes_first() -> None:
    tally = Tally()
    tally.add(draw(4).values, PASSED)
    tally.add(draw(4).values, row_of("pass", rejections={"hlc_skew": 1, "id_collision": 2}))
    codes = [each for each in tally.table() if each.group == "rejection code" and each.runs]
    assert [(each.name, each.runs, each.times) for each in codes] == [("id_collision", 1, 2), ("hlc_skew", 2, 4)]
    assert "id_collision" not in tally.never()["rejection code"]


# --- shrinking ---

PARTS = (
    fault("crash", at="5s", for_="3s", node="a"), fault("loss", at="1s", for_="3s"), fault("pause", at="9s", node="b"),
    workload("contradictions", rate="30/m"), workload("probe"),
)  # fmt: skip


def test_what_is_left_of_a_failure_is_what_it_fails_by() -> None:
    def run(values: Mapping[str, Any]) -> dict[str, Any]:
        kinds = [part["kind"] for part in values.get("fault", ())]
        return FAILED if "pause" in kinds and values.get("workload") else row_of("fail", "another")

    whole = plain_values(parse_scenario(small_text(*PARTS)))
    small, row, runs = shrink(whole, FAILED, run, runs_max=100)
    assert [part["kind"] for part in small["fault"]] == ["pause"]
    assert len(small["workload"]) == 1
    assert small["federation"] == {"nodes": ["b"]}, "every setting that does not matter is at its default"
    assert (cause_of(row), runs < 60) == ("durability", True)


def test_shrinking_ends_after_so_many_runs() -> None:
    whole = plain_values(parse_scenario(small_text(*PARTS)))
    assert shrink(whole, FAILED, lambda _: FAILED, runs_max=3)[2] == 3


@pytest.mark.parametrize("command", ["explore", "suite"])
@pytest.mark.parametrize("budget", ["0s", "-5m"])
def test_a_budget_in_which_nothing_is_run_is_refused_and_no_success(
    command: str, budget: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--budget", budget]) == 2
    told = capsys.readouterr()
    assert "drawn scenarios" not in told.out
    assert told.err


def test_a_long_list_of_what_was_never_met_is_in_the_file_and_its_beginning_on_the_terminal(
    tmp_path: Path, explored: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    explored += [PASSED]
    main(["explore", "--count", "1", "--out", str(tmp_path)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("never met, rejection code")]
    assert line.endswith(" more, in explored.md")
    assert line.count(",") < 15
    assert "well_known_key_differs_or_unreachable" in (tmp_path / "explored.md").read_text()
