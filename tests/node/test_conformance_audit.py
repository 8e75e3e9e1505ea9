"""What the audit routes look like to clients of the reference (http-api 3.16, federation 8.2)."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core.audit import AuditRow, verify
from stigmem.core.keys import encode_base64
from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, read, saying
from tests.node.fresh import fresh
from tests.node.still import Bench, running

ENTRY = [
    "id", "fact_id", "event_type", "entity_uri", "oidc_sub", "source", "attested_key_id", "ts",
    "attested_key_entity_uri", "attested_key_description", "fact_entity", "fact_relation", "fact_value_type",
    "fact_value_v", "fact_scope",
]  # fmt: skip
COLUMNS = (
    "id,fact_id,event_type,principal_entity_uri,principal_oidc_sub,source,attested_key_id,attested_key_entity_uri,"
    "attested_key_description,fact_entity,fact_relation,fact_value_type,fact_value_v,fact_scope,ts"
)


async def test_a_write_is_listed_with_its_fact() -> None:
    async with fresh() as node:
        assert await node.get("/v1/audit") == {"entries": [], "total": 0, "cursor": None}
        fact = await node.say(value={"type": "number", "v": 3})
        answer = await node.get("/v1/audit")
        assert (answer["total"], answer["cursor"]) == (1, None)
        (entry,) = answer["entries"]
        assert list(entry) == ENTRY
        assert (entry["fact_id"], entry["event_type"], entry["entity_uri"]) == (
            fact["id"],
            "fact_write",
            "anon:trusted",
        )
        assert (entry["fact_value_type"], entry["fact_value_v"], entry["fact_scope"]) == ("number", "3.0", "local")
        assert await node.get(f"/v1/audit/facts/{fact['id']}") == [entry]
        await node.get("/v1/audit/facts/nobody", 404)
        export = await node.ask("GET", "/v1/audit/export")
        assert export.headers["content-type"].startswith("text/csv")
        assert export.body.decode().splitlines()[0] == COLUMNS
        assert len(export.body.decode().splitlines()) == 2


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/audit?limit=0", 422), ("/v1/audit?limit=501", 422), ("/v1/audit?cursor=x", 400),
        ("/v1/audit/export?limit=50001", 422), ("/v1/audit?attested=maybe", 422),
        ("/v1/federation/audit?limit=501", 422), ("/v1/federation/audit?cursor=x", 400),
        ("/v1/admin/audit?limit=1001", 422), ("/v1/admin/audit?cursor=-1", 422), ("/v1/admin/audit?cursor=x", 422),
        ("/v1/admin/audit?cursor=9007199254740992", 422), ("/v1/admin/audit?since=yesterday", 422),
        ("/v1/admin/audit?cursor=1&cursor=2", 422),
    ],
)  # fmt: skip
async def test_a_parameter_that_means_nothing_is_refused(target: str, status: int) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        told = read(await ask(bench, "GET", target, by=ADMIN), status)
        assert status == 400 or told["errors"][0]["loc"][0] == "query"


async def test_the_whole_log_can_be_checked_by_whoever_reads_it() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        for number in range(5):
            read(await ask(bench, "POST", "/v1/facts", saying(f"v{number}")), 201)
        read(await peer.ask("GET", "/v1/federation/facts", token="a.b.c"), 401)
        token = peer.token()
        read(await peer.ask("GET", "/v1/federation/facts", token=token))
        read(await peer.ask("GET", "/v1/federation/facts", token=token), 401)
        rows: list[dict[str, Any]] = []
        cursor: int | None = 0
        while cursor is not None:
            page = read(await ask(bench, "GET", f"/v1/admin/audit?limit=2&cursor={cursor}", by=ADMIN))
            assert page["total"] == len(page["entries"]) <= 2
            rows += page["entries"]
            cursor = page["next_cursor"]
        assert [row["seq"] for row in rows] == list(range(1, len(bench.audit_rows) + 1))
        assert {row["tenant_id"] for row in rows} == {"default"}
        again = [
            AuditRow(row["seq"], row["event_type"], row["entity_uri"], row["fact_id"], row["detail"], row["ts_us"],
                     row["previous_hash"], row["hash"], row["salt"])
            for row in rows
        ]  # fmt: skip
        assert verify(again)[1] is None
        assert rows[-1]["event_type"] == "replay_attempt"


async def test_what_peers_did_has_a_log_of_its_own() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        token = peer.token()
        for _ in range(2):
            await peer.ask("GET", "/v1/federation/facts", token=token)
        answer = read(await ask(bench, "GET", "/v1/federation/audit?event_type=replay_attempt", by=ADMIN))
        assert (answer["cursor"], answer["has_more"]) == (None, False)
        (entry,) = answer["entries"]
        assert set(entry) == {"id", "peer_id", "event_type", "detail", "ts"}
        assert (entry["peer_id"], entry["detail"]) == (peer.peer_id, {"reason": "nonce_already_seen"})


async def test_strangers_cause_no_more_rows_than_their_ration() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        header = "eyJhbGciOiJFZERTQSJ9"
        for number in range(100):
            payload = f'{{"iss":"n:{number}-{"x" * 900}"}}'.encode()
            token = f"{header}.{encode_base64(payload)}.AAAA"
            request = Request("GET", "/v1/federation/facts", {"authorization": f"Bearer {token}"})
            read(await bench.ask(request), 401)
        rows = [row for row in bench.audit_rows if row.event == "rejected_token"]
        assert len(rows) == 30
        assert all(len(row.subject) <= 512 for row in rows)
        assert node.quotas.suppressed == 70
