"""Each kind of row passes on measurements that follow its law and fails on ones that do not; a failure ends with 1.

Measurements are made up here, without a simulation: what is shown is that the judging can fail.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.validation import __main__ as command
from tests.validation import agreement, faults, lag, laws, wire
from tests.validation.everything import EXPERIMENTS
from tests.validation.lag import PULL
from tests.validation.rows import FALSE_ALARMS, Experiment, Row, is_noticed, level_of

LEVEL = 1.5e-4
"""About that of the real table."""


def passes(rows: list[Row]) -> bool:
    return all(row.passes(LEVEL) for row in rows)


def test_an_interval_that_is_off_by_five_percent_fails_the_row_of_two_nodes() -> None:
    lags = PULL.hop_s + (PULL.period_s + PULL.sync_s) * np.random.default_rng(1).random(7_000)
    assert passes(lag.judge_two_nodes(lags))
    assert not passes(lag.judge_two_nodes(1.05 * lags))


def _chains() -> np.ndarray:
    waits = np.random.default_rng(2).random((400, lag.HOPS)) * PULL.period_s
    hops = np.arange(1, lag.HOPS + 1)
    return waits.cumsum(axis=1) + hops * PULL.hop_s + (hops - 1) * PULL.stranger_s


def test_a_missing_hop_fails_every_row_of_the_line() -> None:
    chains = _chains()
    assert passes(lag.judge_line(chains))
    shifted = np.concatenate([chains[:, :1], chains[:, :-1]], axis=1)
    assert all(not row.passes(LEVEL) for row in lag.judge_line(shifted)[1:])


def test_phases_that_depend_on_each_other_fail_their_rows() -> None:
    chains = _chains()
    assert passes(lag.judge_phases(chains))
    in_step = np.repeat(chains[::2], 2, axis=0)
    in_step[1::2] = np.diff(in_step[1::2], axis=1, prepend=0.0)[:, ::-1].cumsum(axis=1)
    assert not passes(lag.judge_phases(in_step))


def test_a_mesh_that_does_not_relay_fails_its_rows() -> None:
    measured = lag.graph_law("mesh", 6, 60)
    assert passes(lag.judge_graph("mesh", measured, lag.graph_law("mesh", 6, 300)))
    assert not passes(lag.judge_graph("mesh", measured, lag.graph_law("mesh", 6, 300, hops_max=1)))


@pytest.mark.parametrize("cut_s", [40, 150])
def test_a_node_that_is_not_woken_fails_the_row_of_its_cut(cut_s: int) -> None:
    random = Random(3)
    deaf = laws.Patience(timeout_s=faults.PATIENCE.timeout_s, woken=False)
    good, bad = (
        np.array([laws.catch_up_s(PULL, cut_s, patience, random) for _ in range(160)])
        for patience in (faults.PATIENCE, deaf)
    )
    law = faults.catch_up_law(cut_s, 1_500)
    assert passes(faults.judge_cut(cut_s, good, law))
    assert not passes(faults.judge_cut(cut_s, bad, law))


def test_a_page_that_is_late_by_a_millisecond_or_too_large_fails_its_row() -> None:
    sizes = laws.page_sizes(faults.BACKLOG, faults.PAGE)
    found = [(7.0 + number * faults.FAR.page_s, size) for number, size in enumerate(sizes)]
    assert passes(faults.judge_pages(found))
    assert not passes(faults.judge_pages([*found[:-1], (found[-1][0] + 0.001, found[-1][1])]))
    assert not passes(faults.judge_pages([(found[0][0], 51), *found[1:]]))


def test_loss_that_is_ignored_or_strikes_questions_only_fails_its_rows() -> None:
    random = Random(4)
    outcomes = [[random.random() < 0.81 for _ in range(4_000)]]
    assert passes(faults.judge_loss(0.1, 700, 7_000, outcomes))
    assert not passes(faults.judge_loss(0.1, 0, 7_000, outcomes))
    assert not passes(faults.judge_loss(0.1, 700, 7_000, [[random.random() < 0.9 for _ in range(4_000)]]))


def test_a_first_rest_that_is_not_random_and_a_back_off_that_does_not_double_fail_their_rows() -> None:
    random = Random(5)
    assert passes(faults.judge_first_rests([4.0 * random.random() for _ in range(360)]))
    assert not passes(faults.judge_first_rests([4.0] * 360))
    bases = [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    good = [[base * (0.8 + 0.4 * random.random()) for base in bases] for _ in range(40)]
    assert passes(faults.judge_retries(good))
    assert not passes(faults.judge_retries([[rest[0]] * len(rest) for rest in good]))


def test_delays_writers_and_subjects_of_another_law_fail_their_rows() -> None:
    chance = np.random.default_rng(6)
    delays = {"a": list(5.0 + chance.exponential(20.0, 6_000))}
    assert passes(wire.judge_delays("exponential", delays))
    assert not passes(wire.judge_delays("exponential", {"a": list(5.0 + chance.exponential(22.0, 6_000))}))
    times = list(5.0 + np.sort(chance.random(4_000)) * 100.0)
    ranked = list(chance.multinomial(4_000, laws.zipf(wire.SUBJECTS, wire.EXPONENT)))
    assert passes(wire.judge_writers(times, ranked))
    assert not passes(wire.judge_writers(times, ranked[::-1]))
    assert not passes(wire.judge_writers(times[::2], ranked))


def test_a_nanosecond_on_a_link_and_a_ppm_of_drift_fail_their_rows() -> None:
    sent = [(number * 1_000_000, 2_000) for number in range(20)]
    delays = laws.link_delays_ns(sent, wire.BITS_PER_S, 30_000_000)
    good = [(*message, delay) for message, delay in zip(sent, delays, strict=True)]
    assert passes(wire.judge_queues([good]))
    assert not passes(wire.judge_queues([[*good[:-1], (*sent[-1], delays[-1] + 1)]]))
    assert not passes(wire.judge_queues([good[:1]])), "messages that never queued show nothing"
    gaps = {"node-01": [2_002_500_000], "node-02": [2_000_000_000 * 1_000_000 // 1_050_000 + 2_500_000]}
    assert passes(wire.judge_drift(gaps))
    assert not passes(wire.judge_drift({**gaps, "node-02": [gaps["node-02"][0] + 2_000]}))


def test_percentiles_that_leave_copies_out_fail_their_row() -> None:
    told = {"p50_s": 1.0, "p90_s": 2.0, "p99_s": 3.0, "max_s": 4.0}
    assert passes(agreement.judge_percentiles(told, dict(told)))
    assert not passes(agreement.judge_percentiles(told, {**told, "max_s": 4.000001}))


# --- the table as a whole ---


def test_every_experiment_has_a_name_of_its_own_and_work_to_do() -> None:
    names = [experiment.name for experiment in EXPERIMENTS]
    assert len(set(names)) == len(names)
    assert all(experiment.jobs() for experiment in EXPERIMENTS)


def _row(p: float | None, *, holds: bool = True) -> Row:
    return Row(law="law", predicted="1", measured="1", test="test", p=p, holds=holds)


def test_the_level_of_a_row_is_shared_by_all_that_have_a_p_value() -> None:
    assert level_of([_row(0.5), _row(0.5), _row(None)]) == FALSE_ALARMS / 2
    assert is_noticed([_row(0.5), _row(1e-9)], 0.001)
    assert not is_noticed([_row(0.5), _row(None)], 0.001)


@pytest.mark.parametrize(
    ("rows", "wrong", "status"),
    [
        ([_row(0.5), _row(None)], [_row(1e-9)], 0),
        ([_row(1e-9)], [_row(1e-9)], 1),
        ([_row(None, holds=False)], [_row(1e-9)], 1),
        ([_row(0.5)], [_row(0.4)], 1),
    ],
    ids=["all agree", "a row differs", "an exact row differs", "a wrong law is missed"],
)
def test_the_command_ends_with_1_when_a_row_differs_or_a_wrong_law_is_missed(
    rows: list[Row], wrong: list[Row], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment(
        name="one",
        title="One",
        jobs=lambda: [(len, ("abc",))],
        judge=lambda results: rows if results == [3] else [],
        wrong=lambda results: {"a wrong law": wrong},
    )
    monkeypatch.setattr(command, "EXPERIMENTS", (experiment,))
    monkeypatch.setattr(command, "DOCS", tmp_path)
    monkeypatch.setattr(command, "draw", lambda results, folder: [])
    assert command.main(["--jobs", "1"]) == status
    text = (tmp_path / "validation.md").read_text()
    assert ("**differs**" in text or "**missed**" in text) == bool(status)


def test_the_page_in_the_repository_shows_every_experiment_and_no_failure() -> None:
    text = (command.DOCS / "validation.md").read_text()
    assert {f"## {experiment.title}" for experiment in EXPERIMENTS} <= set(text.splitlines())
    assert "**differs**" not in text
    assert "**missed**" not in text
    for name in re.findall(r"\]\((figures/[a-z-]+\.png)\)", text):
        assert (command.DOCS / name).is_file(), f"{name} is gone: run make validate"
