"""Everything has a size: values with their escapes, pages, conflict sets, manifests, answers that peers take."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from stigmem.core import limits
from stigmem.core.wire import Request, Response
from stigmem.node.ports import Unreachable
from stigmem.node.replication import page_server as exchange
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, read, saying
from tests.node.fresh import Fresh, fresh
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True)


async def test_a_value_fits_into_a_page_with_its_escapes() -> None:
    async with fresh() as node:
        lines = "\n" * limits.STRING_BYTES_MAX
        await node.say(value={"type": "text", "v": lines})
        controls = "\x01" * 30_000
        assert (await node.say(413, value={"type": "text", "v": controls}))["field"] == "value.v"
        await node.say(value={"type": "text", "v": controls[:20_000]}, entity="user:x")
        (conflict,) = await _disagree(node)
        body = {"new_value": {"type": "text", "v": controls}}
        await node.post(f"/v1/conflicts/{conflict['conflict_id']}/resolve", body, 413)


async def _disagree(node: Fresh, count: int = 2) -> Any:
    for number in range(count):
        await node.say(entity="user:torn", value={"type": "string", "v": f"v{number}"}, source=f"agent:{number}")
    return (await node.get("/v1/conflicts"))["conflicts"]


async def test_a_crowded_conflict_is_shown_in_part_and_counted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESOLUTION_COVERS_MAX", 3)
    async with fresh() as node:
        (conflict,) = await _disagree(node, 8)
        assert (len(conflict["members"]), conflict["member_count"]) == (3, 8)
        assert conflict["fact_a"]["id"] not in conflict["members"]  # the two best are shown whole all the same


async def test_a_page_ends_where_it_would_become_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_PAGE_CHARS_MAX", 2_500)
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        for number in range(7):
            bench.wall_ms += 1
            read(await ask(bench, "POST", "/v1/facts", saying(str(number) * 1_000, entity=f"user:{number}")), 201)
        found: list[str] = []
        sizes: list[int] = []
        cursor, more = "", True
        while more:
            page = read(await peer.ask("GET", f"/v1/federation/facts?limit=100&cursor={cursor}"))
            found += [entry["fact"]["entity"] for entry in page["facts"]]
            sizes.append(len(page["facts"]))
            cursor, more = page["cursor"], page["has_more"]
        assert found == [f"user:{number}" for number in range(7)]
        assert sizes == [3, 3, 1]


async def test_after_an_answer_that_is_too_long_fewer_facts_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        asked: list[str] = []

        async def too_long(url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
            await trio.lowlevel.checkpoint()
            asked.append(request.target)
            raise Unreachable("body_too_large", "the answer is longer than 32 MiB")

        monkeypatch.setattr(node.context.transport, "request", too_long)
        puller = node.pullers[peer.peer_id]
        for _ in range(2):
            puller._wake.set()
            await bench.settle()
        pulls = [target for target in asked if "facts?" in target]
        assert [target.partition("&")[0] for target in pulls] == [
            "/v1/federation/facts?limit=100", "/v1/federation/facts?limit=50",
        ]  # fmt: skip


async def test_a_manifest_is_no_longer_than_one_that_is_fetched() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        body = {"entity_uri": "a", "key_id": "k", "public_key": "p", "issued_at": "n", "expires_at": "n",
                "signature": "x" * limits.DISCOVERY_BYTES_MAX}  # fmt: skip
        refused = await ask(bench, "PUT", "/v1/federation/manifest", body, by=ADMIN)
        assert read(refused, 413)["code"] == "manifest_too_large"
