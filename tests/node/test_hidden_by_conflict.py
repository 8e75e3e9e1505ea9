"""An agent that says something new about the same thing is told that it sees nothing because of a conflict.

People met `total: 0` after twenty notes under one relation, and retractions that looked like facts.
"""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core import query
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, ask, caller, read, saying
from tests.node.fresh import Fresh, fresh
from tests.node.still import Bench, running


def said(what: Any) -> dict[str, Any]:
    return {"type": "string", "v": what}


async def notes(node: Fresh, count: int = 20, **changes: Any) -> list[Any]:
    """So many notes of as many authors about one thing."""
    return [
        await node.say(relation="memory:role", value=said(f"note {n}"), source=f"agent:{n}", **changes)
        for n in range(count)
    ]


async def test_twenty_values_that_contradict_each_other_are_counted_where_they_are_not_shown() -> None:
    async with fresh() as node:
        await notes(node)
        await node.say(relation="maint:status")
        page = await node.get("/v1/facts", relation="memory:role")
        assert (page["total"], page["hidden_by_conflict"]) == (0, 20)
        page = await node.get("/v1/facts")
        assert (page["total"], page["hidden_by_conflict"]) == (1, 20)
        page = await node.get("/v1/facts", include_contradicted="true")
        assert (page["total"], page["hidden_by_conflict"]) == (21, 0)


@pytest.mark.parametrize("asked", [{"entity": "user:other"}, {"source": "agent:other"}, {"scope": "team"},
                                   {"min_confidence": 1}, {"after": "2030-01-01T00:00:00Z"}])  # fmt: skip
async def test_only_what_would_have_matched_is_counted(asked: dict[str, Any]) -> None:
    async with fresh() as node:
        await notes(node, 3, confidence=0.9)
        assert (await node.get("/v1/facts", **asked))["hidden_by_conflict"] == 0


async def test_what_was_settled_or_has_expired_is_not_hidden_by_a_conflict() -> None:
    async with fresh() as node:
        await notes(node, 2)
        (conflict,) = (await node.get("/v1/conflicts"))["conflicts"]
        target = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
        await node.post(target, {"winning_fact_id": conflict["members"][0]}, 200)
        page = await node.get("/v1/facts")
        assert (page["total"], page["hidden_by_conflict"]) == (1, 0)
        await notes(node, 2, entity="user:brief", valid_until="2026-11-20T07:56:00Z")
        assert (await node.get("/v1/facts"))["hidden_by_conflict"] == 2
        node.bench.wall_ms += 60_000
        assert (await node.get("/v1/facts"))["hidden_by_conflict"] == 0


async def test_the_counts_of_all_pages_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "ROWS_SCANNED_MAX", 4)
    async with fresh() as node:
        for number in range(6):
            await node.say(entity=f"user:{number}")
            await notes(node, 3, entity=f"user:n{number}")
        shown, hidden, cursor = 0, 0, ""
        while cursor is not None:
            page = await node.get("/v1/facts", limit=2, cursor=cursor)
            shown, hidden, cursor = shown + page["total"], hidden + page["hidden_by_conflict"], page["cursor"]
        assert (shown, hidden) == (6, 18)


async def test_conflicts_of_scopes_that_are_closed_to_the_caller_are_not_counted() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED)):
        for scope in ("company", "public"):
            for number in range(2):
                bench.wall_ms += 1
                body = saying(f"v{number}", scope=scope, source=f"agent:{number}")
                read(await ask(bench, "POST", "/v1/facts", body), 201)
        page = read(await ask(bench, "GET", "/v1/facts", by=caller("read", scopes=("public",))))
        assert page["hidden_by_conflict"] == 2


async def test_what_was_taken_back_is_not_listed_beside_what_stands() -> None:
    async with fresh() as node:
        stands = await node.say(entity="user:a")
        await node.say(entity="user:b")
        await node.say(entity="user:b", value=said("retracted"), confidence=0.0)
        page = await node.get("/v1/facts")
        assert [fact["id"] for fact in page["facts"]] == [stands["id"]]
        assert page["hidden_by_conflict"] == 0
        asked = await node.get("/v1/facts", include_retracted="true")
        assert [fact["confidence"] for fact in asked["facts"]] == [0.0, 1.0]
