"""Export, import and backup: facts leave a data directory and come back exactly as they were, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import trio

from stigmem.core import hlc
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp_wall_ms
from stigmem.core.records import ClockMark
from stigmem.core.wire import Request
from stigmem.host.cli import main
from tests.host.nodes import assertion, chained, client_of, load_records, node_at, numbered, opened

COUNT = 5


def begun(directory: Path, count: int = COUNT) -> None:
    """A data directory of a node with so many facts."""
    assert (
        main(["auth", "create-key", "--entity", "user:a", "--permissions", "read", "--data-dir", str(directory)]) == 0
    )
    facts = numbered(count)
    with opened(directory) as journal:
        journal.write([*facts, *chained(facts, journal.audit_head()), ClockMark(facts[-1].stamp)])


def facts_in(directory: Path) -> list[Fact]:
    return [record for record in load_records(directory) if isinstance(record, Fact)]


def exported(tmp_path: Path) -> Path:
    file = tmp_path / "facts.jsonl"
    assert main(["export", "--out", str(file), "--data-dir", str(tmp_path / "a")]) == 0
    return file


def heir(tmp_path: Path) -> Path:
    """An empty data directory of the same node."""
    directory = tmp_path / "b"
    directory.mkdir()
    shutil.copy(tmp_path / "a" / "federation.key", directory)
    return directory


def test_facts_come_back_exactly_and_their_writing_is_in_the_log(tmp_path: Path) -> None:
    begun(tmp_path / "a")
    file, directory = exported(tmp_path), heir(tmp_path)
    assert main(["import", str(file), "--data-dir", str(directory)]) == 0
    assert facts_in(directory) == facts_in(tmp_path / "a")
    assert main(["audit", "verify", "--data-dir", str(directory)]) == 0
    assert main(["doctor", "--data-dir", str(directory)]) == 0


async def test_a_node_goes_on_after_an_import_with_later_stamps(tmp_path: Path) -> None:
    await trio.to_thread.run_sync(begun, tmp_path / "a")  # commands have an event loop of their own
    file, directory = exported(tmp_path), heir(tmp_path)
    assert main(["import", str(file), "--data-dir", str(directory)]) == 0
    async with node_at(directory) as node, client_of(node) as client:
        made = (await client.post("/v1/facts", json=assertion(99))).json()
        assert made["hlc"] > json.loads(file.read_text().splitlines()[-1])["hlc"]
        assert len((await client.get("/v1/facts?limit=50")).json()["facts"]) == COUNT + 1


@pytest.mark.parametrize("after", [False, True])
async def test_an_import_does_not_bring_back_the_stamps_of_voided_facts(tmp_path: Path, after: bool) -> None:
    await trio.to_thread.run_sync(begun, tmp_path / "a")
    async with node_at(tmp_path / "a") as node, client_of(node) as client:
        state = node.node.state
        state.stamp = hlc.stamp(stamp_wall_ms(state.stamp) + 400 * 86_400_000, 0)
        ahead = (await client.post("/v1/facts", json=assertion(98))).json()
        body = msgspec.json.encode({"dry_run": False})
        voided = await node.control.exchange(Request("POST", "/v1/admin/clock/void", {}, body))
        assert msgspec.json.decode(voided.body)["facts"] == 1
        if after:
            await client.post("/v1/facts", json=assertion(97))
    file, directory = exported(tmp_path), heir(tmp_path)
    assert main(["import", str(file), "--data-dir", str(directory)]) == 0
    async with node_at(directory) as node, client_of(node) as client:
        made = (await client.post("/v1/facts", json=assertion(99))).json()
        assert made["hlc"] < ahead["hlc"]
        assert (await client.get(f"/v1/facts/{ahead['id']}")).json()["voided_by"]
        assert len((await client.get("/v1/facts?limit=50")).json()["facts"]) == COUNT + 1 + after


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: lines[1:], "line 1"),
        (lambda lines: [lines[0], *lines[2:]], "line 2: fact 2 follows fact 0"),
        (lambda lines: [lines[0], lines[1], "{", *lines[2:]], "line 3: this is no exported fact"),
        (lambda lines: [lines[0], lines[1].replace("value 1", "value 9"), *lines[2:]], "line 2: fact"),
        (lambda lines: [lines[0].replace('"stigmem_export":1', '"stigmem_export":2'), *lines[1:]], "format 2"),
        (lambda lines: [lines[0].replace("stigmem:node:", "stigmem:node:x"), *lines[1:]], "these are the facts of"),
    ],
)
def test_a_changed_export_is_refused_as_a_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: object, expected: str
) -> None:
    begun(tmp_path / "a")
    file, directory = exported(tmp_path), heir(tmp_path)
    assert callable(change)
    file.write_text("\n".join(change(file.read_text().splitlines())))
    capsys.readouterr()
    assert main(["import", str(file), "--data-dir", str(directory)]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.splitlines()) == 1
    assert facts_in(directory) == []


def test_an_import_into_a_directory_with_facts_is_refused(tmp_path: Path) -> None:
    begun(tmp_path / "a")
    assert main(["import", str(exported(tmp_path)), "--data-dir", str(tmp_path / "a")]) == 2
    assert len(facts_in(tmp_path / "a")) == COUNT


async def test_a_backup_of_a_running_node_is_one_file_that_a_node_starts_on(tmp_path: Path) -> None:
    async with node_at(tmp_path / "a") as node, client_of(node) as client:
        made = [(await client.post("/v1/facts", json=assertion(n))).json()["id"] for n in range(3)]
        assert main(["backup", str(tmp_path / "copy.db"), "--data-dir", str(tmp_path / "a")]) == 0
        await client.post("/v1/facts", json=assertion(9))
        directory = heir(tmp_path)
    shutil.copy(tmp_path / "copy.db", directory / "stigmem.db")
    assert [fact.id for fact in await trio.to_thread.run_sync(facts_in, directory)] == made
    assert main(["backup", str(tmp_path / "copy.db"), "--data-dir", str(directory)]) == 1


def test_an_import_without_the_key_that_belongs_to_it_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path / "a")
    file, directory = exported(tmp_path), tmp_path / "b"
    assert main(["import", str(file), "--data-dir", str(directory)]) != 0
    assert "has no key yet" in capsys.readouterr().err
    assert not (directory / "federation.key").exists()
    assert main(["import", str(file), "--data-dir", str(heir(tmp_path))]) == 0  # doing what the sentence says is enough
