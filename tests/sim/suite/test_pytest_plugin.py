"""A user's folder of scenarios as tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.sim.small import small_text, workload

TALK = workload("contradictions", rate="30/m", entities=5)
BOUND = '[[expect]]\nmetric = "facts"\nequals = 0\n'


def pytest_of(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    empty = folder.parent / "empty"
    empty.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "sim.pytest_plugin", "-p", "no:cacheprovider", str(empty)]
    root = str(Path(__file__).parents[3])
    options = [f"--rootdir={empty}", "-c", "/dev/null", f"--scenarios={folder}", *arguments]
    return subprocess.run([*command, *options], cwd=root, capture_output=True, text=True, check=False)


def test_each_scenario_of_a_folder_is_a_test_that_says_what_failed(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "S-01-good.toml").write_text(small_text(TALK, duration="30s"))
    (folder / "S-02-bad.toml").write_text(small_text(TALK, BOUND, duration="10s"))
    done = pytest_of(folder, "--scenario-seeds=2")
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "fail: facts is " in done.stdout
    assert f"to meet it again: stigmem-sim run {folder / 'S-02-bad.toml'} --seed " in done.stdout


def test_a_folder_without_scenarios_is_told_so(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    assert "there are no scenarios in" in pytest_of(folder).stderr
