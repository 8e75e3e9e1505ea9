"""Queries as http-api 3.4 has them: filters, order, pages, totals, and what is left out unless asked for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.node.fresh import Fresh, fresh


async def ids(node: Fresh, **query: Any) -> list[str]:
    """The ids that a query lists."""
    return [fact["id"] for fact in (await node.get("/v1/facts", **query))["facts"]]


async def test_an_empty_node_and_an_unknown_entity_give_an_empty_page() -> None:
    async with fresh() as node:
        empty = {"facts": [], "total": 0, "cursor": None, "hidden_by_conflict": 0, "tombstone_notices": []}
        assert await node.get("/v1/facts") == empty
        assert await node.get("/v1/facts", entity="stigmem://unknown.example/thing") == empty
        assert await node.get("/v1/facts", entity="   ") == empty


async def test_the_total_is_that_of_the_page_in_body_and_header() -> None:
    async with fresh() as node:
        for number in range(5):
            await node.say(entity=f"user:{number}")
        response = await node.ask("GET", "/v1/facts?limit=3")
        assert response.headers["x-total-count"] == "3"
        assert (await node.get("/v1/facts"))["total"] == 5


async def test_each_filter_picks_what_it_names() -> None:
    async with fresh() as node:
        one = (await node.say(entity="stigmem://testnode/device/a", relation="maint:x", source="agent:one"))["id"]
        two = (await node.say(entity="user:Bob", relation="maint:y", source="Agent:Two", scope="team"))["id"]
        assert await ids(node, entity="STIGMEM://x") == []
        assert await ids(node, entity="stigmem://TESTNODE/Device/A") == [one]
        assert await ids(node, entity=" USER:bob ") == [two]
        assert await ids(node, relation="maint:y") == [two]
        assert await ids(node, relation="MAINT:y") == []
        assert await ids(node, source="AGENT:two") == [two]
        assert await ids(node, scope="local") == [one]
        assert await ids(node, entity="user:bob", relation="maint:y", scope="team") == [two]
        assert await ids(node, entity="user:bob", source="agent:one") == []
        assert await ids(node, entity="", scope="") == [two, one]  # empty is absent


async def test_confidence_and_time_bound_what_is_listed() -> None:
    async with fresh() as node:
        weak = await node.say(entity="user:weak", confidence=0.2)
        strong = await node.say(entity="user:strong", confidence=0.9)
        gone = await node.say(entity="user:gone", confidence=0.0)
        assert await ids(node) == [strong["id"], weak["id"]]
        for asked in ({"min_confidence": 0}, {"include_retracted": "true"}, {"include_contradicted": "true"}):
            assert await ids(node, **asked) == [gone["id"], strong["id"], weak["id"]]
        assert await ids(node, include_contradicted="true", include_retracted="false") == [strong["id"], weak["id"]]
        assert await ids(node, min_confidence=0.2) == [strong["id"], weak["id"]]
        assert await ids(node, min_confidence=1) == []
        assert await ids(node, min_confidence=0, after=weak["timestamp"]) == [gone["id"], strong["id"]]
        assert await ids(node, min_confidence=0, after=strong["timestamp"].replace("+00:00", "Z")) == [gone["id"]]
        shown = await node.get(f"/v1/facts?after={weak['timestamp']}")  # the + unescaped, as careless clients send it
        assert shown["total"] == 1


async def test_facts_in_conflict_and_expired_ones_are_left_out_unless_asked_for() -> None:
    async with fresh() as node:
        first = await node.say()
        second = await node.say(value={"type": "string", "v": "ok"}, source="agent:other")
        assert (first["contradicted"], second["contradicted"]) == (False, True)
        late = await node.say(entity="user:late", valid_until="2026-11-20T07:55:45Z")
        node.bench.wall_ms += 5_000
        assert await ids(node) == []
        both = await node.get("/v1/facts", include_contradicted="true")
        assert [fact["id"] for fact in both["facts"]] == [second["id"], first["id"]]
        assert all(fact["contradicted"] for fact in both["facts"])
        assert (await node.get(f"/v1/facts/{first['id']}"))["contradicted"] is True
        assert await ids(node, include_expired="yes") == [late["id"]]
        assert await ids(node, source="agent:other", min_confidence=0.5, include_contradicted="1", limit=1) == [
            second["id"]
        ]


async def test_pages_repeat_and_lose_nothing_while_others_write() -> None:
    async with fresh() as node:
        before = [(await node.say(entity=f"user:{number}"))["id"] for number in range(10)]
        found: list[str] = []
        cursor: str | None = ""
        pages = 0
        while cursor is not None:
            page = await node.get("/v1/facts", limit=3, cursor=cursor)
            found += [fact["id"] for fact in page["facts"]]
            cursor = page["cursor"]
            pages += 1
            await node.say(entity=f"user:late-{pages}")
        assert found == before[::-1]
        assert pages == 4


async def test_a_page_that_is_just_full_is_the_last_one() -> None:
    async with fresh() as node:
        for number in range(3):
            await node.say(entity=f"user:{number}")
        assert (await node.get("/v1/facts", limit=3))["cursor"] is None
        assert (await node.get("/v1/facts", limit=2))["cursor"] is not None


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("scope=galaxy", 400), ("cursor=x", 400), ("cursor=" + "A" * 40, 400), ("limit=0", 422), ("limit=501", 422),
        ("limit=ten", 422), ("limit=1_0", 422), ("limit=%205", 422), ("limit=%EF%BC%95", 422), ("limit=0x5", 422),
        ("limit=99999999999999999999", 422), ("min_confidence=1.1", 422), ("min_confidence=nan", 422),
        ("min_confidence=inf", 422), ("include_expired=maybe", 422), ("attested=perhaps", 422), ("after=later", 422),
        ("limit=5&limit=6", 422), ("scope=public&scope=company", 422),
        ("garden_id=stigmem://testnode/garden/x", 404), ("as_of=x", 400), ("as_of=99999999999999.000", 400),
        ("as_of=2999-01-01", 400),
        ("known_at=x", 422), ("known_at=s:x", 422), ("known_at=s:9", 422), ("known_at=s:0", 422),
        ("known_at=" + "A" * 40, 422),
    ],
)  # fmt: skip
async def test_a_parameter_that_means_nothing_is_refused(query: str, status: int) -> None:
    async with fresh() as node:
        told = await node.get(f"/v1/facts?{query}", status)
        assert isinstance(told["detail"], str)
        if status == 422:
            assert told["errors"][0]["loc"] == ["query", query.partition("=")[0]]


@pytest.mark.parametrize("text", ["true", "1", "yes", "on", "TRUE", "false", "0", "no", "off", "Off"])
async def test_booleans_have_the_usual_spellings(text: str) -> None:
    async with fresh() as node:
        await node.say(valid_until="2026-11-20T07:55:44.5Z")
        node.bench.wall_ms += 5_000
        shown = text.lower() in ("true", "1", "yes", "on")
        assert (await node.get("/v1/facts", include_expired=text))["total"] == shown


async def test_members_that_the_contract_does_not_know_are_ignored_and_what_nobody_signed_is_not_attested() -> None:
    async with fresh() as node:
        await node.say(extra={"deep": [1]})
        assert (await node.get("/v1/facts?include_low_trust=true"))["total"] == 1
        assert (await node.get("/v1/facts", attested="true"))["total"] == 0
        assert (await node.get("/v1/facts", attested="false"))["total"] == 0


async def test_system_facts_are_shown_to_those_who_name_them() -> None:
    async with fresh() as node:
        await node.say(relation="stigmem:ttl")
        await node.say(entity="stigmem:thing:1")
        assert (await node.get("/v1/facts"))["total"] == 0
        assert (await node.get("/v1/facts", relation="stigmem:ttl"))["total"] == 1
        found = (await node.get("/v1/facts", entity="stigmem:thing:1"))["facts"]
        assert found[0]["cid"].startswith("sha256:")
