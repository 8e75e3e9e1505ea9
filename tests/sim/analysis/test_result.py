"""Results: lag, expectations, verdicts, frames, and the library's door `run`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import sim
from sim import BadScenario, Result, Scenario, run
from sim.analysis.lag import LagSummary, copies_of, nearest_rank, summarise
from sim.analysis.measurement import measure
from sim.analysis.verdict import ExpectationResult, compare, judge, metric_values, tally_conflicts
from sim.check import Checker, CheckResult, Commit, Commits
from sim.observation.visibility import TrackedFact, Visibility
from sim.ports import Observed
from sim.runner import run_plan
from sim.scenario.metrics import METRICS, known_metrics
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.scenario.tables import Expectation
from tests.sim.small import fault, make_simulation, small_text, workload

TALK = workload("contradictions", rate="30/m", entities=5)
S = 1_000_000_000


def scenario(*parts: str, **changes: str) -> Scenario:
    return parse_scenario(small_text(*(parts or (TALK,)), **changes))


@pytest.fixture(scope="module")
def result() -> Result:
    """A run with a cut, shared by the tests that only look."""
    return run(scenario(TALK, fault("partition", at="10s", for_="20s", groups=[["a"], ["b", "c"]]), warm_up="5s"))


# --- lag ---


def measured(*lags_s: float | None) -> Visibility:
    """Facts of node a, with their lag at b; None never came."""
    visibility = Visibility(("a", "b"), lambda origin, scope: ("a", "b"))
    for number, lag in enumerate(lags_s):
        visibility.written(TrackedFact(str(number), "a", "public", "e", "r", number * S))
        if lag is not None:
            visibility.saw("b", "a", str(number), number * S + round(lag * S))
    return visibility


def test_lag_is_from_writing_to_visibility_at_every_other_reader() -> None:
    found = summarise(copies_of(measured(*range(1, 101)), 200 * S))
    assert found == LagSummary(50 * S, 90 * S, 99 * S, 100 * S, 100, 0)


def test_a_copy_that_never_came_counts_at_its_age() -> None:
    found = summarise(copies_of(measured(2.0, None, None), 100 * S))
    assert (found.p50, found.most, found.came, found.missing) == (98 * S, 99 * S, 1, 2)


def test_what_was_written_before_the_warm_up_ended_is_not_measured() -> None:
    found = summarise(copies_of(measured(9.0, 2.0, 3.0), 100 * S, 1 * S))
    assert (found.came, found.most) == (2, 3 * S)
    assert summarise(copies_of(measured(9.0), 100 * S, None)) == LagSummary(None, None, None, None, 0, 0)


def test_without_any_copy_there_is_no_lag() -> None:
    assert summarise(copies_of(measured(), 9 * S)) == LagSummary(None, None, None, None, 0, 0)


def test_a_destroyed_fact_is_neither_late_nor_missing() -> None:
    visibility = measured(1.0, None)
    visibility.lost_disk("a", 9 * S)
    copies = copies_of(visibility, 9 * S)
    assert summarise(copies).came == 1
    assert set(copies.fact) == {0}


@pytest.mark.parametrize(
    ("count", "percent", "place"), [(1, 50, 1), (1, 99, 1), (2, 50, 1), (100, 99, 99), (101, 99, 100)]
)
def test_percentiles_are_by_nearest_rank(count: int, percent: int, place: int) -> None:
    assert nearest_rank(range(1, count + 1), percent) == place


# --- expectations ---


def weighed(value: float | None, *, whole: bool = True, **bounds: Any) -> list[bool | None]:
    results = compare([Expectation(metric="lag.p99", **bounds)], lambda _: value, whole=whole)
    return [result.ok for result in results]


def test_bounds_are_inclusive() -> None:
    assert weighed(3.0, at_most="3s") == [True]
    assert weighed(3.0, at_least="3s") == [True]
    assert weighed(3.0, equals="3s") == [True]


def test_a_bound_that_is_passed_fails() -> None:
    assert weighed(3.001, at_most="3s") == [False]
    assert weighed(2.999, at_least="3s") == [False]
    assert weighed(2.999, equals="3s") == [False]


def test_durations_and_numbers_are_seconds_alike() -> None:
    assert weighed(90.0, at_most="1m30s", at_least=90) == [True, True]


def test_what_never_happened_keeps_no_bound() -> None:
    assert weighed(None, at_most="3s") == [False]


def test_in_a_run_that_was_cut_short_nothing_is_weighed() -> None:
    assert weighed(1.0, whole=False, at_most="3s") == [None]


def test_every_metric_that_a_scenario_may_name_has_a_value() -> None:
    simulation = make_simulation(TALK, fault("pause", node="c", at="5s", for_="9s", name="nap"))
    simulation.run()
    measured = measure(
        simulation.visibility,
        simulation.plan.federation,
        simulation.fault_schedule.fault_intervals,
        ended_ns=simulation.world.now,
        measured_from_ns=0,
        converged=True,
    )
    values = metric_values(simulation, measured, tally_conflicts(simulation.observed), {})
    assert set(known_metrics(["nap"])) <= set(values)
    unmeasured = [name for name in METRICS if values[name] is None]
    assert all(name.startswith(("comeback.", "joining.", "recalled.")) for name in unmeasured)
    assert values["catch_up.nap"] == values["catch_up"] is not None


# --- verdict ---


def judged(*oks: bool | None, facts: int = 1, interrupted: bool = False, expected: bool | None = True) -> str:
    checks = [CheckResult("c", ok, "") for ok in oks]
    return judge(checks, [ExpectationResult("m", expected, 1.0, 1.0, "at_most")], facts=facts, interrupted=interrupted)


def test_a_run_passes_when_everything_holds() -> None:
    assert judged(True, True) == "pass"


def test_a_failed_check_or_expectation_fails_a_run_whatever_else_is_unknown() -> None:
    assert judged(True, False) == "fail"
    assert judged(True, expected=False) == "fail"
    assert judged(None, False, facts=0) == "fail"


def test_a_run_is_inconclusive_when_it_cannot_be_judged() -> None:
    assert judged(True, None) == "inconclusive"
    assert judged(True, interrupted=True) == "inconclusive"
    assert judged(True, facts=0) == "inconclusive"
    assert judged(True, expected=None) == "inconclusive"


# --- running ---

KEYS = [
    "scenario", "seed", "verdict", "trace_digest", "state_digest", "knowledge_digest", "simulated_s", "wall_s",
    "events", "requests", "bytes", "bytes_delivered", "bytes_lost", "facts", "nodes", "lag", "lag_per_fact", "missing",
    "measured_from_s", "convergence_s", "catch_up", "comeback", "joining", "conflicts", "rejections", "refused_writes",
    "destroyed", "checks", "expectations", "python", "version", "revision", "platform", "policies",
]  # fmt: skip


def test_run_json_has_the_agreed_keys(result: Result) -> None:
    assert list(result.run_json) == KEYS
    assert list(result.run_json["lag"]) == ["p50_s", "p90_s", "p99_s", "max_s"]
    assert list(result.run_json["conflicts"]) == ["open", "resolved", "divergent"]
    assert {tuple(check) for check in result.run_json["checks"]} == {("name", "ok", "detail", "vacuous")}


def test_a_sound_run_passes_with_status_0(result: Result) -> None:
    assert (result.verdict, result.exit_status) == ("pass", 0)
    assert result.run_json["lag"]["max_s"] > 15
    last = max(60.0, result.facts()["visible_s"].max())  # type: ignore[type-var]
    assert result.run_json["convergence_s"] == pytest.approx(last - 60)
    assert result.run_json["convergence_s"] <= (result.ended_ns - 60 * S) / S


def test_two_runs_differ_in_nothing_but_the_wall_time() -> None:
    one, other = (run(scenario()).run_json for _ in range(2))
    assert {**one, "wall_s": 0} == {**other, "wall_s": 0}


def test_another_seed_is_another_run() -> None:
    one, other = (run(scenario(), seed=seed).run_json for seed in (1, 2))
    assert (one["seed"], other["seed"]) == (1, 2)
    assert one["trace_digest"] != other["trace_digest"]


def test_an_expectation_that_is_not_met_fails_with_status_1() -> None:
    found = run(scenario(TALK, '[[expect]]\nmetric = "lag.p99"\nat_most = "1ms"'))
    assert (found.verdict, found.exit_status) == ("fail", 1)
    (expectation,) = found.run_json["expectations"]
    assert list(expectation) == ["name", "ok", "value", "limit", "bound"]
    assert (expectation["name"], expectation["ok"], expectation["limit"]) == ("lag.p99", False, 0.001)


def test_a_run_in_which_nobody_writes_is_inconclusive_with_status_3() -> None:
    found = run(parse_scenario(small_text()))
    assert (found.verdict, found.exit_status) == ("inconclusive", 3)


def test_a_federation_that_does_not_converge_fails() -> None:
    found = run(scenario(settle="1s", pull_interval="20s"))
    assert found.verdict == "fail"
    assert found.run_json["convergence_s"] is None
    assert found.run_json["missing"] > 0


class Tripwire(Checker):
    """A property that the tenth commit breaks."""

    name = "tripwire"

    sees = Commits.ALL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.commits = 0

    def on_commit(self, commit: Commit) -> None:
        self.commits += 1
        if self.commits == 10:
            self.fail(commit.machine, "ten commits")


def test_a_property_of_ones_own_that_is_violated_ends_the_run_and_fails_it() -> None:
    found = run(scenario(TALK, fault("pause", node="c", at="0s", for_="50s")), checkers=[Tripwire])
    assert found.verdict == "fail"
    assert found.violation is not None
    assert found.run_json["ended_early"] is True
    verdicts = {check.name: check.ok for check in found.checks}
    assert verdicts.pop("tripwire") is False
    assert set(verdicts.values()) == {True, None}
    assert "violated" in [event[1] for event in found.tail[-3:]]  # what this commit answers still leaves
    assert found.faults()["end_s"].to_list() == [found.ended_ns / S]


# --- the door ---


def test_a_scenario_file_is_run_with_its_data_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(small_text(TALK))
    assert run(path).run_json["trace_digest"] == run(scenario()).run_json["trace_digest"]


def test_tables_can_be_changed_by_name(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(small_text(TALK, fault("pause", node="c", at="1s", for_="5s")))
    found = run(path, scenario={"duration": "20s"}, network={"latency": "80ms"}, fault=[])
    assert found.scenario.scenario.duration == 20 * S
    assert found.scenario.network.latency == "80ms"
    assert found.scenario.fault == []
    assert found.scenario.scenario.name == "small"


def test_a_scenario_changed_in_python_runs() -> None:
    base = scenario()
    longer = msgspec.structs.replace(base.scenario, duration=base.scenario.settle)
    changed = msgspec.structs.replace(base, scenario=longer)
    assert run(changed).run_json["simulated_s"] >= 180


@pytest.mark.parametrize(
    "tables", [{"network": {"latency": "fast"}}, {"federation": {"nods": 3}}, {"scenario": {"seed": -1}}]
)
def test_a_wrong_change_is_refused(tables: dict[str, Any]) -> None:
    with pytest.raises(BadScenario):
        run(scenario(), **tables)


def test_the_package_gives_a_function_whatever_was_imported_before() -> None:
    code = "import sim.simulation.simulation; from sim import run, Scenario; print(callable(run), Scenario.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True Scenario\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sim.nothing  # type: ignore[attr-defined]


# --- frames ---


def test_the_facts_frame_has_a_row_per_copy(result: Result) -> None:
    facts = result.facts()
    assert facts.columns == [
        "fact", "origin", "scope", "entity", "relation", "node", "written_s", "visible_s", "lag_s", "held",
        "age_s", "lag_from_joining_s", "measured",
    ]  # fmt: skip
    assert facts.height == 3 * result.run_json["facts"]
    away = facts.filter(facts["origin"].cast(str) != facts["node"].cast(str))
    assert away["lag_s"].null_count() == 0
    assert facts["lag_s"].null_count() == result.run_json["facts"]
    assert away["lag_s"].to_list() == away["age_s"].to_list()
    measured = facts.filter("measured")
    assert 0 < measured.height < away.height
    assert measured["age_s"].max() == pytest.approx(result.run_json["lag"]["max_s"])


def test_a_missing_copy_is_a_row_that_is_not_held() -> None:
    facts = run(scenario(settle="1s", pull_interval="20s")).facts()
    missing = facts.filter(~facts["held"])
    assert missing.height > 0
    assert missing["visible_s"].null_count() == missing["lag_s"].null_count() == missing.height
    assert missing["age_s"].null_count() == 0


def test_samples_and_faults_tell_the_course_of_the_run(result: Result) -> None:
    samples, faults = result.samples(), result.faults()
    assert samples["at_s"].is_sorted()
    assert samples["missing"].to_list()[-1] == 0
    assert samples["facts"].to_list()[-1] == samples["everywhere"].to_list()[-1] == result.run_json["facts"]
    assert faults.select("label", "nodes", "begin_s", "end_s", "name").rows() == [
        ("cut", ["a", "b", "c"], 10.0, 30.0, None)
    ]
    assert 0 < faults["catch_up_s"].to_list()[0] < 10


def test_a_result_knows_the_links_that_packets_were_stopped_on(result: Result) -> None:
    stopped = {frozenset((stop.source, stop.target)) for stop in result.stops}
    assert stopped == {frozenset("ab"), frozenset("ac")}
    assert result.links == (("a", "b"), ("a", "c"), ("b", "c"))
    assert result.positions == {}


# --- stopping ---


@pytest.fixture
def long_scenario() -> Iterator[Scenario]:
    before = signal.getsignal(signal.SIGINT)
    yield scenario(duration="10m")
    assert signal.getsignal(signal.SIGINT) is before


def pressing(times: int) -> Callable[[int, int], None]:
    """A progress that presses Ctrl-C some times after a minute."""
    left = [times]

    def progress(now: int, deadline: int) -> None:
        while now >= 60 * S and left[0]:
            left[0] -= 1
            signal.raise_signal(signal.SIGINT)

    return progress


def test_ctrl_c_in_a_run_of_the_library_is_a_keyboard_interrupt(long_scenario: Scenario, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(long_scenario, out=tmp_path / "out", progress=pressing(1))
    assert not (tmp_path / "out/run.json").exists()


def test_whoever_wants_what_there_is_gets_an_inconclusive_result_from_ctrl_c(long_scenario: Scenario) -> None:
    plan = make_plan(long_scenario, Path())
    found = run_plan(plan, progress=pressing(1), judge_interrupted=True)
    assert (found.verdict, found.exit_status, found.interrupted) == ("inconclusive", 3, True)
    assert found.run_json["simulated_s"] == pytest.approx(60, abs=3)
    assert {check.ok for check in found.checks} == {True, None}
    assert all(check.detail.startswith("held until 1m") for check in found.checks if check.ok)


def test_an_interrupted_run_leaves_whole_files(long_scenario: Scenario, tmp_path: Path) -> None:
    found = run_plan(
        make_plan(long_scenario, tmp_path),
        out=tmp_path / "out",
        progress=pressing(1),
        figures=False,
        judge_interrupted=True,
    )
    assert found.interrupted
    written = msgspec.json.decode((tmp_path / "out/run.json").read_bytes())
    assert written["verdict"] == "inconclusive"
    assert len(sim.world.trace.read_trace(tmp_path / "out/trace.jsonl.gz")) > 100  # type: ignore[attr-defined]


def test_ctrl_c_twice_is_a_keyboard_interrupt(long_scenario: Scenario) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_plan(make_plan(long_scenario, Path()), progress=pressing(2), judge_interrupted=True)
