"""Contradictions as http-api 3.6 and 5 have them, one conflict set per slot as DESIGN.md wants it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.node.fresh import Fresh, fresh

RECORD = {
    "conflict_id", "fact_a", "fact_b", "status", "resolved_by", "detected_at", "members", "resolution_note",
    "member_count",
}  # fmt: skip


async def disagree(node: Fresh, count: int = 2, **changes: Any) -> list[dict[str, Any]]:
    """So many facts that contradict each other, each of another source."""
    values = [{"value": {"type": "string", "v": f"v{n}"}, "source": f"agent:{n}", **changes} for n in range(count)]
    return [await node.say(**value) for value in values]


async def conflicts(node: Fresh, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await node.get("/v1/conflicts", **query))["conflicts"]
    return found


async def test_two_values_make_one_conflict_with_both_facts_whole() -> None:
    async with fresh() as node:
        assert await node.get("/v1/conflicts") == {"conflicts": [], "cursor": None, "has_more": False}
        old, new = await disagree(node)
        (conflict,) = await conflicts(node, status="unresolved")
        assert set(conflict) == RECORD
        assert conflict["conflict_id"].startswith("stigmem:conflict:")
        assert (conflict["fact_a"]["id"], conflict["fact_b"]["id"]) == (new["id"], old["id"])
        assert len(conflict["fact_a"]) == len(conflict["fact_b"]) == 27
        assert (conflict["status"], conflict["resolved_by"]) == ("unresolved", None)
        assert conflict["detected_at"] == new["timestamp"]
        assert await node.get(f"/v1/conflicts/{conflict['conflict_id']}") == conflict
        assert await conflicts(node, status="resolved") == []
        told = await node.get("/v1/conflicts", 422, status="whatever")
        assert told["detail"] == "status must be one of resolved, unresolved"


async def test_many_values_are_still_one_conflict() -> None:
    async with fresh() as node:
        facts = await disagree(node, 5)
        (conflict,) = await conflicts(node)
        assert conflict["members"] == [fact["id"] for fact in facts]


@pytest.mark.parametrize(
    "second",
    [
        {"source": "agent:other"}, {"confidence": 0.5}, {"entity": "user:other"}, {"relation": "maint:other"},
        {"scope": "team", "value": {"type": "string", "v": "ok"}}, {"confidence": 0.0, "source": "agent:test"},
        {"value": {"type": "string", "v": "ok"}, "confidence": 0.0},
    ],
)  # fmt: skip
async def test_what_is_no_contradiction(second: dict[str, Any]) -> None:
    async with fresh() as node:
        await node.say()
        assert (await node.say(**second))["contradicted"] is False
        assert await conflicts(node) == []


async def test_types_differ_even_when_the_text_is_equal_and_low_confidence_contradicts_too() -> None:
    async with fresh() as node:
        await node.say(value={"type": "string", "v": "true"}, confidence=0.9)
        other = {"value": {"type": "boolean", "v": True}, "confidence": 0.1, "source": "agent:other"}
        assert (await node.say(**other))["contradicted"] is True


async def test_system_facts_and_expired_ones_do_not_contradict() -> None:
    async with fresh() as node:
        await disagree(node, relation="stigmem:ttl")
        await node.say(valid_until="2026-11-20T07:55:44.5Z")
        node.bench.wall_ms += 5_000
        assert (await node.say(value={"type": "string", "v": "ok"}))["contradicted"] is False
        assert await conflicts(node) == []


async def test_a_resolution_shows_the_winner_and_keeps_the_note() -> None:
    async with fresh() as node:
        old, new = await disagree(node, scope="team")
        (conflict,) = await conflicts(node)
        target = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
        body = {"winning_fact_id": old["id"], "resolution_note": "field visit on 4 March"}
        answer = await node.post(target, body, 200)
        assert set(answer) == {"resolution_fact_id", "conflict_status"}
        assert answer["conflict_status"] == "resolved"
        (settled,) = await conflicts(node, status="resolved")
        assert (settled["conflict_id"], settled["status"]) == (conflict["conflict_id"], "resolved")
        assert settled["resolved_by"] == answer["resolution_fact_id"]
        assert settled["resolution_note"] == "field visit on 4 March"
        page = await node.get("/v1/facts", entity=old["entity"])
        assert [(fact["id"], fact["contradicted"]) for fact in page["facts"]] == [(old["id"], False)]
        assert await conflicts(node, status="unresolved") == []
        fact = await node.get(f"/v1/facts/{answer['resolution_fact_id']}")
        assert (fact["entity"], fact["relation"], fact["scope"], fact["source"], fact["confidence"], fact["cid"]) == (
            f"stigmem:resolution:{conflict['conflict_id']}", old["relation"], "team", "anon:trusted", 1.0, None,
        )  # fmt: skip
        assert fact["value"] == old["value"]
        assert (await node.post(target, body, 409))["detail"] == "conflict already resolved"
        assert (await node.get(f"/v1/facts/{new['id']}"))["id"] == new["id"]


async def test_a_new_value_takes_precedence_and_stands_afterwards() -> None:
    async with fresh() as node:
        old, _ = await disagree(node)
        (conflict,) = await conflicts(node)
        body = {"winning_fact_id": old["id"], "new_value": {"type": "string", "v": "third"}}
        await node.post(f"/v1/conflicts/{conflict['conflict_id']}/resolve", body, 200)
        (fact,) = (await node.get("/v1/facts", entity=old["entity"]))["facts"]
        assert fact["value"]["v"] == "third"


async def test_a_contradiction_after_a_resolution_is_another_conflict() -> None:
    async with fresh() as node:
        old, _ = await disagree(node)
        (first,) = await conflicts(node)
        await node.post(f"/v1/conflicts/{first['conflict_id']}/resolve", {"winning_fact_id": old["id"]}, 200)
        assert (await node.say(value={"type": "string", "v": "later"}))["contradicted"] is True
        (second,) = await conflicts(node, status="unresolved")
        assert second["conflict_id"] != first["conflict_id"]
        assert {entry["conflict_id"] for entry in await conflicts(node)} == {
            first["conflict_id"],
            second["conflict_id"],
        }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422), ({"winning_fact_id": None, "new_value": None}, 422), ({"winning_fact_id": "nobody"}, 422),
        ({"new_value": {"type": "boolean", "v": "yes"}}, 422),
        ({"new_value": {"type": "string", "v": "x" * 70_000}}, 413),
        ({"new_value": {"type": "string", "v": "x", "interpret_as": "instruction"}}, 422),
        ({"winning_fact_id": "nobody", "resolution_note": "x" * 2_049}, 422), ([], 422),
    ],
)  # fmt: skip
async def test_a_resolution_that_settles_nothing_is_refused(body: Any, status: int) -> None:
    async with fresh() as node:
        await disagree(node)
        (conflict,) = await conflicts(node)
        assert "detail" in await node.post(f"/v1/conflicts/{conflict['conflict_id']}/resolve", body, status)
        assert (await conflicts(node))[0]["status"] == "unresolved"


async def test_an_unknown_conflict_is_not_found() -> None:
    async with fresh() as node:
        await node.get("/v1/conflicts/stigmem:conflict:00000000-0000-0000-0000-000000000000", 404)
        await node.post("/v1/conflicts/nobody/resolve", {"winning_fact_id": "x"}, 404)


async def test_conflicts_come_in_pages_that_repeat_and_lose_none() -> None:
    async with fresh() as node:
        for number in range(10):
            await disagree(node, entity=f"user:{number}")
        found: list[str] = []
        cursor, more = "", True
        while more:
            page = await node.get("/v1/conflicts", status="unresolved", limit=3, cursor=cursor)
            found += [entry["fact_a"]["entity"] for entry in page["conflicts"]]
            cursor, more = page["cursor"], page["has_more"]
            assert more == (cursor is not None)
        assert found == [f"user:{number}" for number in range(9, -1, -1)]
        for query in ("limit=0", "limit=501"):
            await node.get(f"/v1/conflicts?{query}", 422)
        await node.get("/v1/conflicts?cursor=x", 400)


async def test_two_who_resolve_at_the_same_time_are_heard_one_after_the_other() -> None:
    async with fresh() as node:
        old, new = await disagree(node)
        (conflict,) = await conflicts(node)
        target = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
        assert (await node.post(target, {"winning_fact_id": old["id"]}, 200))["conflict_status"] == "resolved"
        await node.post(target, {"winning_fact_id": new["id"]}, 409)
