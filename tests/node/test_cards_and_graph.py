"""Memory cards and neighbours in the graph (http-api 3.11, 3.12; tests of the published suite in our words)."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.node.fresh import Fresh, fresh


async def refer(node: Fresh, entity: str, target: str, relation: str = "site:next", **members: Any) -> Any:
    value = {"type": "ref", "v": target}
    return await node.say(entity=entity, relation=relation, value=value, **members)


async def neighbours(node: Fresh, entity: str, **query: Any) -> list[tuple[str, int]]:
    """Names and distances, in the order given."""
    found = await node.get("/v1/graph/neighbors", entity=entity, **({"scope": "local"} | query))
    return [(each["entity"], each["hops"]) for each in found["neighbors"]]


async def test_a_card_has_a_line_for_each_fact_and_names_them() -> None:
    async with fresh() as node:
        first = await node.say(confidence=0.75)
        second = await node.say(relation="maint:note", value={"type": "text", "v": "two\nlines"}, confidence=0.5)
        await node.say(relation="maint:secret", scope="team")
        card = await node.get("/v1/cards/stigmem://testnode/device/Pump-7")
        assert list(card) == [
            "entity_uri", "scope", "summary", "fact_hashes", "avg_confidence", "refreshed_at", "is_stale",
            "has_contradictions", "fact_ids",
        ]  # fmt: skip
        assert card["summary"].splitlines() == [
            "stigmem://testnode/device/pump-7", "maint:status = degraded (0.75)", "maint:note = two lines (0.50)",
        ]  # fmt: skip
        assert card["fact_ids"] == [first["id"], second["id"]]
        assert card["fact_hashes"] == [hashlib.sha256(each.encode()).hexdigest() for each in card["fact_ids"]]
        assert (card["avg_confidence"], card["has_contradictions"], card["is_stale"]) == (0.625, False, False)


async def test_a_card_shows_what_is_so_now_and_what_is_contested() -> None:
    async with fresh() as node:
        await node.say(source="agent:one")
        await node.say(source="agent:two", value={"type": "string", "v": "fine"})
        assert (await node.get("/v1/cards/stigmem://testnode/device/pump-7"))["has_contradictions"] is True
        await node.say(entity="a:b")
        await node.say(entity="a:b", confidence=0.0)
        await node.get("/v1/cards/a:b", 404)
        await node.get("/v1/cards/a:unknown", 404)
        await node.get("/v1/cards/a:b?scope=everywhere", 400)


async def test_edges_lead_both_ways_and_each_entity_is_found_once_at_its_nearest() -> None:
    async with fresh() as node:
        await refer(node, "room:a", "room:b")
        await refer(node, "room:b", "Room:C")
        await refer(node, "room:a", "room:c", relation="site:above")
        await refer(node, "room:d", "room:c")
        assert await neighbours(node, "room:a") == [("room:b", 1), ("room:c", 1)]
        assert await neighbours(node, "room:b") == [("room:c", 1), ("room:a", 1)]
        assert await neighbours(node, "ROOM:A", depth=2) == [("room:b", 1), ("room:c", 1), ("room:d", 2)]
        found = await node.get("/v1/graph/neighbors", entity="room:a", scope="local", depth=2)
        assert [each["path"] for each in found["neighbors"]] == [["room:a"], ["room:a"], ["room:a", "room:c"]]
        assert (found["entity"], found["total_hint"], found["next_cursor"]) == ("room:a", 3, None)


async def test_filters_leave_out_edges() -> None:
    async with fresh() as node:
        await refer(node, "room:a", "room:b", confidence=0.5)
        await refer(node, "room:a", "room:c", relation="owner:is")
        await refer(node, "room:a", "room:d", scope="team")
        assert await neighbours(node, "room:a", relation_filter="site:*") == [("room:b", 1)]
        assert await neighbours(node, "room:a", relation_filter="owner:is") == [("room:c", 1)]
        assert await neighbours(node, "room:a", min_confidence=0.6) == [("room:c", 1)]
        assert await neighbours(node, "room:a", scope="team") == [("room:d", 1)]
        assert await neighbours(node, "room:unknown") == []


async def test_an_edge_goes_with_the_fact_that_states_it() -> None:
    async with fresh() as node:
        await refer(node, "room:a", "room:b")
        await refer(node, "room:a", "room:c", relation="site:above", valid_until="2026-11-20T07:55:50Z")
        assert len(await neighbours(node, "room:a")) == 2
        await refer(node, "room:a", "room:b", confidence=0.0)
        assert await neighbours(node, "room:a") == [("room:c", 1)]
        node.bench.wall_ms += 60_000
        assert await neighbours(node, "room:c") == []


async def test_pages_go_on_where_the_last_one_ended_for_five_minutes() -> None:
    async with fresh() as node:
        for number in range(5):
            await refer(node, "room:hub", f"room:{number}", relation=f"site:{number}")
        first = await node.get("/v1/graph/neighbors", entity="room:hub", scope="local", page_size=3)
        cursor = first["next_cursor"]
        rest = await neighbours(node, "room:hub", page_size=3, cursor=cursor)
        assert [name for name, _ in rest] == ["room:3", "room:4"]
        assert first["total_hint"] == 5
        await node.get("/v1/graph/neighbors", 400, entity="room:other", scope="local", cursor=cursor)
        await node.get("/v1/graph/neighbors", 400, entity="room:hub", scope="local", cursor="nonsense")
        node.bench.wall_ms += 301_000
        late = await node.get("/v1/graph/neighbors", 400, entity="room:hub", scope="local", cursor=cursor)
        assert late["code"] == "cursor_expired"


async def test_what_is_too_far_or_not_said_is_refused() -> None:
    async with fresh() as node:
        deep = await node.get("/v1/graph/neighbors", 400, entity="a:b", scope="local", depth=4)
        assert deep["code"] == "graph_depth_exceeded"
        await node.get("/v1/graph/neighbors", 422, entity="a:b", scope="local", depth=0)
        await node.get("/v1/graph/neighbors", 422, entity="a:b")
        await node.get("/v1/graph/neighbors", 422, scope="local")
