"""Settings: keys that are given other values at the command line, and the command that runs one run of a study."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from sim.cli import main
from sim.scenario.changes import parse_settings, run_command
from sim.scenario.plan import Plan
from sim.scenario.planning import load_plan
from sim.study.store import ROWS
from sim.study.study import Study
from tests.sim.small import fault, small_text, workload

TALK = workload("contradictions", rate="30/m", entities=5)
CUT = fault("partition", at="5s", for_="5s", groups=[["a"], ["b", "c"]], name="cut")


def sweep(**members: object) -> str:
    return fault("", **members).replace("[[fault]]", "[[sweep]]").replace('kind = ""\n', "")


def text(*parts: str) -> str:
    return small_text(TALK, CUT, *parts, duration="15s")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(text())
    return path


def study_of_plan(plan: Plan) -> Study:
    return Study.of(plan.scenario, [1], folder=plan.base)


SWEEPS = (
    sweep(key="fault.cut.for", values=["1s", "9s"]),
    sweep(key="network.loss", values=[0.0, 0.125], together="x"),
    sweep(key="federation.topology", values=["ring", "mesh"], together="x"),
)


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "several seeds"])
@pytest.mark.parametrize("options", [[], ["--set", "workload.0.entities=7"]], ids=["", "with a key set"])
def test_the_command_that_is_printed_for_the_worst_run_of_a_study_runs_it_again_with_the_same_digest(
    swept: bool,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("my own's study.toml")
    file.write_text(text(*(SWEEPS if swept else ())))
    seeds = [] if swept else ["--seeds", "3"]
    assert main(["run", str(file), *seeds, *options, "--jobs", "1", "--out", "study", "--no-figures"]) == 0
    (printed,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("to replay it: ")]
    program, *tokens = shlex.split(printed.removeprefix("to replay it: "))
    assert program == "stigmem-sim"
    assert main([*tokens, "--out", "again", "--no-figures"]) == 0
    run = json.loads(Path("again/run.json").read_text())
    rows = [json.loads(line) for line in (Path("study") / ROWS).read_text().splitlines()[1:]]
    worst = max(rows, key=lambda row: row["metrics"]["lag.p99"] or 0.0)
    assert (run["seed"], run["trace_digest"]) == (worst["seed"], worst["digest"])
    given = {"workload.0.entities": 7} if options else {}
    assert run.get("set", {}) == {**given, **worst["values"]}
    assert len({row["digest"] for row in rows}) == len(rows)


def test_a_key_that_is_set_varies_no_longer_by_whichever_name_it_is_set(file: Path) -> None:
    file.write_text(text(*SWEEPS))
    plan = load_plan(file, settings={"fault.0.for": "2s", "network.loss": 0.5})
    assert [sweep.key for sweep in plan.scenario.sweep] == ["federation.topology"]
    assert [cell.values for cell in study_of_plan(plan).cells] == [
        {"federation.topology": "ring"}, {"federation.topology": "mesh"},
    ]  # fmt: skip
    assert {cell.scenario["fault"][0]["for"] for cell in study_of_plan(plan).cells} == {2_000_000_000}


def test_a_sweep_may_be_set_of_a_file_that_has_none(file: Path, tmp_path: Path) -> None:
    sweep = 'sweep=[{ key = "network.loss", values = [0.0, 0.01] }]'
    assert main(["run", str(file), "--set", sweep, "--jobs", "1", "--no-figures", "--out", str(tmp_path / "out")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / ROWS).read_text().splitlines()[1:]]
    assert [row["values"] for row in rows] == [{"network.loss": 0.0}, {"network.loss": 0.01}]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1m", "1m"), ("0.5", 0.5), ("7", 7), ('"7"', "7"), ("true", True), ('["a", "b"]', ["a", "b"]), ("", ""),
        ("{ kind = 'x', n = 1 }", {"kind": "x", "n": 1}), ("1979-05-27", "1979-05-27"), ("a=b c", "a=b c"),
        ("1\nother = 2", "1\nother = 2"), ("#", "#"), ("-1e-3", -0.001), ("mesh # x", "mesh # x"),
    ],
)  # fmt: skip
def test_a_value_is_read_as_in_a_file_or_as_a_text_and_written_so_that_it_is_read_the_same(
    written: str, value: object
) -> None:
    assert parse_settings([f"a.b={written}"]) == {"a.b": value}
    *_, again = shlex.split(run_command(Path("x.toml"), None, {"a.b": value}))
    assert parse_settings([again]) == {"a.b": value}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["network.los=0.1"], "with network.los = 0.1: unknown key; did you mean 'loss'?"),
        (["network.loss=7"], "with network.loss = 7: "),
        (["fault.cat.for=1s"], "fault.cat.for: there is no entry 'cat'"),
        (["clock.0.offset=1s"], "clock.0.offset: there is no [[clock]]"),
        (["fault.cut.groups=[['a'], ['z']]"], "'z'"),
        (["network.loss"], "'network.loss' is not a dotted key and its value, such as network.loss=0.1"),
        (["network..loss=1"], "'network..loss=1' is not a dotted key and its value"),
        (["network.loss=0.1", "network.loss=0.2"], "network.loss is set twice"),
    ],
)
def test_a_setting_that_cannot_stand_is_one_sentence(
    settings: list[str], sentence: str, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(file), *(each for setting in settings for each in ("--set", setting))]) == 2
    (told,) = capfd.readouterr().err.splitlines()
    assert sentence in told
