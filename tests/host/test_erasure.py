"""Erased means erased: no file of the data directory has the bytes any more, and only the tombstone has the name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from stigmem.core.wire import JSON_TYPE, Request
from stigmem.host.cli import main
from stigmem.host.inspection import verify_audit, verify_journal
from stigmem.host.journal import SqliteJournal
from stigmem.host.run import Deployed
from stigmem.host.transfer import export_facts
from tests.host.nodes import assertion, client_of, node_at

ADA = "user:ada-lovelace"
SECRETS = (b"analytical engine notes", b"agent:adas-own", b"room of ada", b"garden-secret-17")


def facts() -> list[dict[str, Any]]:
    return [
        assertion(1, entity=ADA, value={"type": "string", "v": "analytical engine notes, volume one"}),
        assertion(
            2, entity=ADA, source="agent:adas-own", value={"type": "string", "v": "analytical engine notes, two"}
        ),
        assertion(3, source=ADA, value={"type": "text", "v": "analytical engine notes, " + "long " * 2_000}),
        assertion(4, value={"type": "ref", "v": ADA}),
        *(assertion(n) for n in range(5, 30)),
    ]


async def write_all(node: Deployed) -> None:
    async with client_of(node) as client:
        for body in facts():
            assert (await client.post("/v1/facts", json=body)).status_code == 201
        key = {"idempotency-key": "adas-idempotency-key"}
        body = assertion(31, entity=ADA, value={"type": "string", "v": "analytical engine notes, idempotent"})
        assert (await client.post("/v1/facts", json=body, headers=key)).status_code == 201
    garden = {"slug": "crew", "name": "Crew", "scope": "team", "description": f"the room of ada, {ADA}"}
    made = await ask(node, "POST", "/v1/gardens", garden, 201)
    room = {"scope": "team", "garden_id": made["garden_id"]}
    body = assertion(32, entity=ADA, value={"type": "string", "v": "garden-secret-17"}, **room)
    await ask(node, "POST", "/v1/facts", body, 201)


async def ask(node: Deployed, method: str, target: str, body: Any = None, status: int = 200) -> Any:
    """The answer to the operator of a node."""
    data = b"" if body is None else msgspec.json.encode(body)
    found = await node.control.exchange(Request(method, target, dict(JSON_TYPE), data))
    assert found.status == status, found.body
    return msgspec.json.decode(found.body)


async def finished(node: Deployed) -> None:
    with trio.fail_after(30):
        while not (await ask(node, "GET", f"/v1/tombstones/{ADA}"))["finished"]:
            await trio.sleep(0.02)


async def bury(node: Deployed) -> None:
    await ask(node, "POST", "/v1/tombstones", {"entity_uri": ADA}, 201)


def found_in(directory: Path, word: bytes) -> dict[str, int]:
    """How often a word is in each file of a data directory."""
    counts = {path.name: path.read_bytes().count(word) for path in sorted(directory.rglob("*")) if path.is_file()}
    return {name: count for name, count in counts.items() if count}


async def test_no_file_has_the_bytes_and_only_the_tombstone_has_the_name(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await write_all(node)
        for secret in SECRETS:
            assert found_in(tmp_path, secret), secret
        await bury(node)
        await finished(node)
        for secret in SECRETS:
            assert found_in(tmp_path, secret) == {}, secret
        # The tombstone is in the file, and in the log since it was marked as carried out.
        assert found_in(tmp_path, ADA.encode()) == {"stigmem.db": 1, "stigmem.db-wal": 1}
        async with client_of(node) as client:
            assert (await client.get("/v1/facts")).json()["total"] == 25
            assert (await client.post("/v1/facts", json=facts()[0])).status_code == 409
    for secret in SECRETS:
        assert found_in(tmp_path, secret) == {}, secret
    findings = verify_audit(tmp_path)
    assert (findings.broken, findings.writes) == ([], findings.matching)
    assert findings.erased >= 6
    assert verify_journal(tmp_path) is None
    async with node_at(tmp_path) as node, client_of(node) as client:
        assert (await client.get("/v1/facts")).json()["total"] == 25
        with trio.fail_after(30):
            while not node.audit_walk.done:
                await trio.sleep(0.02)
        assert node.audit_walk.broken is None


async def test_an_erasure_that_was_not_finished_goes_on_at_the_next_start(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await write_all(node)
        node.node.eraser.tombstones_added = lambda: None  # type: ignore[method-assign]
        await bury(node)
        async with client_of(node) as client:
            assert (await client.get("/v1/facts")).json()["total"] == 25
    assert found_in(tmp_path, SECRETS[0])
    with (tmp_path / "export").open("wb") as out:
        assert export_facts(tmp_path, out) == 25
    assert b"analytical" not in (tmp_path / "export").read_bytes()
    async with node_at(tmp_path) as node, client_of(node) as client:
        assert (await client.get("/v1/facts")).json()["total"] == 25
        await finished(node)
    for secret in SECRETS:
        assert found_in(tmp_path, secret) == {}, secret


async def test_what_a_reader_keeps_in_the_log_is_tried_again_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stigmem.node.erasure._AGAIN_NS", 50_000_000)
    async with node_at(tmp_path) as node:
        await write_all(node)
        with closing(sqlite3.connect(tmp_path / "stigmem.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM facts").fetchone()[0] > 25
            await bury(node)
            with trio.fail_after(30):
                while any(ledger.unwritten for ledger in node.node.state.ledgers()):
                    await trio.sleep(0.02)
            assert (await ask(node, "GET", f"/v1/tombstones/{ADA}"))["finished"] == []
            assert found_in(tmp_path, SECRETS[0])
            reader.execute("COMMIT")
        await finished(node)
        for secret in SECRETS:
            assert found_in(tmp_path, secret) == {}, secret


def test_the_command_looks_first_and_erases_when_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SqliteJournal(tmp_path).close()
    where = ["--data-dir", str(tmp_path)]
    for body in facts()[:5]:
        value = body["value"]["v"]
        words = ["fact", "put", body["entity"], body["relation"], value[:30], "--source", body["source"]]
        assert main([*words, "--scope", "public", *where]) == 0
    capsys.readouterr()
    assert main(["erase", "--entity", ADA, "--dry-run", *where]) == 0
    assert "3 facts would be erased in scope *" in capsys.readouterr().out
    assert main(["erase", "--entity", ADA, *where]) == 2
    assert "say --yes" in capsys.readouterr().err
    assert main(["erase", *where]) == 2
    assert main(["erase", "--entity", ADA, "--yes", "--json", *where]) == 0
    made = msgspec.json.decode(capsys.readouterr().out)
    assert found_in(tmp_path, b"analytical engine notes") == {}
    assert main(["erase", "--revoke", made["id"], *where]) == 0
    assert main(["erase", "--revoke", made["id"], *where]) == 1


async def test_facts_of_a_garden_that_was_deleted_go_with_the_next_erasure(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await write_all(node)
        deleted = await node.control.exchange(Request("DELETE", "/v1/gardens/crew", {}, b""))
        assert deleted.status in (200, 204)
        assert found_in(tmp_path, b"garden-secret-17")
        await bury(node)
        await finished(node)
        assert found_in(tmp_path, b"garden-secret-17") == {}
    assert verify_audit(tmp_path).broken == []
