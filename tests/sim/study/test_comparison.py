"""Two scenarios side by side: what differs in them, what became of it, and which copies one change reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim import run
from sim.cli import main
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.study.comparison import copies_changed, differing_keys, metric_changes
from sim.study.statistics import interval_of_difference
from tests.sim.small import fault, small_text, workload

TALK = workload("writers", rate="20/m", scope="company", fresh=True)
LINE = '[network]\nlatency = { kind = "uniform", low = "10ms", high = "50ms" }\n[disk]\nsync = "0s"'
LOSS = fault("loss", name="cut", between=["a", "b"], share=0.5, at="10s", for_="30s")


def line(*parts: str) -> str:
    return small_text(TALK, LINE, *parts, nodes=["a", "b", "c", "d", "e"], topology="line")


def row(**metrics: float | None) -> dict[str, object]:
    return {"verdict": "pass", "metrics": {name.replace("_", "."): value for name, value in metrics.items()}}


def test_what_differs_between_two_scenarios_is_told_by_key_and_both_values() -> None:
    plans = [make_plan(parse_scenario(text), Path()) for text in (line(), line(LOSS).replace('"2s"', '"4s"'))]
    found = {key: (one, other) for key, one, other in differing_keys(*plans)}
    assert found["federation.pull_interval"] == ('"2s"', '"4s"')
    assert found["fault.cut.share"] == ("-", "0.5")
    assert differing_keys(plans[0], plans[0]) == []


def test_differences_of_coupled_runs_are_taken_within_pairs_and_so_are_sharper() -> None:
    first = [row(lag_p99=float(seed)) for seed in range(20)]
    second = [row(lag_p99=seed + 0.5) for seed in range(20)]
    (coupled,) = metric_changes(first, second, coupled=True)
    assert (coupled.difference.value, coupled.difference.low, coupled.difference.high) == (0.5, 0.5, 0.5)
    (apart,) = metric_changes(first, second, coupled=False)
    assert apart.difference.low < 0 < apart.difference.high
    assert apart.difference.value == 0.5


def test_a_run_without_a_value_leaves_its_pair_out() -> None:
    first, second = [row(catch_up=1.0), row(catch_up=None)], [row(catch_up=3.0), row(catch_up=9.0)]
    changes = {name: change for name, *change in metric_changes(
        [{"metrics": {"catch_up": each["metrics"]["catch.up"]}} for each in first],  # type: ignore[index]
        [{"metrics": {"catch_up": each["metrics"]["catch.up"]}} for each in second],  # type: ignore[index]
        coupled=True,
    )}  # fmt: skip
    assert changes["catch_up"][2].value == 2.0
    assert changes["catch_up"][2].runs == 1


def test_two_samples_that_are_the_same_may_differ_by_nothing() -> None:
    same = interval_of_difference([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    assert same.value == 0.0
    assert same.low < 0.0 < same.high


def test_copies_that_a_loss_on_one_link_reaches_are_told_and_no_others() -> None:
    frames = [run(parse_scenario(text)).facts() for text in (line(), line(LOSS))]
    found = copies_changed(*frames)
    assert found.only_first == found.only_second == 0
    assert found.changed > 0
    assert found.same > found.changed
    assert [node for node, (changed, _) in found.nodes.items() if changed and node in "de"] == []
    assert copies_changed(frames[0], frames[0]).changed == 0


@pytest.mark.parametrize("coupled", [True, False])
def test_the_command_tells_keys_medians_intervals_and_with_coupling_the_copies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, coupled: bool
) -> None:
    for name, text in (("a", line()), ("b", line(LOSS))):
        (tmp_path / f"{name}.toml").write_text(text)
    words = ["compare", str(tmp_path / "a.toml"), str(tmp_path / "b.toml"), "--seeds", "2", "--jobs", "1"]
    assert main([*words, "--coupled"] if coupled else words) == 0
    said = capsys.readouterr().out
    assert "fault.cut.share: - | 0.5" in said
    assert "2 runs each: pass | pass" in said
    assert "lag.p99" in said
    assert ("copies of facts that both runs have" in said) == coupled
