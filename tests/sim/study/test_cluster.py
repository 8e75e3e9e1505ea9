"""A study on a Dask cluster of processes: what is killed loses nothing, and what ends a study is told."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import sim
from sim.cli import main
from sim.scenario.reading import load_scenario
from sim.study import cluster
from sim.study.cluster import BadCluster, run_there
from sim.study.store import ROWS
from sim.study.study import Study
from sim.study.worker import Job, run_job
from tests.sim.small import small_text, workload

needs_extra = pytest.mark.skipif(find_spec("distributed") is None, reason="needs the cluster extra: distributed")
PATIENCE_S = 120
"""For processes of a loaded machine; nothing is asserted of how long they take."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(small_text(workload("contradictions", rate="30/m", entities=5), duration="15s"))
    return path


class Processes:
    """A scheduler and its workers, each a process of its own, as somebody starts them on several machines."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self._folder = folder
        host, port = self.address.removeprefix("tcp://").split(":")
        self.scheduler = self._start("dask_scheduler", "--host", host, "--port", port, "--no-dashboard")
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        self.workers.append(self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"))

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        scratch = ["--local-directory", str(self._folder)] if module == "dask_worker" else []
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments, *scratch]
        with (self._folder / "dask.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    try:
        found.add_worker()
        yield found
    finally:
        found.end()


@contextmanager
def study(file: Path, processes: Processes, seeds: int, out: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, with its stderr in a pipe."""
    command = [sys.executable, "-m", "sim", "run", str(file), "--seeds", str(seeds), "--out", str(out)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores SIGINT
    try:
        started = subprocess.Popen(
            [*command, "--scheduler", processes.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def rows_in(out: Path) -> list[dict[str, Any]]:
    path = out / ROWS
    return [json.loads(line) for line in path.read_text().splitlines()[1:]] if path.exists() else []


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something while the process runs."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)


@needs_extra
@pytest.mark.slow
def test_a_study_of_which_a_worker_is_killed_loses_no_run(file: Path, processes: Processes, tmp_path: Path) -> None:
    processes.add_worker()
    with study(file, processes, 24, tmp_path / "out") as command:
        until(lambda: len(rows_in(tmp_path / "out")) >= 2, command)
        processes.workers[0].send_signal(signal.SIGKILL)
        told, wrong = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0, wrong
    assert "24 runs (24 pass)" in told
    rows = rows_in(tmp_path / "out")
    assert sorted(row["seed"] for row in rows) == list(range(3, 27))
    values = Study.of(load_scenario(file), [3], folder=file.parent).cells[0].scenario
    for row in [row for row in rows if row["seed"] in (3, 5, 26)]:
        here = run_job(Job(values, file.parent, row["seed"]))
        assert (row["digest"], row["metrics"]) == (here["digest"], here["metrics"])


@needs_extra
@pytest.mark.slow
def test_a_study_on_a_cluster_is_taken_up_again_after_ctrl_c_and_after_the_scheduler_has_died(
    file: Path, processes: Processes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with study(file, processes, 900, out) as command:
        until(lambda: len(rows_in(out)) >= 2, command)
        command.send_signal(signal.SIGINT)
        _, told = command.communicate(timeout=PATIENCE_S)
    kept = len(rows_in(out))
    assert command.returncode == 130
    assert f"{kept} runs are kept" in told
    assert f"--seeds 900 --scheduler {processes.address} --out" in told
    with study(file, processes, 900, out) as command:
        until(lambda: len(rows_in(out)) >= kept + 2, command)
        processes.scheduler.kill()
        _, told = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 2
    assert told.splitlines()[-1] == "the scheduler is gone; what is done is kept"
    seeds = [row["seed"] for row in rows_in(out)]
    assert len(set(seeds)) == len(seeds) < 900


@needs_extra
@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("nowhere", "nowhere is not the address of a scheduler, such as tcp://10.0.0.1:8786"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1 is not the address of a scheduler, such as tcp://10.0.0.1:8786"),
        ("tcp://127.0.0.1:1", "no scheduler of Dask answers at tcp://127.0.0.1:1"),
    ],
)
def test_a_scheduler_that_cannot_be_reached_is_one_sentence(
    address: str, sentence: str, file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    assert main(["run", str(file), "--seeds", "2", "--scheduler", address, "--json"]) == 2
    assert capfd.readouterr().err.splitlines() == [sentence]


def test_without_the_extra_a_cluster_is_one_sentence(
    file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    assert main(["run", str(file), "--seeds", "2", "--scheduler", "tcp://127.0.0.1:1", "--json"]) == 2
    assert capfd.readouterr().err == "a cluster needs Dask: install the cluster extra (distributed)\n"


def test_a_worker_with_another_version_of_the_source_gives_no_row(file: Path) -> None:
    with pytest.raises(cluster._OtherSource):
        run_there(Job({}, file.parent, 1), "the identity of another source")


class Ended:
    """A future that ended by an error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def result(self) -> None:
        raise self._error


@needs_extra
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (cluster._OtherSource(), "another version of stigmem-trio or of Python"),
        (OSError("the stream is closed"), "the scheduler is gone"),
        (ModuleNotFoundError("no module named sim"), "could not take up a run: ModuleNotFoundError"),
    ],
)
def test_what_ends_a_study_on_a_cluster_is_told_in_a_sentence(error: BaseException, sentence: str) -> None:
    with pytest.raises(BadCluster, match=sentence):
        cluster._row_of(Ended(error))


@needs_extra
def test_a_run_that_every_worker_died_of_is_a_row_with_an_error() -> None:
    from distributed.scheduler import KilledWorker

    row = cluster._row_of(Ended(KilledWorker("a run", "a worker", 3)))
    assert row["verdict"] == "error"
    assert "every worker that ran it died" in row["error"]


@needs_extra
@pytest.mark.slow
def test_a_sweep_gives_the_same_frame_on_a_cluster_as_here_and_leaves_a_client_open(
    file: Path, processes: Processes
) -> None:
    from distributed import Client

    over = {"network.loss": [0.0, 0.2]}
    with Client(processes.address, timeout=PATIENCE_S, set_as_default=False) as client:
        there = sim.sweep(file, over, seeds=range(3), cluster=client)
        assert client.status == "running"
    assert there.equals(sim.sweep(file, over, seeds=range(3), jobs=1))
