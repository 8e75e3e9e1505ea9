"""What is wrong with a request is told in one shape, all of it at once, and with the nearest name.

People met `[object Object]` where a sentence should stand, were told of one missing member at a time, got everybody's
facts for `?entty=x`, and a fact without an end for `valid_untill`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from stigmem.core.audit import EVENTS
from stigmem.core.scopes import SCOPES
from stigmem.core.suggestions import did_you_mean
from stigmem.node.node import ROUTER
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, read, saying
from tests.node.fresh import fresh, members
from tests.node.still import Bench, running

READS = [operation for operation in ROUTER.operations if operation.query is not None and "{" not in operation.path]


def one_letter_less(name: str) -> str:
    return name[:1] + name[2:] if len(name) > 4 else name + name[-1]


# --- queries ---


@pytest.mark.parametrize(
    ("operation", "name"),
    [(o, name) for o in READS if o.permission not in ("open", "peer") for name in o.query.__struct_encode_fields__],  # type: ignore[union-attr]
    ids=lambda each: each if isinstance(each, str) else each.name,
)
async def test_a_mistyped_parameter_is_refused_with_the_nearest_name(operation: Any, name: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        for wrong in (one_letter_less(name), name.upper(), f"{name}_"):
            told = read(await ask(bench, operation.method, f"{operation.path}?{wrong}=x", by=ADMIN), 422)
            assert told["detail"].startswith(f"{wrong} is no parameter of this operation; did you mean {name}?")
            assert told["errors"][0]["loc"] == ["query", wrong]
            assert told["errors"][0]["input"] == "x"


@pytest.mark.parametrize(
    "query", ["entty=a:b", "entity=a:b&relaton=c", "trust_clas=observed", "entty=", "Scope=public", "=x", "%20=1", "x"]
)
async def test_a_mistyped_filter_does_not_show_everybodys_facts(query: str) -> None:
    async with fresh() as node:
        await node.say()
        for path in ("/v1/facts", "/v1/events"):
            told = await node.get(f"{path}?{query}", 422)
            assert "facts" not in told
            assert told["code"] == "validation_failed"


async def test_every_mistyped_parameter_is_named_at_once() -> None:
    async with fresh() as node:
        told = await node.get("/v1/facts?entty=a&relaton=b&limit=5&sorce=c", 422)
        assert [error["loc"][1] for error in told["errors"]] == ["entty", "relaton", "sorce"]
        assert all(f"did you mean {name}?" in told["detail"] for name in ("entity", "relation", "source"))
        many = await node.get("/v1/facts?" + "&".join(f"p{number}=1" for number in range(500)), 422)
        assert len(many["errors"]) == 20
        assert "480 more" in many["detail"]
        assert len(json.dumps(many)) < 20_000


async def test_an_operation_without_parameters_says_so() -> None:
    async with fresh() as node:
        fact = await node.say()
        for target in (f"/v1/facts/{fact['id']}/provenance?as_of=now", "/v1/me?scope=public"):
            assert "it takes no parameters" in (await node.get(target, 422))["detail"]


async def test_where_everybody_may_ask_and_of_peers_parameters_that_nobody_knows_are_ignored() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        for target in ("/healthz?probe=1", "/.well-known/stigmem?v=2"):
            read(await ask(bench, "GET", target, by=None))
        read(await peer.ask("GET", "/v1/federation/facts?limit=10&from_a_newer_version=1"))
        read(await ask(bench, "POST", "/v1/auth/oidc/exchange?refresh=true"), 501)


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("/v1/conflicts?status=opn", ""), ("/v1/conflicts?status=unresolvd", "unresolved"),
        ("/v1/conflicts?status=Resolved", "resolved"),
        ("/v1/federation/audit?event_type=peer_aproved", "peer_approved"),
        ("/v1/admin/audit?event_type=fact-write", "fact_write"),
    ],
)  # fmt: skip
async def test_a_mistyped_choice_in_a_query_is_refused_with_the_nearest(target: str, near: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        told = read(await ask(bench, "GET", target, by=ADMIN), 422)
        assert (f"did you mean {near}?" in told["detail"]) == bool(near)
        assert told["errors"][0]["type"] == "enum"
        assert told["errors"][0]["input"] == target.partition("=")[2]


@pytest.mark.parametrize("text", ["yes", "On", "1", "true"])
async def test_a_boolean_that_is_described_has_the_usual_spellings_too(text: str) -> None:
    async with fresh() as node:
        await node.say(confidence=0.0)
        assert (await node.get("/v1/facts", include_retracted=text))["total"] == 1
        assert "must be true or false" in (await node.get("/v1/facts?include_retracted=ture", 422))["detail"]


async def test_every_event_can_be_asked_for() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        for event in sorted(EVENTS):
            read(await ask(bench, "GET", f"/v1/admin/audit?event_type={event}", by=ADMIN))


async def test_a_mistyped_scope_names_the_nearest() -> None:
    async with fresh() as node:
        assert "did you mean public?" in (await node.get("/v1/facts?scope=pubic", 400))["detail"]
        assert "did you mean company?" in (await node.say(422, scope="compny"))["detail"]


# --- bodies ---


async def test_every_missing_member_is_named_at_once() -> None:
    async with fresh() as node:
        told = await node.post("/v1/facts", {"confidence": 2, "scope": 7}, 422)
        assert [error["loc"][1:] for error in told["errors"]] == [
            ["entity"], ["relation"], ["value"], ["source"], ["confidence"], ["scope"],
        ]  # fmt: skip
        assert [error["type"] for error in told["errors"]] == ["missing"] * 4 + ["less_than_equal", "value_error"]
        assert told["detail"] == (
            "entity is missing; relation is missing; value is missing; source is missing; "
            "confidence must be at most 1.0; scope must be a text, not a number"
        )
        assert told["field"] == "entity"


async def test_every_missing_member_of_a_fact_in_a_batch_is_named_at_once() -> None:
    async with fresh() as node:
        told = await node.post("/v1/facts/batch", {"facts": [{"entity": "a:b"}, members()]}, 200)
        error = told["results"][0]["error"]
        assert error["message"] == "relation is missing; value is missing; source is missing"


@pytest.mark.parametrize(
    ("value", "example"),
    [
        ("analyst", '{"type": "string", "v": "analyst"}'), (42, '{"type": "number", "v": 42}'),
        (-0.5, '{"type": "number", "v": -0.5}'), (True, '{"type": "boolean", "v": true}'), (None, '{"type": "null"}'),
        ('say "hé"', '{"type": "string", "v": "say \\"hé\\""}'), ({"v": "x"}, '{"type": "string", "v": "x"}'),
    ],
)  # fmt: skip
async def test_a_bare_value_is_answered_with_how_to_write_it(value: Any, example: str) -> None:
    async with fresh() as node:
        told = await node.say(422, value=value)
        assert f"write {example}" in told["detail"]
        assert told["errors"][0]["input"] == value
        batch = await node.post("/v1/facts/batch", {"facts": [members(value=value)]}, 200)
        assert f"write {example}" in batch["results"][0]["error"]["message"]


async def test_what_cannot_be_a_value_is_not_given_an_example() -> None:
    async with fresh() as node:
        for value in ([1], {"type": "json"}, {}):
            assert "write" not in (await node.say(422, value=value))["detail"]


@pytest.mark.parametrize(
    ("change", "near", "loc", "given"),
    [
        ({"value": {"type": "strin", "v": "x"}}, "string", ["value", "type"], "strin"),
        ({"value": {"type": "Number", "v": 1}}, "number", ["value", "type"], "Number"),
        ({"write_mode": "asert"}, "assert", ["write_mode"], "asert"),
        ({"scope": "teem"}, "team", ["scope"], "teem"),
        ({"value": {"type": "string", "v": "x", "interpret_as": "contents"}}, "content", ["value", "interpret_as"],
         "contents"),
    ],
)  # fmt: skip
async def test_a_mistyped_choice_in_a_body_names_the_nearest(
    change: dict[str, Any], near: str, loc: list[str], given: str
) -> None:
    async with fresh() as node:
        told = await node.say(422, **change)
        assert f"did you mean {near}?" in told["detail"]
        assert told["errors"][0]["loc"] == ["body", *loc]
        assert told["errors"][0]["input"] == given


@pytest.mark.parametrize(
    ("change", "loc", "given"),
    [
        ({"value": {"type": "number", "v": "x"}}, ["value", "v"], "x"),
        ({"value": {"type": "boolean", "v": "yes"}}, ["value", "v"], "yes"),
        ({"value": {"type": "datetime", "v": "soon"}}, ["value", "v"], "soon"),
        ({"valid_until": "soon"}, ["valid_until"], "soon"), ({"derived_from": [1]}, ["derived_from", 0], 1),
        ({"entity": ["a"]}, ["entity"], ["a"]), ({"entity": {"a": 1}}, ["entity"], {"a": 1}),
        ({"confidence": None}, ["confidence"], None), ({"confidence": "1"}, ["confidence"], "1"),
        ({"relation": "x" * 3_000}, ["relation"], "x" * 256), ({"attestation": 5}, ["attestation"], 5),
    ],
)  # fmt: skip
async def test_what_was_sent_is_shown(change: dict[str, Any], loc: list[Any], given: Any) -> None:
    async with fresh() as node:
        (error,) = (await node.say(422, **change))["errors"]
        assert error["loc"] == ["body", *loc]
        assert error["input"] == given


async def test_a_resolution_with_a_bad_value_names_the_member_that_the_caller_wrote() -> None:
    async with fresh() as node:
        await node.say()
        await node.say(source="agent:other", value={"type": "string", "v": "well"})
        (conflict,) = (await node.get("/v1/conflicts"))["conflicts"]
        target = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
        told = await node.post(target, {"new_value": {"type": "number", "v": "well"}}, 422)
        assert (told["field"], told["errors"][0]["input"]) == ("new_value.v", "well")
        assert '{"type": "string", "v": "well"}' in (await node.post(target, {"new_value": "well"}, 422))["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b'"text"', b"[]", b"17", b'{"a":"\xff"}', b"\x00", b"{}" * 9_000])
async def test_what_is_no_object_is_refused_in_the_same_shape(body: bytes) -> None:
    async with fresh() as node:
        told = await node.post("/v1/facts", body, 422)
        assert isinstance(told["detail"], str)
        assert told["code"] in ("json_invalid", "validation_failed")
        assert len(json.dumps(told)) < 8_192


async def test_half_a_character_is_named_where_it_stands() -> None:
    async with fresh() as node:
        told = await node.post("/v1/facts", json.dumps(members(source="agent:\ud83d")).encode(), 422)
        assert told["errors"][0]["loc"] == ["body", "source"] or told["code"] == "json_invalid"


async def test_a_secret_is_not_shown_again() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED)):
        for body in ({"raw_key": "too short"}, {"raw_key": "too short", "entity_uri": "a:b"}, {"raw_key": 5}):
            answer = await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN)
            assert answer.status == 422
            assert b"too short" not in answer.body


# --- members that nobody reads ---


@pytest.mark.parametrize(
    ("extra", "path", "near"),
    [
        ({"valid_untill": "2027-01-01T00:00:00Z"}, "valid_untill", "valid_until"),
        ({"Scope": "local"}, "Scope", "scope"),
        ({"writeMode": "assert"}, "writeMode", "write_mode"), ({"color": "red"}, "color", ""),
        ({"value": {"type": "string", "v": "x", "interpretas": "content"}}, "value.interpretas", "interpret_as"),
        ({"": 1}, "", ""),
    ],
)  # fmt: skip
async def test_a_member_that_is_ignored_is_named_in_warnings(extra: dict[str, Any], path: str, near: str) -> None:
    async with fresh() as node:
        for _ in range(2):  # also when the fact was there already
            warnings = (await node.say(**extra))["warnings"]
            (warning,) = [each for each in warnings if "was ignored" in each]
            assert warning.startswith(f"{path} is no member of this body and was ignored")
            assert warning.endswith(f"; did you mean {near}?" if near else "was ignored")


async def test_members_that_the_contract_knows_are_not_warned_of() -> None:
    async with fresh() as node:
        made = await node.say(
            derived_from=[{"fact_id": "x", "anything": [{"goes": 1}]}], valid_until=None, garden_id=None
        )
        assert made["warnings"] == []


async def test_ignored_members_are_named_wherever_a_body_is_taken() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        batch = {"facts": [saying(confidance=0.5), saying()], "atomc": True}
        told = read(await ask(bench, "POST", "/v1/facts/batch", batch))
        assert [each[:5] for each in told["warnings"]] == ["atomc"]
        assert [len(result.get("warnings", [])) for result in told["results"]] == [1, 0]
        key = {"entity_uri": "a:b", "permisions": ["read"]}
        made = read(await ask(bench, "POST", "/v1/auth/keys", key, by=ADMIN), 201)
        assert made["warnings"] == ["permisions is no member of this body and was ignored; did you mean permissions?"]
        missing = read(await ask(bench, "POST", "/v1/facts", {"entty": "a:b"}), 422)
        assert "entity is missing" in missing["detail"]
        assert missing["warnings"] == ["entty is no member of this body and was ignored; did you mean entity?"]


async def test_a_thousand_ignored_members_do_not_make_a_thousand_sentences() -> None:
    async with fresh() as node:
        made = await node.say(**{f"member{number}" * 20: number for number in range(1_000)})
        assert len(made["warnings"]) == 21
        assert made["warnings"][-1] == "980 more members were ignored"
        assert len(json.dumps(made)) < 8_192


async def test_a_repeated_batch_is_answered_as_before_and_warned_of_again() -> None:
    async with fresh() as node:
        body = {"facts": [members()], "idempotency_key": "k", "atomic_": True}
        assert await node.post("/v1/facts/batch", body, 200) == await node.post("/v1/facts/batch", body, 200)


# --- one shape ---


async def test_every_refusal_of_every_operation_has_a_text_and_a_code() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True, push=True)):
        seen: dict[int, None] = {}
        for operation in ROUTER.operations:
            path = operation.path.replace("{", "").replace("}", "")
            for by in (ADMIN, None):
                for target, body in ((path, b"{"), (f"{path}?limit=-1&cursor=x", {}), (path, {})):
                    answer = await ask(bench, operation.method, target, body, by=by)
                    if answer.status < 400:
                        continue
                    told = json.loads(answer.body)
                    assert isinstance(told["detail"], str), operation.name
                    assert told["detail"]
                    assert told["code"].isidentifier(), (operation.name, told)
                    assert all({"type", "loc", "msg", "input"} <= set(item) for item in told.get("errors", ()))
                    seen[answer.status] = None
        assert {401, 404, 422, 501} <= set(seen)


def test_the_nearest_name_is_found_whatever_the_case_and_the_hyphens_and_only_if_it_is_near() -> None:
    assert did_you_mean("Valid-Until", ("valid_until", "value")) == "; did you mean valid_until?"
    assert did_you_mean("zzz", SCOPES) == ""
    assert did_you_mean("x" * 65, ("x" * 64,)) == ""
    assert did_you_mean("", SCOPES) == ""


async def test_a_sweep_whose_dry_run_is_empty_is_refused_and_not_made_in_earnest() -> None:
    async with fresh() as node:
        told = await node.post("/v1/decay/sweep?dry_run=&ttl_seconds=0", None, 422)
        assert told["detail"] == "dry_run is empty; leave it out, or say what is meant"
        assert (await node.get("/v1/facts?entity=&cursor="))["facts"] == [], "absent in a read"
