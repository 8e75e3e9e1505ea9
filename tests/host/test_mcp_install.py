"""`stigmem mcp install`: shown before it is written, and nothing else of a program's settings is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stigmem.host.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("client", ["claude-desktop", "cursor", "gemini", "vscode", "windsurf"])
def test_it_is_shown_first_and_written_when_asked(home: Path, client: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(home.rglob("*"))
    assert main(["mcp", "install", client]) == 0
    said = capsys.readouterr().out
    assert '"stigmem"' in said
    assert "nothing was written" in said
    assert sorted(home.rglob("*")) == before
    assert main(["mcp", "install", client, "--write", "--data-dir", str(home / "memory")]) == 0
    (written,) = home.rglob("*.json")
    (servers,) = json.loads(written.read_text()).values()
    assert servers["stigmem"]["args"] == ["-m", "stigmem", "mcp", "--data-dir", str(home / "memory")]


def test_what_else_stands_in_the_file_stays_and_the_old_one_is_kept(home: Path) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    old = {"mcpServers": {"other": {"command": "x"}}, "theme": "dark"}
    path.write_text(json.dumps(old))
    assert main(["mcp", "install", "cursor", "--write"]) == 0
    found = json.loads(path.read_text())
    assert (found["theme"], set(found["mcpServers"])) == ("dark", {"other", "stigmem"})
    assert json.loads(path.with_name("mcp.json.before-stigmem").read_text()) == old


@pytest.mark.parametrize("text", ["{ // a comment", "[]", '{"mcpServers": []}'])
def test_a_file_that_cannot_be_read_is_left_alone(home: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(text)
    assert main(["mcp", "install", "cursor", "--write"]) == 1
    assert "by hand" in capsys.readouterr().err
    assert path.read_text() == text


def test_an_unknown_program_is_told_which_are_known(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mcp", "install", "emacs"]) == 2
    assert "cursor" in capsys.readouterr().err
