"""Reading the audit log: stable pages, filters, what a row shows, and that looking is bounded."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
import trio

from stigmem.core import limits
from stigmem.core.audit import AuditRow, commitment_of, event_hash
from stigmem.core.wire import Request, Response
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, WRITER, Peer, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True)


async def write(bench: Bench, count: int, **members: Any) -> list[str]:
    """The ids of so many facts, a millisecond apart."""
    ids = []
    for number in range(count):
        bench.wall_ms += 1
        body = saying(f"v{number}", entity=f"device:{number}") | members
        ids.append(read(await ask(bench, "POST", "/v1/facts", body), 201)["id"])
    return ids


async def walk(bench: Bench, target: str, cursor: str = "", by: Any = WRITER) -> list[dict[str, Any]]:
    """Every entry from a cursor on, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        page = read(await ask(bench, "GET", f"{target}&cursor={cursor}", by=by))
        found += page["entries"]
        if page["cursor"] is None:
            return found
        cursor = page["cursor"]


async def test_a_row_shows_what_was_written_by_whom() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        (name,) = await write(bench, 1, scope="team")
        answer = read(await ask(bench, "GET", "/v1/audit"))
        assert (answer["total"], answer["cursor"]) == (1, None)
        (entry,) = answer["entries"]
        assert entry.pop("id")
        assert entry == {
            "fact_id": name, "event_type": "fact_write", "entity_uri": "agent:writer", "oidc_sub": None,
            "source": "agent:writer", "attested_key_id": None, "ts": "2026-11-20T07:55:44.001000+00:00",
            "attested_key_entity_uri": None, "attested_key_description": None, "fact_entity": "device:0",
            "fact_relation": "maint:status", "fact_value_type": "string", "fact_value_v": "v0", "fact_scope": "team",
        }  # fmt: skip


async def test_events_without_a_fact_are_listed_too() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        body = {"raw_key": "k" * 32, "entity_uri": "agent:new"}
        read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)
        (entry,) = read(await ask(bench, "GET", "/v1/audit"))["entries"]
        assert (entry["event_type"], entry["fact_id"], entry["entity_uri"]) == ("key_created", None, "agent:new")


async def test_pages_neither_repeat_nor_lose_a_row_while_others_write() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        before = await write(bench, 10)
        first = read(await ask(bench, "GET", "/v1/audit?limit=3"))
        await write(bench, 4, entity="device:late")
        rest = await walk(bench, "/v1/audit?limit=3", first["cursor"])
        assert [entry["fact_id"] for entry in (*first["entries"], *rest)] == before[::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("entity_uri=agent:writer", 3), ("entity_uri=agent:nobody", 0), ("source=agent:other", 1), ("attested=true", 0),
        ("attested=false", 3), ("oidc_sub=x", 0), ("fact_id={id}", 1), ("source=", 3),
    ],
)  # fmt: skip
async def test_rows_are_filtered(query: str, expected: int) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        ids = await write(bench, 2)
        await write(bench, 1, source="agent:other", entity="device:x")
        found = read(await ask(bench, "GET", "/v1/audit?" + query.replace("{id}", ids[0])))
        assert found["total"] == len(found["entries"]) == expected


@pytest.mark.parametrize("target", ["/v1/audit", "/v1/federation/audit", "/v1/audit/export", "/v1/audit/facts/x"])
async def test_a_cursor_of_somebody_else_is_refused(target: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        by = caller("read", "federate")
        for cursor in (
            "x",
            "AAAA",
            node.cursors.close("audit"),
            node.cursors.close("c:1"),
            node.cursors.close(""),
        ):
            answer = read(await ask(bench, "GET", f"{target}?cursor={cursor}", by=by), 400)
            assert answer["code"] == "invalid_cursor"


async def test_the_rows_of_a_fact_come_oldest_first() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        ids = await write(bench, 3)
        found = read(await ask(bench, "GET", f"/v1/audit/facts/{ids[1]}"))
        assert [(entry["event_type"], entry["fact_id"]) for entry in found] == [("fact_write", ids[1])]
        read(await ask(bench, "GET", "/v1/audit/facts/nothing-known"), 404)


async def test_the_export_is_csv_that_a_spreadsheet_may_open() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        value = {"type": "string", "v": '=HYPERLINK("http://evil.example")'}
        await write(bench, 1, value=value)
        await write(bench, 1, entity="device:n", value={"type": "number", "v": -5})
        answer = await ask(bench, "GET", "/v1/audit/export")
        assert answer.headers["content-type"].startswith("text/csv")
        header, *rows = csv.reader(io.StringIO(answer.body.decode(), newline=""))
        assert header == [
            "id", "fact_id", "event_type", "principal_entity_uri", "principal_oidc_sub", "source", "attested_key_id",
            "attested_key_entity_uri", "attested_key_description", "fact_entity", "fact_relation", "fact_value_type",
            "fact_value_v", "fact_scope", "ts",
        ]  # fmt: skip
        assert [row[12] for row in rows] == ["-5.0", "'" + value["v"]]
        assert "x-stigmem-next-cursor" not in answer.headers
        part = await ask(bench, "GET", "/v1/audit/export?limit=1")
        rest = await ask(bench, "GET", f"/v1/audit/export?cursor={part.headers['x-stigmem-next-cursor']}")
        assert part.body + rest.body.split(b"\r\n", 1)[1] == answer.body
        read(await ask(bench, "GET", "/v1/audit/export?limit=50001"), 422)


# --- the whole log ---


async def test_the_whole_log_needs_its_own_permission_and_every_scope() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        ids = await write(bench, 3)
        read(await ask(bench, "GET", "/v1/admin/audit", by=caller("admin", "read")), 403)
        read(await ask(bench, "GET", "/v1/admin/audit", by=caller("audit.read", scopes=("public", "company"))), 403)
        first = read(await ask(bench, "GET", "/v1/admin/audit?limit=2", by=ADMIN))
        assert [(entry["seq"], entry["fact_id"]) for entry in first["entries"]] == [(1, ids[0]), (2, ids[1])]
        assert (first["total"], first["next_cursor"]) == (2, 2)
        rest = read(await ask(bench, "GET", "/v1/admin/audit?limit=2&cursor=2", by=ADMIN))
        assert [entry["seq"] for entry in rest["entries"]] == [3]
        assert rest["next_cursor"] is None
        previous = None
        for e in (*first["entries"], *rest["entries"]):
            assert e["previous_hash"] == previous
            assert e["commitment"] == commitment_of(e["salt"], e["entity_uri"], e["detail"])
            assert e["hash"] == event_hash(
                e["seq"], e["event_type"], e["commitment"], e["fact_id"], e["ts_us"], previous
            )
            previous = e["hash"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("since={2}", [2, 3]), ("until={2}", [1, 2]), ("since={2}&until={2}", [2]),
        ("principal=agent:writer", [1, 2, 3]),
        ("principal=x", []), ("event_type=key_created", []), ("event_type=fact_write&cursor=1", [2, 3]),
    ],
)  # fmt: skip
async def test_the_whole_log_is_filtered(query: str, expected: list[int]) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await write(bench, 3)
        target = "/v1/admin/audit?" + query.replace("{2}", "2026-11-20T07:55:44.002000+00:00")
        assert [e["seq"] for e in read(await ask(bench, "GET", target, by=ADMIN))["entries"]] == expected
        read(await ask(bench, "GET", "/v1/admin/audit?since=yesterday", by=ADMIN), 422)


