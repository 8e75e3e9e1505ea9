"""Sending intents and working on them, over the API (http-api 7, spec/intents.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stigmem.node.callers import Principal
from stigmem.node.settings import NodeSettings
from tests.limits.table import edge
from tests.node.api import ADMIN, NOW_MS, SEED, ask, caller, read
from tests.node.fresh import fresh
from tests.node.still import Bench, running

PLANNER, FITTER, LAWYER, BOSS = (
    caller("read", "write", entity=f"stigmem://lab.example/agent/{name}")
    for name in ("planner", "fitter", "lawyer", "boss")
)
NAMES = {each.entity_uri.rpartition("/")[2]: each.entity_uri for each in (PLANNER, FITTER, LAWYER, BOSS)}


def intent(**changes: Any) -> dict[str, Any]:
    """The members of an envelope from the planner to the fitter."""
    return {"from": NAMES["planner"], "to": [NAMES["fitter"]], "goal": "Replace the seal on pump 7"} | changes


@asynccontextmanager
async def keyed() -> AsyncIterator[Bench]:
    """A node whose callers have keys."""
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, node_url="http://testnode")):
        yield bench


async def post(bench: Bench, target: str, body: Any, by: Principal, status: int = 201) -> Any:
    bench.wall_ms += 1
    return read(await ask(bench, "POST", target, body, by=by), status)


async def act(bench: Bench, made: Any, who: Principal, kind: str, status: int = 201, **members: Any) -> Any:
    return await post(bench, f"/v1/intents/{made['id']}/acts", {"kind": kind} | members, who, status)


async def box(bench: Bench, by: Principal, query: str = "") -> list[tuple[str, list[str]]]:
    found = read(await ask(bench, "GET", f"/v1/intents{query}", by=by))
    return [(each["goal"], each["as"]) for each in found["intents"]]


async def test_the_example_of_the_contract_is_stored_as_its_facts_and_read_back_whole() -> None:
    async with fresh() as node:
        known = await node.say(scope="company")
        given = intent(
            constraint=[{"kind": "budget", "limit": {"type": "number", "v": 250.0}, "unit": "EUR"}],
            preference=[{"kind": "downtime_h", "value": {"type": "number", "v": 2.0}, "weight": 0.8}],
            escalation={"escalate_to": "stigmem://lab.example/user/rhea", "priority": "high"},
            handoff={"summary": "Leak found at inlet", "fact_refs": [known["id"], "b:unheard-of", known["entity"]]},
        )
        made = await node.post("/v1/intents", given)
        assert made["id"].startswith("intent:")
        assert (made["scope"], made["expires_at"], made["deference"], made["state"]) == ("company", None, [], "open")
        assert (made["constraint"], made["preference"]) == (given["constraint"], given["preference"])
        assert made["escalation"] == given["escalation"] | {"channel": "stigmem", "include_context": True}
        assert made["handoff"]["fact_refs"] == given["handoff"]["fact_refs"]
        assert made["missing_refs"] == ["b:unheard-of"]
        facts = (await node.get("/v1/facts", entity=made["id"], limit=100))["facts"]
        assert {fact["id"] for fact in facts} < set(made["fact_ids"])
        assert len(made["fact_ids"]) == len(facts) + 3 + 3
        assert all((fact["source"], fact["contradicted"]) == (NAMES["planner"], False) for fact in facts)
        assert await node.get(f"/v1/intents/{made['id']}") == made | {"fact_ids": []}
        assert (await node.get("/v1/conflicts"))["conflicts"] == []


async def test_an_id_is_taken_once_and_may_contain_what_a_uri_may() -> None:
    async with fresh() as node:
        made = await node.post("/v1/intents", intent(id="stigmem://lab.example/intent/Seal_7"))
        assert made["id"] == "stigmem://lab.example/intent/seal_7"
        assert (await node.post("/v1/intents", intent(id=made["id"]), 409))["code"] == "intent_exists"
        assert (await node.get(f"/v1/intents/{made['id']}"))["goal"] == made["goal"]
        await node.get("/v1/intents/stigmem://lab.example/intent/seal%257", 404)
        await node.post("/v1/intents", intent(id=" "), 400)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("to", []),
        ("to", [""]),
        ("goal", ""),
        ("scope", "everywhere"),
        ("expires_at", "soon"),
        ("constraint", [{"kind": "budget"}]),
        ("constraint", [{"kind": "budget", "limit": {"type": "number", "v": "5"}}]),
        ("preference", [{"kind": "x", "value": {"type": "number", "v": 1.0}, "weight": 1.5}]),
        ("deference", [{"condition": "x", "defer_to": "a:b", "timeout_s": -1}]),
        ("escalation", {"escalate_to": "a:b", "priority": "urgent"}),
        ("escalation", {"escalate_to": "a:b", "channel": "pigeon"}),
        ("handoff", {"summary": "s", "fact_refs": []}),
        ("handoff", {"summary": "s"}),
    ],
)
async def test_a_malformed_envelope_is_422_and_leaves_nothing(member: str, value: Any) -> None:
    async with fresh() as node:
        await node.post("/v1/intents", intent(**{member: value}), 422)
        assert (await node.get("/v1/facts"))["total"] == 0


@edge(
    "INTENT_TEXT_CHARS_MAX", "INTENT_WORD_CHARS_MAX", "INTENT_ID_CHARS_MAX", "INTENT_LIST_MAX", "INTENT_TIMEOUT_S_MAX"
)
async def test_an_envelope_at_its_bounds_is_taken_and_one_more_is_not() -> None:
    def rule(timeout_s: int) -> list[dict[str, Any]]:
        return [{"condition": "x", "defer_to": "a:b", "timeout_s": timeout_s}]

    def limit(kind: str) -> list[dict[str, Any]]:
        return [{"kind": kind, "limit": {"type": "null"}}]

    async with fresh() as node:
        for well, badly in (
            ({"goal": "g" * 2_048}, {"goal": "g" * 2_049}),
            ({"constraint": limit("k" * 256)}, {"constraint": limit("k" * 257)}),
            ({"id": "i:" + "d" * 510}, {"id": "i:" + "d" * 511}),
            ({"to": [f"a:{n}" for n in range(64)]}, {"to": [f"a:{n}" for n in range(65)]}),
            ({"deference": rule(366 * 86_400)}, {"deference": rule(366 * 86_400 + 1)}),
        ):
            await node.post("/v1/intents", intent(**well))
            await node.post("/v1/intents", intent(**badly), 422)


async def test_an_intent_is_sent_in_ones_own_name_alone() -> None:
    async with keyed() as bench:
        assert (await post(bench, "/v1/intents", intent(), FITTER, 403))["code"] == "not_your_name"
        made = await post(bench, "/v1/intents", intent(), PLANNER)
        await post(bench, "/v1/intents", intent(), ADMIN)
        assert (await act(bench, made, LAWYER, "accepted", 403, by=NAMES["fitter"]))["code"] == "not_your_name"
        assert (await act(bench, made, LAWYER, "accepted", 403))["code"] == "not_your_part"
        assert (await act(bench, made, ADMIN, "accepted", by=NAMES["fitter"]))["state"] == "accepted"


async def test_an_intent_goes_from_box_to_box_while_it_is_worked_on() -> None:
    async with keyed() as bench:
        made = await post(
            bench,
            "/v1/intents",
            intent(
                deference=[{"condition": "cost > 100", "defer_to": NAMES["lawyer"], "timeout_s": 60}],
                escalation={"escalate_to": NAMES["boss"], "priority": "critical"},
                handoff={"summary": "Leak", "fact_refs": ["a:b"]},
            ),
            PLANNER,
        )
        goal = made["goal"]
        assert await box(bench, FITTER) == [(goal, ["recipient"])]
        assert await box(bench, PLANNER, "?box=outbox") == [(goal, ["sender"])]
        assert await box(bench, LAWYER) == await box(bench, BOSS) == await box(bench, PLANNER) == []

        assert (await act(bench, made, FITTER, "accepted"))["state"] == "accepted"
        assert (await act(bench, made, FITTER, "consulted", rule=0))["state"] == "deferred"
        assert await box(bench, LAWYER) == [(goal, ["deferred_to"])]
        early = await act(bench, made, FITTER, "timed_out", 409, rule=0)
        assert (early["code"], "is waited for until" in early["detail"]) == ("too_early", True)
        answered = await act(bench, made, LAWYER, "answered", rule=0, text="up to 300")
        assert (answered["state"], answered["consultations"][0]["answer"]) == ("accepted", "up to 300")
        assert await box(bench, LAWYER) == []
        assert (await act(bench, made, LAWYER, "answered", 409, rule=0, text="no"))["code"] == "nothing_waits"

        up = await act(bench, made, FITTER, "escalated", text="the seal costs 400")
        assert up["state"] == "escalated"
        assert (up["escalated"]["priority"], up["escalated"]["reason"]) == ("critical", "the seal costs 400")
        assert up["escalated"]["context"]["handoff"]["summary"] == "Leak"
        assert await box(bench, BOSS) == [(goal, ["escalated_to"])]
        assert (await act(bench, made, BOSS, "accepted"))["state"] == "accepted"
        done = await act(bench, made, FITTER, "done")
        assert (done["state"], [each["kind"] for each in done["acts"]]) == (
            "done", ["accepted", "consulted", "answered", "escalated", "accepted", "done"],
        )  # fmt: skip
        assert await box(bench, FITTER) == await box(bench, BOSS) == []
        assert await box(bench, FITTER, "?state=done") == [(goal, ["recipient"])]
        assert (await act(bench, made, FITTER, "refused", 409))["code"] == "intent_is_over"


async def test_a_timeout_is_recorded_at_its_instant() -> None:
    async with keyed() as bench:
        rules = [
            {"condition": "x", "defer_to": NAMES["lawyer"], "timeout_s": 60},
            {"condition": "y", "defer_to": "a:b"},
        ]
        made = await post(bench, "/v1/intents", intent(deference=rules), PLANNER)
        await act(bench, made, FITTER, "consulted", rule=0)
        await act(bench, made, FITTER, "consulted", rule=1)
        bench.wall_ms += 59_997  # each request comes a millisecond later
        await act(bench, made, FITTER, "timed_out", 409, rule=0)
        found = await act(bench, made, FITTER, "timed_out", rule=0)
        assert [each["outcome"] for each in found["consultations"]] == ["timed_out", "waiting"]
        assert (await act(bench, made, FITTER, "timed_out", 409, rule=1))["code"] == "no_timeout"
        assert (await act(bench, made, FITTER, "consulted", 409, rule=1))["code"] == "already_consulted"
        await act(bench, made, FITTER, "consulted", 422, rule=2)
        await act(bench, made, FITTER, "consulted", 422)
        await act(bench, made, FITTER, "accepted", 422, rule=0)
        await act(bench, made, FITTER, "won", 422)


async def test_saying_an_act_again_writes_nothing_and_saying_it_later_does() -> None:
    async with keyed() as bench:
        made = await post(bench, "/v1/intents", intent(escalation={"escalate_to": NAMES["boss"]}), PLANNER)
        assert (await act(bench, made, FITTER, "escalated", 201))["state"] == "escalated"
        await act(bench, made, FITTER, "accepted")
        again = await act(bench, made, FITTER, "accepted")
        assert [each["kind"] for each in again["acts"]] == ["escalated", "accepted"]
        await act(bench, made, BOSS, "accepted")
        assert (await act(bench, made, FITTER, "escalated", 409))["code"] == "already_escalated"
        plain = await post(bench, "/v1/intents", intent(), PLANNER)
        assert (await act(bench, plain, FITTER, "escalated", 409))["code"] == "no_escalation"


async def test_an_expired_intent_is_not_there_unless_it_is_asked_for() -> None:
    async with keyed() as bench:
        made = await post(bench, "/v1/intents", intent(expires_at="2026-11-20T00:00:00Z"), PLANNER)
        assert made["state"] == "expired"
        target = f"/v1/intents/{made['id']}"
        assert (await ask(bench, "GET", target, by=FITTER)).status == 404
        assert read(await ask(bench, "GET", f"{target}?include_expired=true", by=FITTER))["state"] == "expired"
        assert await box(bench, FITTER) == []
        assert await box(bench, FITTER, "?state=expired") == [(made["goal"], ["recipient"])]
        await act(bench, made, FITTER, "accepted", 404)


async def test_an_intent_of_another_scope_is_not_there_in_any_answer() -> None:
    async with keyed() as bench:
        secret = await post(bench, "/v1/facts", {
            "entity": "a:secret", "relation": "r:is", "value": {"type": "string", "v": "x"},
            "source": NAMES["planner"], "scope": "team",
        }, PLANNER)  # fmt: skip
        hidden = await post(bench, "/v1/intents", intent(), PLANNER)
        refs = {"summary": "s", "fact_refs": ["a:secret", secret["id"]]}
        shown = await post(bench, "/v1/intents", intent(scope="public", goal="Open", handoff=refs), PLANNER)
        narrow = caller("read", "write", scopes=("public",), entity=NAMES["fitter"])
        assert (await ask(bench, "GET", f"/v1/intents/{hidden['id']}", by=narrow)).status == 404
        await act(bench, hidden, narrow, "accepted", 404)
        assert await box(bench, narrow) == [("Open", ["recipient"])]
        found = read(await ask(bench, "GET", f"/v1/intents/{shown['id']}", by=narrow))
        assert found["missing_refs"] == ["a:secret", secret["id"]]
        assert shown["missing_refs"] == []
        blind = caller("write", entity=NAMES["fitter"])
        await act(bench, shown, blind, "accepted", 404)


async def test_a_box_is_read_by_pages_and_shows_each_intent_once() -> None:
    async with keyed() as bench:
        for number in range(7):
            await post(bench, "/v1/intents", intent(goal=f"goal {number}"), PLANNER)
        seen: list[str] = []
        cursor = ""
        while True:
            page = read(await ask(bench, "GET", f"/v1/intents?limit=3{cursor}", by=FITTER))
            seen += [each["goal"] for each in page["intents"]]
            if page["cursor"] is None:
                break
            cursor = f"&cursor={page['cursor']}"
        assert seen == [f"goal {number}" for number in reversed(range(7))]
        assert (await ask(bench, "GET", f"/v1/intents?limit=3&box=outbox{cursor}", by=FITTER)).status == 400


@edge("INTENTS_LOOKED_AT_MAX", "INTENT_FACTS_READ_MAX")
async def test_a_page_looks_at_so_many_intents_and_facts_of_one_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async with keyed() as bench:
        await post(bench, "/v1/intents", intent(to=["a:other"]), PLANNER)
        await post(bench, "/v1/intents", intent(to=["a:other"]), PLANNER)
        monkeypatch.setattr("stigmem.core.limits.INTENTS_LOOKED_AT_MAX", 2)
        page = read(await ask(bench, "GET", "/v1/intents", by=FITTER))
        assert (page["intents"], page["cursor"] is None) == ([], False)
        rest = read(await ask(bench, "GET", f"/v1/intents?cursor={page['cursor']}", by=FITTER))
        assert rest == {"intents": [], "cursor": None}
        monkeypatch.setattr("stigmem.core.limits.INTENT_FACTS_READ_MAX", 3)
        made = await post(bench, "/v1/intents", intent(to=["a:one", "a:two"]), PLANNER)
        assert read(await ask(bench, "GET", f"/v1/intents/{made['id']}", by=PLANNER))["to"] == ["a:one"]
        monkeypatch.setattr("stigmem.core.limits.INTENT_FACTS_READ_MAX", 4)
        assert read(await ask(bench, "GET", f"/v1/intents/{made['id']}", by=PLANNER))["to"] == ["a:one", "a:two"]
