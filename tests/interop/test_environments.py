"""Where the side environments come from, and what is said when they cannot be had."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.interop import environments
from tests.interop.environments import Absent, environment


def test_an_absent_environment_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="make interop"):
        environment("a12", create=False, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a10" / "bin").mkdir(parents=True)
    (tmp_path / "a10" / "bin" / "stigmem-node").touch()
    (tmp_path / "a10" / "lib" / "python3.11" / "migrations").mkdir(parents=True)
    with pytest.raises(Absent):  # one that was made before the conformance suite was run
        environment("a10", create=False, folder=tmp_path)
    (tmp_path / "a10" / "bin" / "pytest").touch()
    assert environment("a10", create=False, folder=tmp_path) == tmp_path / "a10"


def test_what_cannot_be_installed_says_why_and_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str]) -> None:
        (tmp_path / "a12" / "bin").mkdir(parents=True, exist_ok=True)
        if "install" in command:
            raise subprocess.CalledProcessError(1, command, stderr="warning\nno matching distribution\n")

    monkeypatch.setattr(environments, "_run", run)
    with pytest.raises(Absent, match="could not be installed: no matching distribution"):
        environment("a12", create=True, folder=tmp_path)
    assert not (tmp_path / "a12").exists()