# --- between nodes ---


async def test_the_federation_log_tells_of_peers_and_not_of_local_writes() -> None:
    bench = Bench(NOW_MS)
    first, second = Peer(bench, 1), Peer(bench, 2)
    async with running(bench, SETTINGS):
        await write(bench, 1)
        for peer in (first, second):
            for _ in range(2):
                await peer.ask("GET", "/v1/federation/facts", token=peer.token("the same nonce " + peer.peer_id))
        by = caller("federate")
        found = read(await ask(bench, "GET", "/v1/federation/audit", by=by))
        assert [(e["peer_id"], e["event_type"], e["detail"]) for e in found["entries"]] == [
            (peer.peer_id, "replay_attempt", {"reason": "nonce_already_seen"}) for peer in (second, first)
        ]
        assert (found["cursor"], found["has_more"]) == (None, False)
        page = read(await ask(bench, "GET", "/v1/federation/audit?limit=1", by=by))
        assert page["has_more"]
        assert await walk(bench, "/v1/federation/audit?limit=1", by=by) == found["entries"]
        filtered = read(await ask(bench, "GET", f"/v1/federation/audit?peer_id={first.peer_id}", by=by))
        assert [e["peer_id"] for e in filtered["entries"]] == [first.peer_id]
        assert read(await ask(bench, "GET", "/v1/federation/audit?event_type=peer_revoked", by=by))["entries"] == []
        read(await ask(bench, "GET", "/v1/federation/audit", by=caller("read")), 403)


# --- bounds ---


async def test_a_search_stops_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        monkeypatch.setattr(limits, "AUDIT_ROWS_SCANNED_MAX", 500)
        ids = await write(bench, 1_200)
        page = read(await ask(bench, "GET", f"/v1/audit?fact_id={ids[0]}"))
        assert page["entries"] == []
        assert page["cursor"] is not None
        found = await walk(bench, f"/v1/audit?fact_id={ids[0]}&limit=5")
        assert [entry["fact_id"] for entry in found] == [ids[0]]
        late = await ask(bench, "GET", f"/v1/audit/facts/{ids[-1]}")
        assert read(late) == []
        for _ in range(2):
            late = await ask(bench, "GET", f"/v1/audit/facts/{ids[-1]}?cursor={late.headers['x-stigmem-next-cursor']}")
        assert [entry["fact_id"] for entry in read(late)] == [ids[-1]]


async def test_only_so_many_look_through_the_log_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        await write(bench, 1)
        gate = trio.Event()
        answers: list[Response] = []
        honest = node.context.journal.audit

        async def slow(after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
            await gate.wait()
            return await honest(after, limit, newest_first=newest_first)

        monkeypatch.setattr(node.context.journal, "audit", slow)
        for _ in range(limits.AUDIT_SCANS_MAX + 2):
            node.offer(Request("GET", "/v1/audit"), answers.append, WRITER)
        await bench.settle()
        assert [(answer.status, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 2
        read(await ask(bench, "GET", "/healthz"))
        gate.set()
        await bench.settle()
        assert [answer.status for answer in answers[2:]] == [200] * limits.AUDIT_SCANS_MAX
        read(await ask(bench, "GET", "/v1/audit"))


async def test_a_bug_while_reading_the_log_costs_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        await write(bench, 1)

        async def broken(after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
            raise ZeroDivisionError

        answers: list[Response] = []
        with monkeypatch.context() as patch:
            patch.setattr(node.context.journal, "audit", broken)
            node.offer(Request("GET", "/v1/audit"), answers.append, WRITER)
            await bench.settle()
        assert [answer.status for answer in answers] == [500]
        assert [type(fault) for fault in node.bugs] == [ZeroDivisionError]
        node.bugs.clear()
        assert read(await ask(bench, "GET", "/v1/audit"))["total"] == 1
