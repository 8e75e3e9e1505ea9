"""A disk without room: writes are refused with a code, reads go on, and writes resume when there is room again."""

from __future__ import annotations

import json
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from stigmem.host.inspection import read_facts
from stigmem.host.journal import SqliteJournal
from stigmem.host.run import Deployed
from stigmem.node.ports import JournalFull
from tests.host.nodes import assertion, client_of, node_at, numbered, opened
from tests.host.processes import ask, free_port, started, stopped_cleanly, until


def fill(journal: SqliteJournal) -> None:
    """Let the journal grow no further, as SQLite sees a disk without room."""
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")


def free(journal: SqliteJournal) -> None:
    journal._connection.execute("PRAGMA max_page_count = 1000000")


async def wrote(client: httpx.AsyncClient, number: int, size: int = 10) -> httpx.Response:
    return await client.post("/v1/facts", json=assertion(number, value={"type": "string", "v": "x" * size}))


async def filled_up(node: Deployed, client: httpx.AsyncClient) -> tuple[list[str], httpx.Response]:
    """Write until the disk is full; the ids acknowledged, and the refusal."""
    fill(node.journal)
    acknowledged = []
    for number in range(1, 200):
        found = await wrote(client, number, 4_000)
        if found.status_code != 201:
            return acknowledged, found
        acknowledged.append(found.json()["id"])
    raise AssertionError("the disk never filled up")


async def test_a_full_disk_refuses_writes_and_answers_reads(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        acknowledged, refused = await filled_up(node, client)
        assert refused.status_code == 507
        assert refused.json()["code"] == "disk_full"
        assert "nothing was stored" in refused.json()["detail"]
        assert refused.headers["retry-after"]
        for number, fact_id in enumerate(acknowledged, 1):
            found = (await client.get("/v1/facts", params={"entity": f"user:person-{number}"})).json()["facts"]
            assert [fact["id"] for fact in found] == [fact_id]
        assert (await client.get("/healthz")).status_code == 200
        assert (await wrote(client, 999, 4_000)).status_code == 507

        free(node.journal)
        late = await wrote(client, 1_000)
        assert late.status_code == 201
    assert [fact.id for fact in read_facts(tmp_path)] == [*acknowledged, late.json()["id"]]


async def test_a_refused_write_is_not_there_after_a_restart(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        acknowledged, _ = await filled_up(node, client)
    async with node_at(tmp_path) as node, client_of(node) as client:
        assert node.facts == len(acknowledged)
        assert (await wrote(client, 5_000)).status_code == 201


def test_a_journal_that_somebody_else_writes_to_is_told_apart_from_a_full_disk(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, closing(sqlite3.connect(journal.path, isolation_level=None)) as shell:
        journal._connection.execute("PRAGMA busy_timeout = 1")
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalFull) as refused:
            journal.write(list(numbered(1)))
        assert refused.value.code == "journal_in_use"
        shell.execute("ROLLBACK")
        journal.write(list(numbered(1)))
        assert journal.count() == 1


# --- a start on a disk without room ---


def largest_file(size: int) -> Callable[[], None]:
    """From here on the process can make no file larger, as on a disk without room."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize(
    ("end", "size"),
    [
        ("killed", 32_768),  # the index of the write-ahead log has its place already, which a kill leaves
        ("stopped", 16_384),
    ],
)
def test_a_node_on_a_full_disk_starts_and_answers_reads(tmp_path: Path, end: str, size: int) -> None:
    """A full disk after a kill kept even reads away."""
    port = free_port()
    body = json.dumps(assertion(1))
    headers = {"content-type": "application/json"}
    with started(tmp_path, port, "--no-auth-required") as process:
        until("the node was ready", lambda: ask(port, "/readyz") == 200)
        assert ask(port, "/v1/facts", "POST", body=body, headers=headers) == 201
        if end == "stopped":
            assert stopped_cleanly(process) == 0
    with started(tmp_path, port, "--no-auth-required", preexec_fn=largest_file(size)) as process:
        until("the node was ready", lambda: ask(port, "/readyz") == 200)
        assert ask(port, "/v1/facts") == 200
        assert ask(port, "/v1/audit") == 200
        assert ask(port, "/v1/facts", "POST", body=json.dumps(assertion(2)), headers=headers) == 507
        assert stopped_cleanly(process) == 0
    assert len(list(read_facts(tmp_path))) == 1


def test_writes_resume_when_there_is_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as journal:
        journal.write(list(numbered(1)))
    full = sqlite3.OperationalError("disk I/O error")
    full.sqlite_errorcode = sqlite3.SQLITE_IOERR
    prepared = SqliteJournal._prepared

    def no_room(self: SqliteJournal) -> sqlite3.Connection:
        raise full

    monkeypatch.setattr(SqliteJournal, "_prepared", no_room)
    with opened(tmp_path) as journal:
        assert "can be read and not written" in journal.remarks[0]
        assert journal.count() == 1
        with pytest.raises(JournalFull):
            journal.write(list(numbered(1, start=2)))
        monkeypatch.setattr(SqliteJournal, "_prepared", prepared)
        journal.write(list(numbered(1, start=2)))
    assert len(list(read_facts(tmp_path))) == 2
