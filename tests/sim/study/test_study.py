"""Studies: what is varied, who runs it, what is kept, and what is told of several runs."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress
from io import StringIO
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import sim
from sim.cli import main
from sim.report.folder import BadFolder
from sim.scenario.reading import BadScenario, load_scenario
from sim.study.cells import axes_of, cells_of
from sim.study.pool import Pool
from sim.study.statistics import interval_of
from sim.study.store import ROWS, Store, merge_rows
from sim.study.study import Study, frame_of
from sim.study.telling import band_figure, show_study, write_study
from sim.study.worker import LENGTH_BYTES, Job, run_job
from tests.sim.small import fault, small_text, workload

TALK = workload("contradictions", rate="30/m", entities=5)
CUT = fault("partition", at="5s", for_="5s", groups=[["a"], ["b", "c"]], name="cut")


def text(*parts: str, **changes: object) -> str:
    return small_text(TALK, CUT, *parts, **{"duration": "15s", **changes})


def table(name: str, **members: object) -> str:
    return fault("", **members).replace("[[fault]]", f"[[{name}]]").replace('kind = ""\n', "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(text())
    return path


def study_of(path: Path, seeds: int = 3, over: dict[str, list[Any]] | None = None) -> Study:
    return Study.of(load_scenario(path), range(1, seeds + 1), folder=path.parent, over=over)


def store_of(study: Study, folder: Path | None = None) -> Store:
    return Store(folder, name=study.scenario.name, identity=study.identity)


def without_workers(study: Study, store: Store, seeds: range) -> None:
    """Rows as workers would bring them."""
    for cell, seed in study.places():
        if seed in seeds:
            row = run_job(Job(study.cells[cell].scenario, study.folder, seed))
            store.add({"cell": cell, "seed": seed, "values": study.cells[cell].values, **row})


# --- statistics ---


def test_the_interval_of_equal_runs_has_no_width() -> None:
    assert interval_of([4.0] * 9) == (4.0, 4.0, 4.0, 9)


def test_intervals_of_the_median_hold_the_true_one_about_as_often_as_they_say() -> None:
    random = Random(3)
    held = 0
    for _ in range(200):
        found = interval_of([random.expovariate(1.0) for _ in range(25)])
        held += found.low <= np.log(2) <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_the_same_runs_have_the_same_interval() -> None:
    values = [float(number) for number in range(20)]
    assert interval_of(values, "p95") == interval_of(values, "p95")
    assert interval_of(values).value == median(values)


# --- what is varied ---


def cells(path: Path, *sweeps: str) -> list[dict[str, Any]]:
    path.write_text(text(*sweeps))
    scenario = load_scenario(path)
    return [cell.values for cell in cells_of(scenario, axes_of(scenario.sweep), folder=path.parent)]


def test_sweeps_are_crossed_and_those_of_a_group_advance_together(file: Path) -> None:
    found = cells(
        file,
        table("sweep", key="network.loss", values=[0.0, 0.5]),
        table("sweep", key="fault.cut.for", values=["1s", "5s"], together="x"),
        table("sweep", key="federation.pull_interval", values=["2s", "3s"], together="x"),
    )
    assert [tuple(each.values()) for each in found] == [
        (0.0, "1s", "2s"), (0.0, "5s", "3s"), (0.5, "1s", "2s"), (0.5, "5s", "3s"),
    ]  # fmt: skip


def test_ranges_are_of_numbers_or_of_durations(file: Path) -> None:
    numbers = cells(file, table("sweep", key="network.loss", first=0.0, last=0.4, count=3))
    durations = cells(file, table("sweep", key="fault.cut.for", first="1s", last="3s", count=3))
    assert [each["network.loss"] for each in numbers] == [0.0, 0.2, 0.4]
    assert [each["fault.cut.for"] for each in durations] == ["1s", "2s", "3s"]


def test_whole_numbers_stay_whole_so_that_nodes_can_be_counted(file: Path) -> None:
    given = cells(file, table("sweep", key="workload.0.entities", values=[2, 3]))
    counted = cells(file, table("sweep", key="workload.0.entities", first=1, last=5, count=3))
    halved = cells(file, table("sweep", key="network.loss", first=0, last=1, count=3))
    assert [each["workload.0.entities"] for each in (*given, *counted)] == [2, 3, 1, 3, 5]
    assert [each["network.loss"] for each in halved] == [0.0, 0.5, 1.0]


def test_what_a_cell_changes_is_changed_in_the_scenario_and_nothing_else(file: Path) -> None:
    study = study_of(file, over={"fault.cut.for": ["1s"], "workload.0.entities": [7]})
    (cell,) = study.cells
    assert cell.scenario["fault"][0]["for"] == "1s"
    assert cell.scenario["workload"][0]["entities"] == 7
    assert cell.scenario["fault"][0]["name"] == "cut"


@pytest.mark.parametrize("written", ["[[sweep]]", "sweep = [", "second"])
def test_a_file_that_sweeps_is_a_study_however_it_is_written(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = 'key = "federation.pull_interval", values = ["2s", "5s"]'
    plain, swept = Path("plain.toml"), Path("swept.toml")
    plain.write_text(text())
    parts = sweep.replace(", values", "\nvalues")
    swept.write_text(
        f"sweep = [{{ {sweep} }}]\n{text()}" if written == "sweep = [" else f"{text()}\n[[sweep]]\n{parts}\n"
    )
    files = [str(plain), str(swept)] if written == "second" else [str(swept)]
    assert main(["run", *files, "--jobs", "1", "--no-figures", "--out", "out"]) == 0
    (rows,) = list(Path("out").rglob(ROWS)) if written != "second" else list(Path("out/swept-study").rglob(ROWS))
    assert len(rows.read_text().splitlines()) >= 2


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        (table("sweep", key="network.los", values=[0.1]), "with network.los = 0.1: unknown key"),
        (table("sweep", key="network.loss", values=[7.0]), "network.loss"),
        (table("sweep", key="fault.cat.for", values=["1s"]), "there is no entry 'cat'"),
        (table("sweep", key="network.loss", first=0.0, last=0.4), "a sweep needs values, or first, last and count"),
        (table("sweep", key="network.loss", first=0.0, last="4s", count=3), "both numbers or both durations"),
        (table("sweep", key="network.loss"), "a sweep needs values"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_anything_runs(sweep: str, words: str, file: Path) -> None:
    with pytest.raises(BadScenario, match=words):
        cells(file, sweep)


def test_a_group_of_unequal_lengths_is_refused(file: Path) -> None:
    with pytest.raises(BadScenario, match="equally many values"):
        cells(
            file,
            table("sweep", key="network.loss", values=[0.0, 0.5], together="x"),
            table("sweep", key="fault.cut.for", values=["1s"], together="x"),
        )


def test_values_and_seeds_that_are_no_lists_are_refused_with_what_to_write(file: Path) -> None:
    text: Any = {"fault.cut.for": "30s"}
    with pytest.raises(TypeError, match=r"the values of fault\.cut\.for are a list: write \['30s'\]"):
        sim.sweep(file, text, seeds=[1])
    three: Any = 3
    with pytest.raises(TypeError, match=r"write seeds=range\(3\)"):
        sim.sweep(file, seeds=three)


# --- workers ---


def test_a_worker_gives_the_numbers_that_a_run_has_here(file: Path) -> None:
    frame = sim.sweep(file, {"fault.cut.for": ["1s", "9s"]}, seeds=[1, 2], jobs=2)
    assert frame.columns[:5] == ["cell", "seed", "fault.cut.for", "verdict", "lag.p50"]
    assert frame.select("cell", "seed").rows() == [(0, 1), (0, 2), (1, 1), (1, 2)]
    study = study_of(file, over={"fault.cut.for": ["1s", "9s"]})
    here = run_job(Job(study.cells[1].scenario, file.parent, 2))
    assert frame.row(3, named=True)["lag.p99"] == here["metrics"]["lag.p99"]
    assert frame.row(3, named=True)["catch_up.cut"] == here["metrics"]["catch_up.cut"]
    assert frame["catch_up.cut"].null_count() == 0


def test_a_worker_that_is_killed_loses_nothing(file: Path) -> None:
    study = study_of(file, seeds=6)
    jobs = [Job(study.cells[0].scenario, file.parent, seed) for seed in study.seeds]
    rows: dict[int, dict[str, Any]] = {}
    with Pool(1) as pool:
        for number, row in pool.run(jobs):
            rows[number] = row
            if len(rows) == 1:
                (running,) = pool.process_ids
                os.kill(running, signal.SIGKILL)
    assert sorted(rows) == [0, 1, 2, 3, 4, 5]
    assert {row["verdict"] for row in rows.values()} == {"pass"}


def test_a_worker_whose_starter_was_killed_ends_without_a_word(file: Path) -> None:
    command = [sys.executable, "-m", "sim.study.worker"]
    job = pickle.dumps(Job(study_of(file).cells[0].scenario, file.parent, 3))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stderr is not None
        assert worker.stdout.readline() == b"ready\n"
        worker.stdout.close()
        worker.stdin.write(len(job).to_bytes(LENGTH_BYTES) + job)
        worker.stdin.close()
        assert worker.stderr.read() == b""
    assert worker.returncode == 0


def test_a_run_that_meets_a_bug_is_a_row_with_its_traceback(file: Path) -> None:
    row = run_job(Job({"scenario": {"name": "x"}, "federation": 3}, file.parent, 1))
    assert row["verdict"] == "error"
    assert "federation" in row["error"]


# --- what is kept ---


def test_a_study_is_taken_up_again_where_it_was_left(file: Path, tmp_path: Path) -> None:
    study, folder = study_of(file), tmp_path / "out"
    without_workers(study, store_of(study, folder), range(1, 3))
    with (folder / ROWS).open("a") as torn:
        torn.write('{"cell": 0, "seed": 3, "verd')
    told: list[tuple[int, int]] = []
    rows = study.run(store_of(study, folder), Pool(1), told=lambda done, every: told.append((done, every)))
    assert told == [(2, 3), (3, 3)]
    assert [row["seed"] for row in rows] == [1, 2, 3]
    assert len((folder / ROWS).read_text().splitlines()) == 4


def test_a_run_that_was_an_error_is_done_again_when_the_study_is_taken_up(file: Path, tmp_path: Path) -> None:
    study, folder = study_of(file), tmp_path / "out"
    store = store_of(study, folder)
    without_workers(study, store, range(1, 3))
    store.add({"cell": 0, "seed": 3, "values": {}, "verdict": "error", "error": "there was not enough memory"})
    rows = study.run(store_of(study, folder), Pool(1))
    assert [(row["seed"], row["verdict"]) for row in rows] == [(1, "pass"), (2, "pass"), (3, "pass")]
    assert len((folder / ROWS).read_text().splitlines()) == 4


def test_rows_of_another_scenario_are_not_mixed_in(file: Path, tmp_path: Path) -> None:
    store_of(study_of(file), tmp_path / "out")
    file.write_text(text(pull_interval="3s"))
    with pytest.raises(BadFolder, match="a study of another scenario"):
        store_of(study_of(file), tmp_path / "out")


def test_shards_share_the_runs_out_and_merged_they_are_the_whole(file: Path, tmp_path: Path) -> None:
    study = study_of(file, seeds=3, over={"fault.cut.for": ["1s", "9s"]})
    parts = [study.places((number, 4)) for number in (1, 2, 3, 4)]
    assert sorted(place for part in parts for place in part) == study.places()
    whole = store_of(study)
    without_workers(study, whole, range(1, 4))
    for number, part in enumerate(parts):
        store = store_of(study, tmp_path / f"{number}")
        for row in whole.rows:
            if (row["cell"], row["seed"]) in part:
                store.add(row)
    merged = merge_rows([tmp_path / f"{number}" for number in range(4)], tmp_path / "all")
    assert frame_of(merged).equals(frame_of(whole.rows))
    assert store_of(study, tmp_path / "all").rows == merged


# --- what is expected over seeds ---


@pytest.mark.parametrize(
    ("values", "ok", "verdict"),
    [
        ([1.0] * 20, True, "pass"),
        ([9.0] * 20, False, "fail"),
        ([1.0, 9.0] * 10, None, "inconclusive"),
        ([1.0, None], False, "fail"),
    ],
)
def test_an_expectation_over_seeds_is_held_against_the_interval(
    values: list[float | None], ok: bool | None, verdict: str, file: Path
) -> None:
    file.write_text(text(table("expect", metric="lag.p99", at_most="5s", over_seeds="p50")))
    study = study_of(file)
    rows = [
        {"cell": 0, "seed": seed, "values": {}, "verdict": "pass", "over_seeds": [value]}
        for seed, value in enumerate(values)
    ]
    (found,) = study.over_seeds(rows)
    assert (found.name, found.ok) == ("p50 over seeds of lag.p99", ok)
    assert study.verdict(rows) == verdict


def test_what_is_expected_over_seeds_does_not_fail_a_single_run(file: Path) -> None:
    file.write_text(text(table("expect", metric="lag.p99", at_most="1ms", over_seeds="p50")))
    study = study_of(file)
    row = run_job(Job(study.cells[0].scenario, file.parent, 1))
    assert row["verdict"] == "pass"
    assert row["over_seeds"] == [row["metrics"]["lag.p99"]]
    assert sim.run(file).verdict == "pass"


# --- the command line and the figure ---


def test_a_study_at_the_command_line_tells_a_table_and_goes_on_where_it_was(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", str(file), "--seeds", "3", "--jobs", "2", "--out", str(out)]) == 0
    told = capfd.readouterr().out
    assert "PASS  small: 3 runs (3 pass)" in told
    assert "of so few runs it is too narrow" in " ".join(told.split())
    assert "lag.p99" in told
    assert "--seed " in told
    assert main(["run", str(file), "--seeds", "3", "--out", str(out), "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["seed"] for row in rows] == [3, 4, 5]
    assert (out / "runs.parquet").is_file()


def test_a_table_of_cells_that_is_too_wide_becomes_one_for_each_metric(file: Path) -> None:
    study = study_of(file, over={"fault.cut.for": ["1s", "9s"], "federation.topology": ["mesh", "ring"]})
    store = store_of(study)
    without_workers(study, store, range(1, 3))
    told = {}
    for width in (80, 300):
        console = Console(width=width, file=StringIO())
        show_study(console, study, store.rows, command=lambda _: "stigmem-sim run small.toml")
        told[width] = console.file.getvalue().splitlines()
    keys = ["fault.cut.for", "federation.topology"]
    narrow, wide = ([line.split() for line in told[width] if line.startswith(keys[0])] for width in (80, 300))
    assert [head[:3] for head in narrow[:2]] == [[*keys, "lag.p50"], [*keys, "lag.p99"]]
    assert [head[:5] for head in wide] == [[*keys, "runs", "lag.p50", "lag.p99"]]
    cells = [line.split()[:2] for line in told[80] if line.startswith(("1s", "9s"))]
    assert cells[:4] == [["1s", "mesh"], ["1s", "ring"], ["9s", "mesh"], ["9s", "ring"]]


def test_runs_that_have_no_value_of_a_metric_are_told_as_left_out_of_its_median(file: Path) -> None:
    study, rows = study_of(file, seeds=3), []
    for seed, convergence in ((1, 2.0), (2, None), (3, 4.0)):
        metrics = {"lag.p99": 1.0, "convergence": convergence, "catch_up": None}
        rows.append({"cell": 0, "seed": seed, "values": {}, "verdict": "pass", "metrics": metrics})
    console = Console(width=120, file=StringIO())
    show_study(console, study, rows, command=lambda _: "stigmem-sim run small.toml")
    assert "left out, of 3 runs: convergence of 1 (nothing" in console.file.getvalue()


def test_the_status_of_several_studies_is_that_of_the_worst(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failure is worse than what could not be told, though its number is less."""
    nothing = file.with_name("nothing.toml")
    file.write_text(text(table("expect", metric="lag.p99", at_most="1ms", over_seeds="p50")))
    nothing.write_text(small_text(TALK, nodes=["a"], duration="15s"))
    assert main(["run", str(nothing), str(file), "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "out")]) == 1
    told = capfd.readouterr().out
    assert "INCONCLUSIVE" in told
    assert "FAIL" in told


def test_the_command_to_replay_a_run_of_a_variant_names_the_variant(
    file: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file.write_text(text('[[variant]]\nname = "lossy"\n[variant.set]\n"network.loss" = 0.1\n'))
    options = ["--variant", "lossy", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert main(["run", str(file), *options]) == 0
    assert f"to replay it: stigmem-sim run {file} --variant lossy --seed 3" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        (table("sweep", key="network.los", values=[0.1]), "with network.los = 0.1: unknown key; did you mean 'loss'?"),
        (table("sweep", key="network", values=[1]), "with network = 1: 1 is not a table"),
        (table("sweep", key="clock.0.offset", values=["1s"]), "clock.0.offset: there is no [[clock]]"),
        (table("sweep", key="fault.cut.for", first="1s", last="x", count=2), "'x' is not a duration"),
        (
            table("sweep", key="network.loss", values=[0.0, 0.5], together="x")
            + "\n\n"
            + table("sweep", key="fault.cut.for", values=["1s"], together="x"),
            "sweeps of one group have equally many values; this one has 1",
        ),
    ],
)
def test_a_wrong_sweep_is_one_sentence_with_its_file_and_line(
    sweep: str, sentence: str, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text(sweep))
    for command in ("run", "check"):
        assert main([command, str(file)]) == 2
        (told,) = capfd.readouterr().err.splitlines()
        assert told.startswith(f"{file}:")
        assert told.split(":")[1].isdigit()
        assert sentence in told


def test_check_counts_the_cells_of_a_sweep(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text(text(table("sweep", key="network.loss", values=[0.0, 0.1, 0.2])))
    assert main(["check", str(file)]) == 0
    assert capfd.readouterr().out.rstrip().endswith("cells of its sweep: 3")


def test_rows_of_another_version_of_the_packages_are_not_mixed_in(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(file)
    other, here, empty = tmp_path / "other", tmp_path / "here", tmp_path / "empty"
    with monkeypatch.context() as patched:
        patched.setattr("sim.study.store.source_identity", lambda: "another version")
        without_workers(study, store_of(study, other), range(3, 4))
        store_of(study, empty)
    without_workers(study, store_of(study, here), range(4, 5))
    with pytest.raises(BadFolder, match="another version of stigmem-trio or Python"):
        store_of(study, other)
    with pytest.raises(BadFolder, match="different versions"):
        merge_rows([other, here], tmp_path / "out")
    assert store_of(study, empty).rows == []  # which holds no runs yet, and may be gone on with


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--jobs", "2"], "--jobs, --shard and --scheduler are for studies: give --seeds, or a file with [[sweep]]"),
        (["--shard", "1/2"], "--jobs, --shard and --scheduler are for studies"),
        (["--scheduler", "tcp://a:1"], "--jobs, --shard and --scheduler are for studies"),
        (["--seeds", "2", "--keep-going"], "--keep-going is for a single run"),
        (["--seeds", "2", "--jobs", "2", "--scheduler", "tcp://a:1"], "give --jobs or --scheduler, not both"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    options: list[str], sentence: str, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(file), *options]) == 2
    assert sentence in capfd.readouterr().err


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b"])
def test_a_shard_that_is_none_is_refused(shard: str, file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(file), "--seeds", "3", "--shard", shard]) == 2
    assert "such as 3/8" in capfd.readouterr().err


def test_ctrl_c_keeps_what_is_done_and_leaves_no_worker(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sim", "run", str(file), "--seeds", "900", "--jobs", "1", "--out", str(out)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores SIGINT
    try:
        started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not (out / ROWS).exists() or len((out / ROWS).read_text().splitlines()) < 2):
        with suppress(subprocess.TimeoutExpired):
            started.wait(timeout=0.05)
    started.send_signal(signal.SIGINT)
    try:
        _, told = started.communicate(timeout=120)  # stderr is the worker's too, and ends when both have
    finally:
        started.kill()
    assert started.returncode == 130
    assert "to go on: stigmem-sim run" in told
    assert 2 <= len((out / ROWS).read_text().splitlines()) < 900


def test_figures_are_drawn_of_numbers_and_durations_and_not_of_shapes(file: Path, tmp_path: Path) -> None:
    study = study_of(file, over={"fault.cut.for": ["1s", "9s"], "federation.topology": ["mesh", "ring"]})
    store = store_of(study)
    without_workers(study, store, range(1, 2))
    write_study(study, store.rows, tmp_path, figures=True)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "catch_up-fault_cut_for.png", "lag_p99-fault_cut_for.png"
    ]  # fmt: skip


def test_bands_are_drawn_from_any_frame_of_a_sweep(file: Path) -> None:
    study = study_of(file, over={"fault.cut.for": ["1s", "9s"]})
    store = store_of(study)
    without_workers(study, store, range(1, 4))
    (axes,) = band_figure(frame_of(store.rows), "fault.cut.for", "lag.p99").axes
    (line,) = axes.get_lines()
    assert list(line.get_xdata()) == [1.0, 9.0]
    lags = [[row["metrics"]["lag.p99"] for row in store.rows if row["cell"] == cell] for cell in (0, 1)]
    assert list(line.get_ydata()) == pytest.approx([median(each) for each in lags])
    assert axes.get_xlabel() == "fault.cut.for (s)"
