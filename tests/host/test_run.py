"""What ends a deployed node: its journal, and nothing else."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from stigmem.core.errors import JournalCorrupt
from tests.host.nodes import client_of, node_at, numbered, opened
from tests.host.test_federation import FEDERATED


async def test_a_task_that_meets_a_bug_costs_its_turn_and_not_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stigmem.host.context._REST_S", 0.01)
    async with node_at(tmp_path, **FEDERATED) as node, client_of(node) as client:
        begun: list[int] = []
        done = trio.Event()

        async def puller() -> None:
            begun.append(len(begun))
            if len(begun) < 3:
                raise RuntimeError("a bug of ours")
            done.set()

        async def once() -> None:
            raise RuntimeError("another")

        node.node.context.clock.spawn("puller", puller)
        node.node.context.clock.spawn("fetch-manifest", once)
        with trio.fail_after(10):
            await done.wait()
        assert sorted(str(bug) for bug in node.observer.bugs) == ["a bug of ours", "a bug of ours", "another"]
        assert (await client.get("/healthz")).status_code == 200


async def test_what_the_writer_cannot_store_ends_the_node(tmp_path: Path) -> None:
    async def stored() -> None:
        raise sqlite3.DatabaseError("the journal is malformed")

    async def live() -> None:
        async with node_at(tmp_path) as node:
            node.node.context.clock.spawn("writer", stored)
            with trio.fail_after(10):
                await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as ended:
        await live()
    assert ended.group_contains(sqlite3.DatabaseError)


def test_a_file_that_breaks_under_a_write_is_told_in_a_sentence(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(numbered(1))
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = journal.path.read_bytes()
        journal.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        journal._connection.execute("PRAGMA shrink_memory")
        with pytest.raises(JournalCorrupt) as broken:
            journal.write(numbered(1, start=2))
    assert "malformed" in broken.value.message
    assert "Restore the last backup" in broken.value.message
