"""Deterministic means byte for byte: two processes whose hashes differ make the same traces and states."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.world.trace import first_difference

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.toml"))
DRAWN = [ROOT / "tests" / "data" / "drawn" / f"drawn-{number}.toml" for number in (29, 101, 105)]
NAMES = [path.stem for path in (*SCENARIOS, *DRAWN)]
HASH_SEEDS = ("1", "4242")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What two processes made of every scenario of the repository, and of some drawn ones."""
    made = (tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other"))
    files = [*SCENARIOS, *DRAWN]
    command = [sys.executable, "-m", "tests.sim.one_process"]
    processes = [
        subprocess.Popen(
            [*command, str(folder), *map(str, files)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stderr=subprocess.PIPE,
            text=True,
        )
        for folder, hash_seed in zip(made, HASH_SEEDS, strict=True)
    ]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    return made


def told(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def test_there_are_scenarios() -> None:
    assert SCENARIOS


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_do_the_same_things_in_the_same_order(folders: tuple[Path, Path], name: str) -> None:
    one, other = (told(folder, name) for folder in folders)
    if "absent" in one:
        pytest.skip(one["absent"])
    assert one["facts"] > 0
    if one["trace"] != other["trace"]:
        difference = first_difference(*(folder / f"{name}.gz" for folder in folders))
        assert difference is not None
        before = "\n".join(difference.before)
        pytest.fail(f"event {difference.number} differs\n{before}\n< {difference.first}\n> {difference.second}")
    assert one == other
