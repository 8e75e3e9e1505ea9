"""Whose name a received fact is in: what its origin does not own is counted, and told when it is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from stigmem.core.wire import JSON_TYPE, Response
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, read, saying
from tests.node.still import Bench, running
from tests.node.test_api_push import entry, fact

URL = "http://peer-1.example"


def serve(bench: Bench, *entries: Any) -> None:
    """Let the peer serve one page."""
    page = {"v": 2, "facts": list(entries), "cursor": "s:7", "has_more": False}
    bench.answers[URL, "/v1/federation/facts"] = Response(200, JSON_TYPE, msgspec.json.encode(page))


async def pulled(bench: Bench, peer: Peer) -> None:
    bench.node.pullers[peer.peer_id]._wake.set()
    await bench.settle()


async def test_a_page_tells_how_many_of_its_sources_are_not_its_origins() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        own, named, foreign = (
            fact(peer, 1), fact(peer, 2, source=f"{peer.node_id}/agent"), fact(peer, 3, source="agent:x"),
        )  # fmt: skip
        serve(bench, *(entry(peer, each) for each in (own, named, foreign)))
        await pulled(bench, peer)
        assert len(node.state.ledger) == 3
        (row,) = [row for row in bench.audit_rows if row.event == "page_accepted"]
        assert json.loads(row.detail) == {"count": 3, "first_seq": 1, "last_seq": 3, "sources_not_owned": 1}


async def test_a_refused_source_is_told_with_its_name_and_whose_fact_it_was() -> None:
    bench = Bench(NOW_MS)
    relay, origin = Peer(bench, 1), Peer(bench, 2)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        sources = {1: node.node_id, 2: "system:stigmem"}
        facts = [fact(origin, number, source=source) for number, source in sources.items()]
        serve(bench, *(entry(origin, each) for each in facts))
        for _ in range(3):  # a page is read again before its sender is blamed
            await pulled(bench, relay)
        assert len(node.state.ledger) == 0
        rows = [row for row in bench.audit_rows if row.event == "rejected_fact"]
        assert [row.fact_id for row in rows] == [each.id for each in facts]
        assert [json.loads(row.detail) for row in rows] == [
            {"reason": "source_not_owned", "source": source, "source_owned": False, "by": origin.node_id}
            for source in sources.values()
        ]


async def test_the_name_of_a_key_of_ours_is_another_author_elsewhere_and_ends_nothing() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        body = {"raw_key": "k" * 32, "entity_uri": "user:ours"}
        read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)
        claimed = fact(peer, 1, source="user:ours")
        slot = {"entity": claimed.entity, "relation": claimed.relation, "scope": claimed.scope}
        mine = saying("ours", source="user:ours", **slot)
        read(await ask(bench, "POST", "/v1/facts", mine, by=ADMIN), 201)
        serve(bench, entry(peer, claimed))
        await pulled(bench, peer)
        assert [node.state.ledger.live(each) for each in node.state.ledger.log] == [True, True]
        (row,) = [row for row in bench.audit_rows if row.event == "page_accepted"]
        assert json.loads(row.detail)["names_of_our_keys"] == 1


async def test_an_operator_may_take_owned_sources_only() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True, owned_sources_only=True)) as node:
        serve(bench, entry(peer, fact(peer, 1)), entry(peer, fact(peer, 2, source="agent:x")))
        await pulled(bench, peer)
        assert [held.source for held in node.state.ledger.log] == [peer.node_id]
