"""Where the side environments come from, and what is said when they cannot be had."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.interop import environments
from tests.interop.environments import DIRECTORY, Absent, environment


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    return tmp_path


def test_an_absent_environment_is_not_made_unasked(folder: Path) -> None:
    with pytest.raises(Absent, match="make interop"):
        environment("a12", create=False)
    assert list(folder.iterdir()) == []


def test_one_that_is_there_is_used_as_it_is(folder: Path) -> None:
    (folder / "a10" / "bin").mkdir(parents=True)
    (folder / "a10" / "bin" / "stigmem-node").touch()
    (folder / "a10" / "lib" / "python3.11" / "migrations").mkdir(parents=True)
    assert environment("a10", create=False) == folder / "a10"


def test_what_cannot_be_installed_says_why_and_leaves_nothing_half_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str]) -> None:
        (folder / "a12" / "bin").mkdir(parents=True, exist_ok=True)
        if "install" in command:
            raise subprocess.CalledProcessError(1, command, stderr="warning\nno matching distribution\n")

    monkeypatch.setattr(environments, "_run", run)
    with pytest.raises(Absent, match="could not be installed: no matching distribution"):
        environment("a12", create=True)
    assert not (folder / "a12").exists()
