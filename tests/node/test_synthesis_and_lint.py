"""Synthesis in both forms, and lint (http-api 3.7, 3.9, 6.1, 6.3; published vectors in our words)."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core import limits
from tests.node.api import ask, caller, read
from tests.node.fresh import Fresh, fresh


def text(words: str) -> dict[str, str]:
    return {"type": "text", "v": words}


async def test_an_empty_scope_has_an_empty_synthesis() -> None:
    async with fresh() as node:
        found = await node.get("/v1/scopes/team/synthesize")
        del found["synthesized_at"]
        assert found == {
            "scope": "team", "fact_count": 0, "facts": [], "contradiction_count": 0, "mean_confidence": 0.0,
            "freshest_timestamp": None, "oldest_timestamp": None, "expired_fact_count": 0,
        }  # fmt: skip
        await node.get("/v1/scopes/everywhere/synthesize", 400)


async def test_the_surest_facts_come_first_and_numbers_stay_numbers() -> None:
    async with fresh() as node:
        await node.say(entity="a:1", value={"type": "number", "v": 42}, confidence=0.5)
        await node.say(entity="a:2", value={"type": "boolean", "v": True}, confidence=0.9)
        await node.say(entity="a:3", value=text("gone"), valid_until="2026-11-20T07:55:45Z")
        await node.say(entity="a:4", value=text("taken back"))
        await node.say(entity="a:4", value=text("taken back"), confidence=0.0)
        node.bench.wall_ms += 10_000
        found = await node.get("/v1/scopes/local/synthesize")
        assert [fact["value"] for fact in found["facts"]] == [
            {"type": "boolean", "v": True}, {"type": "number", "v": 42.0},
        ]  # fmt: skip
        assert found["mean_confidence"] == pytest.approx(0.7)
        assert found["freshest_timestamp"] == found["facts"][0]["timestamp"]
        assert found["oldest_timestamp"] == found["facts"][1]["timestamp"]
        with_expired = await node.get("/v1/scopes/local/synthesize", include_expired="true")
        assert (with_expired["fact_count"], with_expired["expired_fact_count"]) == (3, 1)
        assert (await node.get("/v1/scopes/local/synthesize", limit=1))["fact_count"] == 1


async def test_one_assertion_contradicts_nothing_two_do_and_a_resolution_ends_it() -> None:
    async with fresh() as node:
        await node.say(source="agent:one")
        assert (await node.get("/v1/scopes/local/synthesize"))["contradiction_count"] == 0
        winner = await node.say(source="agent:two", value=text("fine"))
        before = (await node.get("/v1/scopes/local/synthesize"))["contradiction_count"]
        assert before == 2
        (conflict,) = (await node.get("/v1/conflicts"))["conflicts"]
        await node.post(f"/v1/conflicts/{conflict['conflict_id']}/resolve", {"winning_fact_id": winner["id"]}, 200)
        after = await node.get("/v1/scopes/local/synthesize")
        assert (after["contradiction_count"], [fact["id"] for fact in after["facts"]]) == (0, [winner["id"]])


async def test_a_slot_has_one_entry_with_the_best_value_against_it() -> None:
    async with fresh() as node:
        low = await node.say(source="agent:one", value=text("ok"), confidence=0.6)
        high = await node.say(source="agent:two", value=text("degraded"), confidence=0.75)
        await node.say(entity="a:weak", confidence=0.2)
        found = await node.post("/v1/synthesis", {"scope": "local", "min_confidence": 0.5}, 200)
        (entry,) = found["summary"]
        assert (entry["value"], entry["confidence"], entry["fact_id"]) == (text("degraded"), 0.75, high["id"])
        assert (entry["alt_value"], entry["alt_confidence"], entry["alt_fact_id"]) == (text("ok"), 0.6, low["id"])
        assert (found["fact_count"], found["contradiction_count"], found["filtered_count"]) == (3, 1, 1)
        one = await node.post("/v1/synthesis", {"scope": "local", "entity": "A:Weak"}, 200)
        assert [each["entity"] for each in one["summary"]] == ["a:weak"]
        assert "alt_value" not in one["summary"][0]
        await node.post("/v1/synthesis", {"scope": "everywhere"}, 400)
        await node.post("/v1/synthesis", {"scope": "local", "min_confidence": 2}, 422)


# --- lint ---


async def lint(node: Fresh, *checks: str, **members: Any) -> list[tuple[str, str, str, str | None]]:
    """Check, severity, entity and relation of each finding."""
    found = await node.post("/v1/lint", {"scope": "local", "checks": list(checks)} | members, 200)
    return [(each["check"], each["severity"], each["entity"], each["relation"]) for each in found["findings"]]


async def test_a_clean_scope_has_no_findings_and_says_what_was_run() -> None:
    async with fresh() as node:
        await node.say()
        found = await node.post("/v1/lint", {"scope": "local"}, 200)
        checks = ["contradiction", "stale", "orphan", "broken_ref", "namespacing", "schema"]
        assert (found["findings"], found["checks_run"], found["fact_count"]) == ([], checks, 1)
        some = await node.post("/v1/lint", {"scope": "local", "checks": ["orphan", "stale"]}, 200)
        assert some["checks_run"] == ["stale", "orphan"]


async def test_an_open_conflict_is_an_error_that_names_both_facts() -> None:
    async with fresh() as node:
        one = await node.say(entity="a:b", source="agent:one")
        two = await node.say(entity="a:b", source="agent:two", value=text("fine"))
        found = await node.post("/v1/lint", {"scope": "local"}, 200)
        (finding,) = found["findings"]
        assert (finding["check"], finding["severity"], finding["relation"]) == (
            "contradiction",
            "error",
            "maint:status",
        )
        assert sorted(finding["fact_ids"]) == sorted([one["id"], two["id"]])
        assert await lint(node, entity="a:other") == []
        assert await lint(node, scope="team") == []


async def test_what_has_passed_is_a_warning_and_what_soon_will_a_remark() -> None:
    async with fresh() as node:
        await node.say(entity="a:past", valid_until="2026-11-20T07:55:45Z")
        await node.say(entity="a:soon", valid_until="2026-11-20T07:56:30Z")
        node.bench.wall_ms += 5_000
        assert await lint(node, "stale") == [("stale", "warning", "a:past", "maint:status")]
        ahead = await lint(node, "stale", stale_lookahead_s=120)
        assert ahead[1:] == [("stale", "info", "a:soon", "maint:status")]


async def test_an_entity_of_which_nothing_is_live_is_an_orphan() -> None:
    async with fresh() as node:
        await node.say(entity="lint-test:orphan")
        await node.say(entity="lint-test:orphan", confidence=0.0)
        await node.say(entity="lint-test:alive")
        await node.say(entity="lint-test:alive", relation="maint:other", confidence=0.0)
        assert await lint(node, "orphan") == [("orphan", "info", "lint-test:orphan", None)]


async def test_a_reference_to_nothing_is_broken_and_one_that_hands_over_is_an_error() -> None:
    async with fresh() as node:
        await node.say(entity="a:known")
        for relation, target in (("site:in", "a:nowhere"), ("intent:handoff_to", "a:nobody"), ("site:by", "A:Known")):
            await node.say(entity="a:b", relation=relation, value={"type": "ref", "v": target})
        assert await lint(node, "broken_ref") == [
            ("broken_ref", "error", "a:b", "intent:handoff_to"), ("broken_ref", "warning", "a:b", "site:in"),
        ]  # fmt: skip


async def test_a_relation_without_a_prefix_is_told_once_for_each_entity() -> None:
    async with fresh() as node:
        await node.say(entity="a:b", relation="status", source="agent:one")
        await node.say(entity="a:b", relation="status", source="agent:two")
        assert await lint(node, "namespacing") == [("namespacing", "warning", "a:b", "status")]


@pytest.mark.parametrize(
    ("members", "status"),
    [({}, 422), ({"scope": "everywhere"}, 400), ({"scope": "local", "checks": ["spelling"]}, 422),
     ({"scope": "local", "stale_lookahead_s": -1}, 422)],
)  # fmt: skip
async def test_a_lint_that_cannot_be_meant_is_refused(members: dict[str, Any], status: int) -> None:
    async with fresh() as node:
        await node.post("/v1/lint", members, status)


async def test_a_large_scope_is_linted_by_a_job_that_its_owner_alone_can_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_ROWS_MIN", 2)
    async with fresh() as node:
        for number in range(3):
            await node.say(entity=f"a:{number}", relation="status")
        started = await node.post("/v1/lint", {"scope": "local"}, 202)
        assert (started["status"], started["estimated_s"]) == ("pending", 10)
        done = await node.get(f"/v1/lint/jobs/{started['job_id']}")
        assert (done["status"], done["scope"], len(done["findings"]), done["fact_count"]) == ("done", "local", 3, 3)
        await node.get("/v1/lint/jobs/unknown", 404)


async def test_a_narrower_key_of_its_owner_cannot_fetch_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_ROWS_MIN", 0)
    async with fresh() as node:
        await node.say(scope="team")
        bench, wide, narrow = node.bench, caller("read"), caller("read", scopes=("public",))
        job = read(await ask(bench, "POST", "/v1/lint", {"scope": "team"}, by=wide), 202)["job_id"]
        assert read(await ask(bench, "GET", f"/v1/lint/jobs/{job}", by=narrow), 404)["code"] == "job_not_found"
        assert read(await ask(bench, "GET", f"/v1/lint/jobs/{job}", by=wide))["fact_count"] == 1
