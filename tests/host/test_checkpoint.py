"""Cursor checkpoints: what is written down, and when a restored node may go on reading from there."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stigmem.core.records import CursorRow, PeerRow
from stigmem.host.cli import main
from tests.host.nodes import chained, filled, load_records, numbered, opened

PEER = PeerRow("p1", "stigmem:node:south", "http://south.example", "key", ("public",), "active", "2.1+")


def node_with(directory: Path, facts: int, cursor: str | None) -> None:
    """A stopped node that holds so many facts and has read its peer up to a cursor."""
    assert (
        main(["auth", "create-key", "--entity", "user:a", "--permissions", "read", "--data-dir", str(directory)]) == 0
    )
    with opened(directory) as journal:
        held = numbered(facts)
        journal.write([PEER, *held, *chained(held, journal.audit_head()), CursorRow("p1", cursor, facts, True, facts)])


def cursor_of(directory: Path) -> str | None:
    return next(record.cursor for record in load_records(directory) if isinstance(record, CursorRow))


def exported(directory: Path, file: Path) -> dict[str, Any]:
    assert main(["federation", "cursor-export", "--out", str(file), "--data-dir", str(directory)]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def imported(directory: Path, file: Path, *options: str) -> int:
    return main(["federation", "cursor-import", str(file), "--data-dir", str(directory), *options])


def test_a_checkpoint_names_the_peer_and_what_the_cursor_rests_on(tmp_path: Path) -> None:
    node_with(tmp_path / "a", 3, "s:3")
    file = tmp_path / "cursors.json"
    (entry,) = exported(tmp_path / "a", file)["cursors"]
    assert (entry["peer_node_id"], entry["peer_url"], entry["peer_status"], entry["direction"], entry["cursor"]) == (
        PEER.node_id, PEER.node_url, "active", "inbound", "s:3",
    )  # fmt: skip
    assert (entry["watermark"], entry["watermark_fact"], entry["taken"]) == (3, numbered(3)[-1].id, 3)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_cursor_that_the_data_bears_is_taken_back_and_audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node_with(tmp_path / "a", 3, "s:3")
    exported(tmp_path / "a", tmp_path / "cursors.json")
    node_with(tmp_path / "b", 5, None)
    capsys.readouterr()
    assert imported(tmp_path / "b", tmp_path / "cursors.json") == 0
    assert "1 restored" in capsys.readouterr().err
    assert cursor_of(tmp_path / "b") == "s:3"
    assert main(["audit", "verify", "--data-dir", str(tmp_path / "b")]) == 0


@pytest.mark.parametrize("held", [None, "s:2"])
def test_a_checkpoint_ahead_of_the_restored_data_is_refused_with_status_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], held: str | None
) -> None:
    node_with(tmp_path / "a", 5, "s:5")
    exported(tmp_path / "a", tmp_path / "cursors.json")
    node_with(tmp_path / "b", 2, held)
    capsys.readouterr()
    assert imported(tmp_path / "b", tmp_path / "cursors.json") == 3
    said = capsys.readouterr().err
    assert "it rests on 5 facts, and there are 2" in said
    assert "nothing was imported" in said
    assert cursor_of(tmp_path / "b") == held
    assert imported(tmp_path / "b", tmp_path / "cursors.json", "--force") == 0
    assert cursor_of(tmp_path / "b") == "s:5"


def test_data_of_another_past_does_not_bear_the_cursor(tmp_path: Path) -> None:
    node_with(tmp_path / "a", 3, "s:3")
    found = exported(tmp_path / "a", tmp_path / "cursors.json")
    found["cursors"][0]["watermark_fact"] = "another"
    (tmp_path / "cursors.json").write_text(json.dumps(found))
    assert imported(tmp_path / "a", tmp_path / "cursors.json") == 3


def test_a_checkpoint_of_the_reference_proves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"peer_node_id": PEER.node_id, "direction": "inbound", "cursor": "123.0"}
    (tmp_path / "cursors.json").write_text(json.dumps({"cursors": [entry]}))
    node_with(tmp_path / "a", 3, None)
    assert imported(tmp_path / "a", tmp_path / "cursors.json") == 3
    assert "does not say how much data it rests on" in capsys.readouterr().err


def test_a_cursor_that_is_set_stays_and_unknown_peers_are_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node_with(tmp_path / "a", 3, "s:3")
    found = exported(tmp_path / "a", tmp_path / "cursors.json")
    found["cursors"].append({"peer_node_id": "nobody", "direction": "inbound", "cursor": "s:1"})
    found["cursors"].append({"direction": "inbound", "cursor": "s:1"})
    (tmp_path / "cursors.json").write_text(json.dumps(found))
    capsys.readouterr()
    assert imported(tmp_path / "a", tmp_path / "cursors.json") == 0
    assert "0 restored, 1 skipped (peer not found), 1 skipped (already set)" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cursors": 1}', '{"cursors": [{"cursor": 1}]}', "\ud800"])
def test_what_is_no_checkpoint_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    filled(tmp_path / "a", 1)
    (tmp_path / "x.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert imported(tmp_path / "a", tmp_path / "x.json") == 1
    said = capsys.readouterr().err
    assert "x.json is no cursor checkpoint" in said
    assert len(said.splitlines()) == 1


def test_a_revoked_peer_keeps_its_place_in_the_checkpoint(tmp_path: Path) -> None:
    node_with(tmp_path / "a", 1, "s:1")
    with opened(tmp_path / "a") as journal:
        journal.write([msgspec.structs.replace(PEER, status="revoked")])
    assert exported(tmp_path / "a", tmp_path / "c.json")["cursors"][0]["peer_status"] == "revoked"
