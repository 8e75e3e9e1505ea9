"""Relations that hold many values: an agent's notes stand side by side, and every reader says so."""

from __future__ import annotations

from typing import Any

from tests.node.fresh import Fresh, fresh

NOTES: dict[str, Any] = {"relation": "memory:note"}


async def note(node: Fresh, text: str, **members: Any) -> Any:
    return await node.say(value={"type": "text", "v": text}, **NOTES, **members)


async def shown(node: Fresh, **query: Any) -> list[str]:
    found = await node.get("/v1/facts", relation="memory:note", limit=100, min_confidence=0.1, **query)
    return sorted(each["value"]["v"] for each in found["facts"])


async def test_twenty_notes_of_one_agent_are_twenty_facts_and_no_conflict() -> None:
    async with fresh() as node:
        for number in range(20):
            await note(node, f"note {number:02}")
        found = await node.get("/v1/facts", relation="memory:note", limit=100)
        assert found["total"] == 20
        assert {each["contradicted"] for each in found["facts"]} == {False}
        assert not any("superseded_by" in each or "supersedes" in each for each in found["facts"])
        assert (await node.get("/v1/conflicts"))["conflicts"] == []


async def test_a_note_that_is_written_again_is_answered_with_the_one_that_stands_also_after_others() -> None:
    async with fresh() as node:
        first = await note(node, "x")
        await note(node, "y")
        again = await note(node, "x")
        assert again["id"] == first["id"]
        await node.say(value={"type": "text", "v": "x"}, confidence=0.0, **NOTES)
        anew = await note(node, "x")
        assert anew["id"] != first["id"]
        assert await shown(node) == ["x", "y"]


async def test_a_note_with_another_expiry_takes_the_place_of_the_same_note_alone() -> None:
    async with fresh() as node:
        first = await note(node, "x")
        await note(node, "y")
        renewed = await note(node, "x", valid_until="2030-01-01T00:00:00Z")
        assert renewed["supersedes"] == first["id"]
        assert await shown(node) == ["x", "y"]
        history = await node.get(f"/v1/facts/{first['id']}/history")
        assert {each["value"]["v"] for each in history["facts"]} == {"x"}


async def test_a_retraction_takes_back_the_note_it_names_or_all_of_its_author() -> None:
    async with fresh() as node:
        for text in ("x", "y", "z"):
            await note(node, text)
        await note(node, "z", source="agent:other")
        await node.say(value={"type": "text", "v": "x"}, confidence=0.0, **NOTES)
        assert await shown(node) == ["y", "z", "z"]
        await node.say(value={"type": "null"}, confidence=0.0, **NOTES)
        assert await shown(node) == ["z"]
        assert (await node.get("/v1/conflicts"))["conflicts"] == []


async def test_in_one_batch_notes_answer_each_other_by_value() -> None:
    async with fresh() as node:
        base = {"entity": "user:alice", "source": "agent:a", "scope": "public", **NOTES}
        facts = [base | {"value": {"type": "text", "v": text}} for text in ("x", "y", "x", "z", "y")]
        await node.ask("POST", "/v1/facts/batch", {"facts": facts})
        assert await shown(node) == ["x", "y", "z"]


async def test_a_denial_of_one_note_hides_that_note_alone_and_settling_it_touches_no_other() -> None:
    async with fresh() as node:
        for text in ("x", "y", "z"):
            await note(node, text)
        for text in ("x", "y"):
            await node.say(value={"type": "text", "v": text}, confidence=0.0, source="agent:other", **NOTES)
        assert await shown(node) == ["z"]
        (conflict,) = (await node.get("/v1/conflicts", status="unresolved"))["conflicts"]
        winner = next(f for f in (await node.get("/v1/facts", include_contradicted="true", relation="memory:note",
                                                 min_confidence=0.1))["facts"] if f["value"]["v"] == "x")  # fmt: skip
        await node.post(f"/v1/conflicts/{conflict['conflict_id']}/resolve", {"winning_fact_id": winner["id"]}, 200)
        assert await shown(node) == ["x", "z"]
        (left,) = (await node.get("/v1/conflicts", status="unresolved"))["conflicts"]
        other = next(f for f in (await node.get("/v1/facts", include_contradicted="true", relation="memory:note",
                                                min_confidence=0.1))["facts"] if f["value"]["v"] == "y")  # fmt: skip
        await node.post(f"/v1/conflicts/{left['conflict_id']}/resolve", {"winning_fact_id": other["id"]}, 200)
        assert await shown(node) == ["x", "y", "z"]
        assert (await node.get("/v1/conflicts", status="unresolved"))["conflicts"] == []


async def test_a_new_value_settles_nothing_where_a_relation_holds_many() -> None:
    async with fresh() as node:
        await note(node, "x")
        await node.say(value={"type": "text", "v": "x"}, confidence=0.0, source="agent:other", **NOTES)
        (conflict,) = (await node.get("/v1/conflicts", status="unresolved"))["conflicts"]
        body = {"new_value": {"type": "text", "v": "w"}}
        await node.post(f"/v1/conflicts/{conflict['conflict_id']}/resolve", body, 422)


async def test_synthesis_has_a_row_for_each_note_and_the_card_each_note() -> None:
    async with fresh() as node:
        for text in ("x", "y"):
            await note(node, text)
            await note(node, text, source="agent:other")
        found = await node.post("/v1/synthesis", {"scope": "local"}, 200)
        assert sorted(row["value"]["v"] for row in found["summary"]) == ["x", "y"]
        assert not any(row["contradicted"] for row in found["summary"])
        recalled = await node.post("/v1/recall", {"query": "x y", "scope": "local"}, 200)
        assert len(recalled["facts"]) >= 2
