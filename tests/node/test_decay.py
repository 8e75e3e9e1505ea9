"""Sweeps in both forms (http-api 3.8, 6.2): what ends, what is only counted, and that nobody else hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core import limits
from stigmem.core.decay import DecayPolicy
from stigmem.core.records import SweptFact
from tests.node.fresh import Fresh, fresh

HOUR_MS = 3_600_000


async def texts(node: Fresh, **query: Any) -> list[str]:
    """Entities that a query lists, by name."""
    return sorted(each["entity"] for each in (await node.get("/v1/facts", **query))["facts"])


async def sweep(node: Fresh, query: str = "", status: int = 200) -> Any:
    return await node.post(f"/v1/decay/sweep?{query}", None, status)


async def test_a_sweep_without_thresholds_ends_nothing() -> None:
    async with fresh() as node:
        await node.say()
        assert await sweep(node) == {"scanned": 0, "decayed": 0, "dry_run": False}


async def test_what_is_unsure_ends_and_a_synthesis_has_nothing_below_the_threshold() -> None:
    async with fresh() as node:
        await node.say(entity="a:sure", confidence=0.9)
        weak = await node.say(entity="a:weak", confidence=0.1)
        await node.say(entity="a:team", confidence=0.1, scope="team")
        assert await sweep(node, "min_confidence=0.5&scope=local&dry_run=true") == {
            "scanned": 1, "decayed": 0, "dry_run": True,
        }  # fmt: skip
        assert len(await texts(node)) == 3
        assert (await sweep(node, "min_confidence=0.5&scope=local"))["decayed"] == 1
        synthesis = await node.get("/v1/scopes/local/synthesize")
        assert [each["confidence"] for each in synthesis["facts"]] == [0.9]
        assert await texts(node) == ["a:sure", "a:team"]
        assert await sweep(node, "min_confidence=0.5&scope=local") == {"scanned": 0, "decayed": 0, "dry_run": False}
        shown = await node.get(f"/v1/facts/{weak['id']}")
        assert (shown["confidence"], shown["valid_until"]) == (0.1, "2026-11-20T07:55:44.005000+00:00")


async def test_what_is_old_ends_unless_its_own_end_is_set() -> None:
    async with fresh() as node:
        await node.say(entity="a:old")
        await node.say(entity="a:dated", valid_until="2030-01-01T00:00:00Z")
        node.bench.wall_ms += HOUR_MS
        await node.say(entity="a:new")
        assert (await sweep(node, "ttl_seconds=1800"))["decayed"] == 1
        assert await texts(node) == ["a:dated", "a:new"]
        assert (await sweep(node, "ttl_seconds=0"))["decayed"] == 1


async def test_what_was_swept_can_be_said_again() -> None:
    async with fresh() as node:
        first = await node.say()
        await sweep(node, "ttl_seconds=0")
        again = await node.say()
        assert again["id"] != first["id"]
        assert [each["id"] for each in (await node.get("/v1/facts"))["facts"]] == [again["id"]]


async def test_a_sweep_leaves_one_record_a_fact_and_survives_a_restart() -> None:
    async with fresh() as node:
        for number in range(3):
            await node.say(entity=f"a:{number}")
        await sweep(node, "ttl_seconds=0")
        bench = node.bench
    assert sum(isinstance(record, SweptFact) for record in bench.records) == 3
    async with fresh(bench) as node:
        assert await texts(node) == []
        assert len(await texts(node, include_expired="true")) == 3


@pytest.mark.parametrize(
    ("query", "status"), [("scope=everywhere", 400), ("ttl_seconds=-1", 422), ("min_confidence=2", 422)]
)
async def test_a_sweep_that_cannot_be_meant_is_refused(query: str, status: int) -> None:
    async with fresh() as node:
        await sweep(node, query, status)


async def test_a_large_sweep_is_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_ROWS_MIN", 1)
    async with fresh() as node:
        await node.say(entity="a:1")
        await node.say(entity="a:2")
        started = await sweep(node, "ttl_seconds=0", 202)
        await node.bench.settle()
        done = await node.get(f"/v1/decay/jobs/{started['job_id']}")
        assert (done["status"], done["decayed"], started["estimated_s"]) == ("done", 2, 60)
        await node.get(f"/v1/lint/jobs/{started['job_id']}", 404)


# --- policies ---

FADING = DecayPolicy(id="fading", relation="guess:*", mode="confidence", half_life_s=3_600.0)
ENDING = DecayPolicy(id="ending", relation="maint:*", scope="local", mode="retract", ttl_s=1_800.0)


async def swept(node: Fresh, body: dict[str, Any], status: int = 200) -> Any:
    found = await node.post("/v1/decay/sweep", body, status)
    found.pop("swept_at", None)
    return found


async def test_policies_end_and_fade_what_they_name_and_a_dry_run_only_counts() -> None:
    async with fresh(decay_policies=(FADING, ENDING)) as node:
        await node.say(entity="a:old")
        await node.say(entity="a:guess", relation="guess:age", confidence=0.8)
        node.bench.wall_ms += 2 * HOUR_MS
        counted = await swept(node, {"scope": "local", "mode": "dry_run"})
        assert counted == {
            "scope": "local", "mode": "dry_run", "facts_evaluated": 2, "facts_retracted": 0, "facts_reduced": 0,
            "dry_run_would_retract": 1, "dry_run_would_reduce": 1, "policies_applied": ["ending", "fading"],
        }  # fmt: skip
        assert len(await texts(node)) == 2
        done = await swept(node, {"scope": "local"})
        assert (done["facts_retracted"], done["facts_reduced"], done["mode"]) == (1, 1, "policy")
        assert await texts(node) == ["a:guess"]
        (row,) = (await node.get("/v1/scopes/local/synthesize"))["facts"]
        assert row["confidence"] == pytest.approx(0.2, rel=1e-3)
        assert (await swept(node, {"scope": "local"}))["facts_retracted"] == 0


async def test_one_policy_can_be_applied_alone() -> None:
    async with fresh(decay_policies=(FADING, ENDING)) as node:
        await node.say()
        node.bench.wall_ms += HOUR_MS
        assert (await swept(node, {"scope": "local", "policy_id": "fading"}))["facts_evaluated"] == 0
        assert (await swept(node, {"scope": "local", "policy_id": "ending"}))["facts_retracted"] == 1
        await swept(node, {"scope": "local", "policy_id": "unknown"}, 400)
        await swept(node, {"scope": "local", "policy_id": "ending", "mode": "confidence"}, 400)
        await swept(node, {"scope": "everywhere"}, 400)


async def test_the_keeper_sweeps_by_the_settings_once_an_hour() -> None:
    async with fresh(decay_ttl_s=60.0) as node:
        await node.say()
        node.bench.wall_ms += 60_000
        assert len(await texts(node)) == 1
        await node.bench.clock.advance(3_601)
        assert await texts(node) == []


async def test_a_query_for_what_is_sure_goes_by_the_confidence_that_is_read_now() -> None:
    async with fresh(decay_policies=(FADING,)) as node:
        await node.say(entity="a:guess", relation="guess:age", confidence=0.8)
        await node.say(entity="a:known", confidence=0.8)
        assert await texts(node, min_confidence=0.5) == ["a:guess", "a:known"]
        node.bench.wall_ms += 2 * HOUR_MS
        assert await texts(node, min_confidence=0.5) == ["a:known"]
        assert await texts(node, min_confidence=0.1) == ["a:guess", "a:known"]


# --- mode retract ---


async def history(node: Fresh, fact_id: str) -> list[tuple[str, float]]:
    """What was said in the slot of a fact, newest first: who said it, and how surely."""
    found = await node.get(f"/v1/facts/{fact_id}/history", all_authors="true")
    return [(each["source"], each["confidence"]) for each in found["facts"]]


async def test_a_policy_of_mode_retract_takes_own_facts_back_so_that_peers_hear_of_it() -> None:
    async with fresh(decay_policies=(ENDING,)) as node:
        old = await node.say(entity="a:old")
        node.bench.wall_ms += HOUR_MS
        assert (await swept(node, {"scope": "local"}))["facts_retracted"] == 1
        assert await history(node, old["id"]) == [(node.node.node_id, 0.0), ("agent:test", 1.0)]
        shown = await node.get(f"/v1/facts/{old['id']}")
        assert (shown["retracted_by"] is not None, shown["valid_until"]) == (True, None)
        assert not [each for each in node.bench.records if isinstance(each, SweptFact)]
        assert (await swept(node, {"scope": "local"}))["facts_retracted"] == 0
        again = await node.say(entity="a:old")
        assert again["id"] != old["id"]
        assert await texts(node) == ["a:old"]


async def test_what_somebody_else_of_the_node_has_said_lately_is_not_taken_back_with_what_is_old() -> None:
    async with fresh(decay_policies=(ENDING,)) as node:
        old = await node.say(entity="a:old", source="agent:one", value={"type": "string", "v": "red"})
        node.bench.wall_ms += HOUR_MS
        new = await node.say(entity="a:old", source="agent:two", value={"type": "string", "v": "blue"})
        assert (await swept(node, {"scope": "local"}))["facts_retracted"] == 1
        assert len(await history(node, old["id"])) == 2
        assert [each.seq for each in node.bench.records if isinstance(each, SweptFact)] == [1]
        shown = await node.get(f"/v1/facts/{new['id']}")
        assert shown.get("retracted_by") is None


async def test_several_old_words_of_one_slot_are_taken_back_by_one_retraction() -> None:
    async with fresh(decay_policies=(ENDING,)) as node:
        old = await node.say(entity="a:old", source="agent:one", value={"type": "string", "v": "red"})
        await node.say(entity="a:old", source="agent:two", value={"type": "string", "v": "blue"})
        node.bench.wall_ms += HOUR_MS
        assert (await swept(node, {"scope": "local"}))["facts_retracted"] == 2
        assert [source for source, _ in await history(node, old["id"])].count(node.node.node_id) == 1


async def test_nothing_is_taken_back_while_the_clock_is_in_doubt() -> None:
    async with fresh(decay_policies=(ENDING,)) as node:
        old = await node.say(entity="a:old")
        node.bench.wall_ms += HOUR_MS
        node.bench.clock.wall_ms += 2 * HOUR_MS  # it jumps ahead
        assert (await swept(node, {"scope": "local"}))["facts_retracted"] == 0
        assert len(await history(node, old["id"])) == 1
