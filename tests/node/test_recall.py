"""Recall as http-api 3.10 and 6.4 have it, and what it must not tell."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, WRITER, Peer, ask, caller, read, saying
from tests.node.fresh import Fresh, fresh
from tests.node.still import Bench, running
from tests.node.test_conformance_queries import ids

MEMBERS = [
    "recall_id", "query_hash", "facts", "content", "instructions", "total_scored", "token_budget", "tokens_used",
    "truncated", "tombstone_notices", "chain_proof",
]  # fmt: skip
SCORED = ["fact", "score", "score_breakdown", "hop_distance", "token_estimate", "from_card"]
BREAKDOWN = ["lexical", "semantic", "graph", "source_trust", "recency", "weighted_total"]


async def recall(node: Fresh, query: str, /, **members: Any) -> Any:
    return await node.post("/v1/recall", {"query": query} | members, 200)


async def texts(node: Fresh, query: str, /, **members: Any) -> list[Any]:
    """The values recalled, best first."""
    return [each["fact"]["value"]["v"] for each in (await recall(node, query, **members))["facts"]]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "v": words}


async def test_an_answer_has_the_members_of_the_contract() -> None:
    async with fresh() as node:
        await node.say(value=text("the pump is degraded"))
        found = await recall(node, "pump degraded")
        assert list(found) == MEMBERS
        assert (len(found["recall_id"]), len(found["query_hash"])) == (36, 64)
        (scored,) = found["facts"]
        assert list(scored) == SCORED
        assert list(scored["score_breakdown"]) == BREAKDOWN
        assert scored["score"] == scored["score_breakdown"]["weighted_total"] == 0.611111
        assert found["content"] == found["facts"]
        assert (found["total_scored"], found["truncated"], found["token_budget"]) == (1, False, 4000)
        assert found["tokens_used"] == scored["token_estimate"]
        again = await recall(node, "pump degraded")
        assert again["recall_id"] != found["recall_id"]
        assert again["query_hash"] == found["query_hash"]


async def test_nothing_found_is_an_empty_answer_and_no_error() -> None:
    async with fresh() as node:
        await node.say()
        found = await recall(node, "xylophone")
        nothing = (found["facts"], found["total_scored"], found["tokens_used"], found["truncated"])
        assert nothing == ([], 0, 0, False)


async def test_a_budget_that_nothing_fits_gives_nothing_and_says_so() -> None:
    async with fresh() as node:
        await node.say()
        found = await recall(node, "pump", token_budget=1)
        assert (found["facts"], found["tokens_used"], found["truncated"]) == ([], 0, True)


@pytest.mark.parametrize(
    ("members", "status"),
    [({"query": ""}, 422), ({}, 422), ({"query": "a", "token_budget": 0}, 422), ({"query": "a", "depth": 4}, 422),
     ({"query": "a", "limit": 501}, 422), ({"query": "a", "weights": {"graph": 2}}, 422),
     ({"query": "a", "scope": "everywhere"}, 400), ({"query": "a", "as_of": "2999-01-01"}, 400)],
)  # fmt: skip
async def test_what_cannot_be_meant_is_refused(members: dict[str, Any], status: int) -> None:
    async with fresh() as node:
        await node.post("/v1/recall", members, status)


async def test_both_forms_answer_alike() -> None:
    async with fresh() as node:
        await node.say(value=text("the pump is degraded"))
        posted = await recall(node, "pump degraded", limit=5)
        got = await node.get("/v1/recall", query="pump degraded", limit=5)
        del posted["recall_id"], got["recall_id"]
        assert posted == got
        short = await node.get("/v1/recall", query="pump", legacy_format="true")
        assert not {"content", "instructions"} & set(short)
        response = await node.ask("POST", "/v1/recall?legacy_format=true", {"query": "pump"})
        assert response.headers["x-total-count"] == "1"
        assert b'"instructions"' not in response.body


async def test_what_lost_ended_or_expired_is_not_recalled_and_what_is_contested_comes_last() -> None:
    async with fresh() as node:
        await node.say(entity="a:1", value=text("pump red"), valid_until="2026-11-20T07:55:44.002+00:00")
        await node.say(entity="a:2", value=text("pump blue"))
        await node.say(entity="a:2", value=text("retracted"), confidence=0.0)
        await node.say(entity="a:3", value=text("pump green"), source="agent:one")
        await node.say(entity="a:3", value=text("pump grey"), source="agent:two")
        await node.say(entity="a:4", value=text("a long story in which a pump is named once among much else"))
        node.bench.wall_ms += 60_000
        found = await recall(node, "pump")
        assert found["facts"][0]["fact"]["value"]["v"].startswith("a long story")
        assert [each["fact"]["contradicted"] for each in found["facts"]] == [False, True, True]


async def test_instructions_are_told_apart_from_content() -> None:
    bench = Bench(NOW_MS)
    writer = caller("read", "write", "instruction:write")
    async with running(bench, NodeSettings(seed=SEED)):
        value = {"type": "text", "v": "oil the pump daily", "interpret_as": "instruction"}
        read(await ask(bench, "POST", "/v1/facts", saying(value=value), by=writer), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("pump ok", entity="a:b"), by=writer), 201)
        found = read(await ask(bench, "POST", "/v1/recall", {"query": "pump", "scope": "public"}))
        assert [each["fact"]["value"]["v"] for each in found["instructions"]] == ["oil the pump daily"]
        assert [each["fact"]["value"]["v"] for each in found["content"]] == ["pump ok"]


async def test_facts_of_an_entity_that_the_best_hit_names_join_with_their_distance() -> None:
    async with fresh() as node:
        await node.say(entity="room:b12", relation="site:colour", value=text("green walls"))
        node.bench.wall_ms += 3_600_000
        await node.say(entity="device:pump-7", relation="site:in", value={"type": "ref", "v": "Room:B12"})
        found = (await recall(node, "pump"))["facts"]
        assert [(each["fact"]["entity"], each["hop_distance"]) for each in found] == [
            ("device:pump-7", 0), ("room:b12", 1),
        ]  # fmt: skip
        assert found[1]["score_breakdown"]["graph"] == 0.5
        assert len((await recall(node, "pump", include_neighbors=False))["facts"]) == 1
        assert len((await recall(node, "pump", weights={"graph": 0.0}))["facts"]) == 1


async def test_an_explanation_adds_up() -> None:
    async with fresh() as node:
        await node.say(entity="a:1", value=text("Did Ada oil the pump?"), confidence=0.5)
        await node.say(entity="a:2", value=text("Yes she did"), source="person:ada")
        for scored in (await recall(node, "Did Ada oil it in November?", explain=True))["facts"]:
            told = scored["explain"]
            names = ("words", "surroundings", "answer", "date", "subject")
            assert sum(told[name] for name in names) == pytest.approx(told["lexical_score"])
            assert sum(told[name] for name in ("by_lexical", "by_graph", "by_recency")) == pytest.approx(told["base"])
            product = told["base"] * told["confidence"] * told["contradiction_factor"]
            assert product == pytest.approx(scored["score"], abs=1e-6)


async def test_what_is_written_after_the_first_recall_is_found_too() -> None:
    async with fresh() as node:
        assert await texts(node, "pump") == []
        for number in range(250):
            await node.say(entity=f"a:{number}", value=text(f"valve {number}"))
        await node.say(value=text("pump"))
        assert (await texts(node, "pump", include_neighbors=False)) == ["pump"]
        assert len(await ids(node, limit=500)) == 251


async def test_no_answer_depends_on_what_the_caller_may_not_read() -> None:
    """Two worlds that differ only in a scope that is closed to the caller: every member of an answer is the same."""
    answers: list[Any] = []
    for secrets in (0, 30):
        bench = Bench(NOW_MS)
        stranger = caller("read", scopes=("public",))
        async with running(bench, NodeSettings(seed=SEED)):
            for number in range(5):
                bench.wall_ms = NOW_MS + number
                body = saying(f"pump {number} is degraded", entity=f"a:{number}")
                read(await ask(bench, "POST", "/v1/facts", body), 201)
            for number in range(secrets):
                value = {"type": "ref", "v": f"a:{number}"}
                body = saying(entity=f"b:{number}", relation="pump:degraded", value=value, scope="team")
                read(await ask(bench, "POST", "/v1/facts", body), 201)
            bench.wall_ms = NOW_MS + 1_000
            given = {"query": "degraded pump 3", "scope": "public", "explain": True}
            found = read(await ask(bench, "POST", "/v1/recall", given, by=stranger))
            assert len(found["facts"]) == 5
            del found["recall_id"]
            refused = await ask(bench, "POST", "/v1/recall", given | {"scope": "team"}, by=stranger)
            assert refused.status == 403
            answers.append(found)
    assert answers[0] == answers[1]


async def test_a_caller_without_the_permission_to_read_is_refused() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED)):
        body = {"query": "pump"}
        assert (await ask(bench, "POST", "/v1/recall", body, by=caller("write"))).status == 403
        assert (await bench.ask(Request("POST", "/v1/recall", {}, b'{"query": "pump"}'))).status == 401
        assert (await ask(bench, "POST", "/v1/recall", body, by=WRITER)).status == 200


async def test_a_session_that_recalled_may_not_write_back_what_it_read_as_new() -> None:
    async with fresh() as node:
        await node.say()
        recalled = await node.ask("POST", "/v1/recall", {"query": "pump"}, stigmem_session="s1")
        assert recalled.status == 200
        written = await node.ask("POST", "/v1/facts", saying(scope="local", entity="a:b"), stigmem_session="s1")
        assert written.status == 403


async def test_what_a_session_derives_from_what_it_recalled_stays_on_its_node() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, scopes=("public",))
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        session = {"stigmem-session": "s1"}
        source = read(await ask(bench, "POST", "/v1/facts", saying("degraded"), by=WRITER), 201)
        recalled = read(
            await ask(
                bench, "POST", "/v1/recall", {"query": "degraded", "scope": "public"}, by=WRITER, headers=session
            ),
            200,
        )
        assert [each["fact"]["id"] for each in recalled["facts"]] == [source["id"]]
        summary = saying("the pump needs a service", entity="device:summary") | {
            "write_mode": "summarize_with_provenance", "derived_from": [{"fact_id": source["id"]}],
        }  # fmt: skip
        made = read(await ask(bench, "POST", "/v1/facts", summary, by=WRITER, headers=session), 201)
        page = read(await peer.ask("GET", "/v1/federation/facts"), 200)
        assert [each["fact"]["id"] for each in page["facts"]] == [source["id"]]
        assert read(await ask(bench, "GET", f"/v1/facts/{made['id']}", by=WRITER), 200)["id"] == made["id"]
