"""Facts of origins that nobody here has decided on wait, where the operator wants to, and have no effect until then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.ingest import PeerLink, VerifiedFact
from stigmem.core.keys import fingerprint
from stigmem.core.manifest import certified_node_id
from stigmem.node.callers import PERMISSIONS
from stigmem.node.node import Node
from stigmem.node.replication.page_ingest import Arrival, IngestPage, PageIngested, PagePlace
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.still import Bench, running
from tests.node.test_api_push import fact
from tests.node.test_origins import key, vouch

ADMIN = caller(*PERMISSIONS, entity="user:admin")
STRICT = NodeSettings(seed=SEED, federation=True, unknown_origins="quarantine")
STRANGER = certified_node_id(key(7).public_key)


class Gate:
    """A strict node, a peer of it that relays, and a stranger whom the peer brings."""

    def __init__(self, bench: Bench, node: Node, peer: Peer) -> None:
        self.bench = bench
        self.node = node
        self.peer = peer

    def said(self, number: int, origin: str = STRANGER, **changes: Any) -> Fact:
        made = fact(self.peer, number, origin=origin, received_from=self.peer.node_id, source=origin, **changes)
        return msgspec.structs.replace(made, id=made.certified_id())

    async def bring(self, *facts: Fact, begun: str | None = None, cursor: str = "c1") -> PageIngested:
        arrivals = [Arrival(b"raw", VerifiedFact(each, source_owned=True)) for each in facts]
        link = PeerLink(self.peer.node_id, "2.1+", ("public",))
        place = PagePlace(begun, cursor, drained=True, last_attempt=True)
        found = await self.node.submit(IngestPage(self.peer.peer_id, link, self.node.policy, arrivals, place))
        assert found is not None
        return found

    async def shown(self) -> list[str]:
        return [each["id"] for each in read(await ask(self.bench, "GET", "/v1/facts?limit=500", by=ADMIN))["facts"]]

    async def admit(self) -> None:
        body = {"pubkey_fingerprint": fingerprint(key(7).public_key)}
        read(await ask(self.bench, "POST", f"/v1/federation/origins/{STRANGER}/confirm", body, by=ADMIN), 200)

    async def waiting(self) -> list[Any]:
        found: list[Any] = read(
            await ask(self.bench, "GET", "/v1/quarantine?quarantine_status=pending&limit=1000", by=ADMIN)
        )["items"]
        return found


@asynccontextmanager
async def gate(settings: NodeSettings = STRICT) -> AsyncIterator[Gate]:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, settings) as node:
        await vouch(node, peer, key(7), STRANGER)
        yield Gate(bench, node, peer)


async def test_facts_of_a_stranger_wait_and_those_of_the_peer_that_brings_them_do_not() -> None:
    async with gate() as opened:
        own, strange = opened.said(1, opened.peer.node_id), opened.said(2)
        assert (await opened.bring(own, strange)).stored == 2
        assert await opened.shown() == [own.id]
        (item,) = await opened.waiting()
        assert (item["fact_id"], item["quarantine_reason"], item["origin_node_id"]) == (
            strange.id, "unknown_origin", STRANGER,
        )  # fmt: skip
        assert [row.event for row in opened.bench.audit_rows if row.fact_id == strange.id] == ["quarantine_ingest"]


async def test_without_the_policy_a_stranger_is_taken_like_everybody() -> None:
    async with gate(NodeSettings(seed=SEED, federation=True)) as opened:
        strange = opened.said(1)
        await opened.bring(strange)
        assert await opened.shown() == [strange.id]


async def test_what_waits_contradicts_nobody_is_not_recalled_and_not_passed_on_until_it_is_admitted() -> None:
    async with gate() as opened:
        bench = opened.bench
        about = {"entity": "device:pump", "relation": "m:s"}
        read(await ask(bench, "POST", "/v1/facts", saying("old", **about), by=ADMIN), 201)
        signed = {"signature": bytes(64), "entity_uri": "http://stranger.example", "grant": "public"}
        strange = opened.said(1, text="a bewildering assertion", **about, **signed)
        await opened.bring(strange)

        async def effects() -> tuple[int, bool, bool]:
            conflicts = read(await ask(bench, "GET", "/v1/conflicts?status=unresolved", by=ADMIN))["conflicts"]
            recalled = await ask(
                bench, "POST", "/v1/recall", {"query": "bewildering", "scope": "public", "token_budget": 500}, by=ADMIN
            )
            assert recalled.status == 200
            served = [each.id for each in opened.node.state.ledger.exported(("public",), 0)]
            return len(conflicts), b"bewildering assertion" in recalled.body, strange.id in served

        assert await effects() == (0, False, False)
        read(await ask(bench, "POST", f"/v1/quarantine/{strange.id}/admit", by=ADMIN))
        assert (await effects())[0] == 1
        assert (await effects())[2]


async def test_an_origin_that_is_confirmed_brings_what_waits_and_what_comes() -> None:
    async with gate() as opened:
        first, order = opened.said(1), opened.said(2, quarantine="instruction_federation_inbound")
        await opened.bring(first, order)
        await opened.admit()
        assert await opened.shown() == [first.id]
        assert [item["fact_id"] for item in await opened.waiting()] == [order.id], "an instruction is decided on alone"
        later = opened.said(3)
        await opened.bring(later, first, begun="c1", cursor="c2")
        assert sorted(await opened.shown()) == sorted([first.id, later.id])


async def test_a_fact_that_was_rejected_does_not_come_back_with_its_origin() -> None:
    async with gate() as opened:
        first, second = opened.said(1), opened.said(2)
        await opened.bring(first, second)
        read(await ask(opened.bench, "POST", f"/v1/quarantine/{first.id}/reject", by=ADMIN))
        await opened.admit()
        await opened.bring(first, begun="c1", cursor="c2")
        assert await opened.shown() == [second.id]


@pytest.mark.parametrize("again", ["the origin is confirmed", "a new day"])
async def test_what_finds_no_room_stays_at_the_peer_and_is_asked_for_again(
    again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUARANTINE_PER_ORIGIN_MAX", 3)
    async with gate() as opened:
        facts = [opened.said(number) for number in range(6)]
        found = await opened.bring(*facts, cursor="c1")
        assert (found.stored, found.page_retry) == (3, False)
        rows = [row.event for row in opened.bench.audit_rows]
        assert (rows.count("quota_breach"), rows.count("rejected_fact")) == (1, 0)
        assert opened.node.state.cursors[opened.peer.peer_id].cursor == "c1"
        if again == "a new day":
            opened.bench.wall_ms += 86_400_000
            await opened.node.timers._deferred.retry(opened.bench.wall_ms)
        else:
            await opened.admit()
        assert opened.node.state.cursors[opened.peer.peer_id].cursor is None
        assert opened.node.state.rereadings == {}


async def test_what_nobody_decides_on_expires() -> None:
    async with gate() as opened:
        await opened.bring(opened.said(1))
        opened.bench.wall_ms += limits.QUARANTINE_LIFE_S * 1_000 + 1
        assert await opened.waiting() == []
        await opened.admit()
        assert await opened.shown() == []
