"""The suite: what a folder holds, what its runs come to, and what is written of them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from sim.cli import main
from sim.report.folder import BadFolder
from sim.scenario.reading import BadScenario
from sim.suite.contents import Case, KnownRed, Missing, Suite, read_suite
from sim.suite.results import CaseResult, SuiteResult
from sim.suite.running import run_cases, seeds_of
from sim.suite.table import html_of, markdown_of, rows_of
from sim.suite.writing import junit_of
from tests.sim.small import fault, small_text, workload

TALK = workload("contradictions", rate="30/m", entities=5)
OFF = fault("crash", at="5s", for_="3s", node="a", name="off")
REACH = '[[reach]]\nmetric = "conflicts.open"\n'
UNREACHED = '[[reach]]\nevent = "quota_breach"\n'
VARIANT = '[[variant]]\nname = "lossy"\n[variant.set]\n"network.loss" = 0.1\n"fault.off.for" = "5s"\n'
QUESTION = "# Question: does it hold?\n"


def text(*parts: str) -> str:
    return QUESTION + small_text(TALK, OFF, *parts, duration="15s")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "S-01-talk.toml").write_text(text(REACH, VARIANT))
    (made / "other.toml").write_text(text())
    (made / "suite.toml").write_text('[[missing]]\nid = "S-02"\nquestion = "and this?"\nreason = "nobody wrote it"\n')
    return made


def run_of(verdict: str = "pass", **members: Any) -> dict[str, Any]:
    metrics = {"lag.max": 1.5, "catch_up": None}
    return {"verdict": verdict, "metrics": metrics, "rejections": {}, "reach": [], "cpu_s": 0.1} | members


def result_of(*runs: dict[str, Any], reach: tuple[str, ...] = ()) -> CaseResult:
    case = Case(id="S-01", question="?", file=Path("S-01-x.toml"), variant=None, values={}, seed=7, reach=reach)
    return CaseResult(case=case, runs=list(enumerate(runs, start=7)))


def suite_of(*results: CaseResult, missing: tuple[Missing, ...] = ()) -> SuiteResult:
    suite = Suite(folder=Path("mine"), cases=[each.case for each in results], missing=missing)
    return SuiteResult(suite=suite, cases=results, real=[], wall_s=1.0)


# --- what a folder holds ---


def test_every_variant_is_a_row_and_the_list_adds_what_nothing_tries(folder: Path) -> None:
    suite = read_suite(folder)
    assert [case.id for case in suite.cases] == ["S-01", "S-01/lossy", "other"]
    assert [each.id for each in suite.missing] == ["S-02"]
    assert suite.cases[0].question == "does it hold?"


def test_a_variant_changes_what_it_names_and_nothing_else(folder: Path) -> None:
    plain, lossy, _ = (case.values for case in read_suite(folder).cases)
    assert lossy["network"]["loss"] == 0.1
    assert lossy["scenario"]["name"] == f"{plain['scenario']['name']}-lossy"
    assert lossy["workload"] == plain["workload"]
    assert "variant" not in plain


@pytest.mark.parametrize(
    ("only", "found"),
    [("S-0*", ["S-01", "S-01/lossy"]), ("S-01/lossy", ["S-01/lossy"]), ("other", ["other"])],
)
def test_rows_are_chosen_by_their_ids(folder: Path, only: str, found: list[str]) -> None:
    assert [case.id for case in read_suite(folder, [only]).cases] == found


def test_a_folder_without_scenarios_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(BadFolder, match="no scenarios"):
        read_suite(tmp_path)


def test_a_pattern_that_nothing_matches_is_no_pass(folder: Path) -> None:
    with pytest.raises(BadFolder, match="S-9"):
        read_suite(folder, ["S-9*"])


def test_a_variant_that_cannot_run_is_a_mistake_of_its_file(folder: Path) -> None:
    (folder / "bad.toml").write_text(text(VARIANT.replace("0.1", '"much"')))
    with pytest.raises(BadScenario, match=r"bad\.toml:\d+: variant\[0\]: with lossy: .*'much'"):
        read_suite(folder)


@pytest.mark.parametrize(
    ("reach", "said"),
    [
        ('code = "hlc_skev"', "there is no code 'hlc_skev'; did you mean 'hlc_skew'"),
        ('event = "peer_vanished"', "there is no event 'peer_vanished'"),
        ('code = "hlc_skew"\nmetric = "missing"', "only one"),
    ],
)
def test_what_cannot_be_met_is_refused_before_anything_runs(folder: Path, reach: str, said: str) -> None:
    (folder / "bad.toml").write_text(text(f"[[reach]]\n{reach}\n"))
    with pytest.raises(BadScenario) as caught:
        read_suite(folder)
    assert said in str(caught.value)


# --- what runs come to ---


def test_one_seed_that_fails_fails_the_row_and_is_the_one_to_replay() -> None:
    result = result_of(run_of(), run_of("fail", sentences=["leaks: a page had it"]), run_of())
    assert (result.verdict, result.failed_seeds) == ("fail", [8])
    assert result.reason == "leaks: a page had it"
    assert result.replay == "stigmem-sim run S-01-x.toml --seed 8"


def test_the_reason_is_that_of_the_worst_run_and_not_of_the_first_that_is_no_pass() -> None:
    undecided = run_of("inconclusive", sentences=["nothing to see"])
    result = result_of(run_of(), undecided, run_of("fail", sentences=["leaks: a page had it"]))
    assert (result.verdict, result.reason) == ("fail", "leaks: a page had it")
    assert result.replay.endswith("--seed 9")


def test_what_no_run_met_is_no_pass() -> None:
    met = result_of(run_of(reach=[0]), run_of(reach=[2]), reach=("the code x",))
    unmet = result_of(run_of(reach=[0]), run_of(reach=[0]), reach=("the code x",))
    assert (met.verdict, unmet.verdict) == ("pass", "unreached")
    assert "the code x" in unmet.reason
    assert suite_of(unmet).exit_status == 3


def test_the_worst_number_of_all_runs_is_told() -> None:
    result = result_of(run_of(rejections={"a": 1}), run_of(metrics={"lag.max": 9.0}, rejections={"a": 2, "b": 9}))
    assert result.worst("lag.max") == 9.0
    assert result.worst("catch_up") is None
    assert list(result.rejections.items()) == [("b", 9), ("a", 3)]


def test_short_runs_get_more_seeds_than_long_ones_and_none_fewer_than_three() -> None:
    assert [seeds_of(cpu_s) for cpu_s in (0.2, 2.5, 6.0, 400.0)] == [25, 25, 10, 3]


def test_a_suite_runs_every_row_with_its_seeds(folder: Path) -> None:
    told: list[tuple[int, int, int]] = []
    suite = read_suite(folder, ["S-01"])
    results = run_cases(suite.cases, seeds=2, jobs=1, told=lambda *numbers: told.append(numbers))
    assert [(each.verdict, [seed for seed, _ in each.runs]) for each in results] == [
        ("pass", [each.case.seed, each.case.seed + 1]) for each in results
    ]
    assert told[-1] == (4, 4, 0)
    assert results[0].runs[0][1]["digest"] != results[1].runs[0][1]["digest"]


# --- what is written ---


def test_the_page_for_build_servers_names_what_failed_and_skips_what_is_missing() -> None:
    failed = result_of(run_of("fail", sentences=['a "quoted" <sentence>']))
    missing = Missing(id="S-02", question="?", reason="nobody wrote it")
    tree = ET.fromstring(junit_of(suite_of(failed, missing=(missing,))))  # noqa: S314 - our own text
    assert (tree.get("tests"), tree.get("failures"), tree.get("skipped")) == ("2", "1", "1")
    found = tree.find("testcase/failure")
    assert found is not None
    assert found.get("message") == 'a "quoted" <sentence>'


def test_the_pages_for_people_show_the_sentence_and_the_command() -> None:
    failed = suite_of(result_of(run_of("fail", sentences=["leaks: <b>"])))
    assert "leaks: <b>" in markdown_of(failed)
    assert "leaks: &lt;b&gt;" in html_of(failed)
    assert "stigmem-sim run S-01-x.toml --seed 7" in html_of(failed)


def test_the_command_tells_the_table_and_writes_its_files(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "out"
    assert main(["suite", str(folder), "--seeds", "1", "--jobs", "1", "--only", "other", "--out", str(out)]) == 0
    assert "other" in capfd.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["junit.xml", "suite.html", "suite.json", "suite.md"]
    assert json.loads((out / "suite.json").read_text())["counts"] == {"pass": 1}


def test_a_suite_that_met_nothing_of_what_it_is_about_exits_with_3(folder: Path) -> None:
    (folder / "other.toml").write_text(text(UNREACHED))
    arguments = ["--seeds", "1", "--jobs", "1", "--only", "other", "--out", str(folder.parent / "out")]
    assert main(["suite", str(folder), *arguments]) == 3


def test_one_variant_runs_alone(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = str(folder / "S-01-talk.toml")
    assert main(["run", file, "--variant", "lossy", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["scenario"].endswith("-lossy")
    assert main(["run", file, "--variant", "lusty", "--json"]) == 2
    assert "did you mean 'lossy'" in capfd.readouterr().err


# --- what is known to be red, and a budget of time ---


RED = KnownRed(id="S-01", until=date(2027, 1, 31), reason="is being mended")


def red_suite(case: CaseResult, today: date) -> SuiteResult:
    suite = Suite(folder=Path("mine"), cases=[case.case], known_red=[RED])
    return SuiteResult(suite=suite, cases=[case], real=[], wall_s=1.0, today=today)


def test_what_is_known_to_be_red_is_told_and_fails_no_suite_until_its_day_is_over() -> None:
    failed = result_of(run_of("fail", sentences=["it broke"]))
    until = red_suite(failed, date(2027, 1, 31))
    assert (until.counts, until.exit_status) == ({"known red": 1}, 0)
    assert rows_of(until)[0].reason == "it broke (known to be red until 2027-01-31: is being mended)"
    after = red_suite(failed, date(2027, 2, 1))
    assert (after.counts, after.exit_status) == ({"fail": 1}, 1)
    assert "was known to be red until 2027-01-31" in rows_of(after)[0].reason


def test_a_row_that_passes_and_is_known_to_be_red_is_told_of() -> None:
    found = red_suite(result_of(run_of()), date(2027, 1, 1))
    assert (found.counts, found.exit_status) == ({"pass": 1}, 0)
    assert "take it off the list" in rows_of(found)[0].reason


def test_the_list_of_a_folder_names_what_is_known_to_be_red(folder: Path) -> None:
    (folder / "suite.toml").write_text('[[known_red]]\nid = "S-01/lossy"\nuntil = 2027-01-31\nreason = "x"\n')
    assert [(each.id, each.until) for each in read_suite(folder).known_red] == [("S-01/lossy", date(2027, 1, 31))]


def test_a_budget_of_time_goes_on_in_rounds_and_gives_more_seeds_to_rows_that_are_no_pass(folder: Path) -> None:
    suite = read_suite(folder, ["other", "S-01/lossy"])
    looks = iter([False, False, True])
    results = run_cases(suite.cases, seeds=None, jobs=1, is_over=lambda: next(looks))
    seeds = {each.case.id: len(each.runs) for each in results}
    assert min(seeds.values()) >= 3
    for each in results:
        assert len(each.runs) == (3 if each.verdict == "pass" else 7)
