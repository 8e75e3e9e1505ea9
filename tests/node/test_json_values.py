"""Values of type json at the API: asked for by a schema, shown as text to who does not know the type, kept as they are
between nodes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core.content_id import cid7
from stigmem.core.values import parse_value
from stigmem.core.wire import StreamedResponse
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, Peer, ask, read, saying
from tests.node.fresh import Fresh, fresh
from tests.node.still import Bench, running
from tests.node.test_schemas import declare
from tests.node.test_sources import entry, fact, pulled, serve

KNOWS = {"stigmem_values": "json"}
ORDER = {"type": "json", "v": {"lines": [{"sku": "a-1", "n": 2.0}], "express": True}}
ORDER_TEXT = '{"express":true,"lines":[{"n":2,"sku":"a-1"}]}'


async def said(node: Fresh, value: Any, status: int = 201, **headers: str) -> Any:
    body = {
        "entity": "shop:order-7", "relation": "shop:order", "value": value, "source": "agent:test", "scope": "local",
    }  # fmt: skip
    node.bench.wall_ms += 1
    data = value if isinstance(value, bytes) else body
    response = await node.ask("POST", "/v1/facts", data, **headers)
    assert response.status == status, response.body
    return msgspec.json.decode(response.body)


async def shown(node: Fresh, target: str, **headers: str) -> Any:
    return msgspec.json.decode((await node.ask("GET", target, **headers)).body)


async def test_a_value_of_type_json_is_refused_unless_a_schema_asks_for_the_type() -> None:
    async with fresh() as node:
        for document in (None, {"unit": "EUR"}, {"value_type": ["string", "number"]}):
            if document is not None:
                await declare(node, "shop:order", **document)
            refused = await said(node, ORDER, 422)
            assert (refused["code"], refused["field"]) == ("schema_mismatch", "value.type"), document
        await declare(node, "shop:order", value_type=["json", "string"])
        await said(node, ORDER)
        await said(node, {"type": "string", "v": "none yet"})


async def test_an_object_is_held_to_the_schema_of_its_relation_with_the_place_in_it() -> None:
    lines = {"type": "array", "items": {"type": "object", "required": ["sku"]}}
    async with fresh() as node:
        await declare(node, "shop:order", value_type=["json"], json_schema={"properties": {"lines": lines}})
        await said(node, ORDER)
        wrong = await said(node, {"type": "json", "v": {"lines": [{"sku": "a"}, {"n": 1}]}}, 422)
        assert (wrong["code"], wrong["field"]) == ("schema_mismatch", "value.v.lines.1")


async def test_who_knows_the_type_is_shown_the_value_and_everybody_else_its_text() -> None:
    """Published clients fail on a type that they do not know; the content id is that of what was said, for both."""
    async with fresh() as node:
        await declare(node, "shop:order", value_type=["json"])
        written = await said(node, ORDER, **KNOWS)
        assert written["value"] == {
            "type": "json", "v": {"express": True, "lines": [{"n": 2, "sku": "a-1"}]}, "interpret_as": "content",
        }  # fmt: skip
        value = parse_value("json", ORDER["v"])
        assert value.text == ORDER_TEXT
        assert written["cid"] == cid7("shop:order-7", "shop:order", "local", "agent:test", value, 1.0)
        for target in (f"/v1/facts/{written['id']}", f"/v1/facts/{written['cid']}"):
            assert (await shown(node, target))["value"] == {
                "type": "text", "v": ORDER_TEXT, "interpret_as": "content",
            }  # fmt: skip
            assert (await shown(node, target, **KNOWS))["value"] == written["value"]
        for target in ("/v1/facts?relation=shop:order", "/v1/events?relation=shop:order&replay=true&wait=false"):
            listed = {"stigmem_values": "other, json"}
            for headers, kind in (({}, b'"text"'), (KNOWS, b'"json"'), (listed, b'"json"')):
                response = await node.ask("GET", target, **headers)
                body = response.body
                if isinstance(response, StreamedResponse):
                    body = b"".join([piece async for piece in response.chunks])
                assert b'"value":{"type":' + kind in body, target


async def test_two_who_order_members_and_write_numbers_differently_have_said_the_same() -> None:
    async with fresh() as node:
        await declare(node, "shop:order", value_type=["json"])
        first = await said(node, ORDER)
        again = await said(node, {"type": "json", "v": {"express": True, "lines": [{"sku": "a-1", "n": 2}]}})
        assert again["id"] == first["id"]
        other = saying(entity="shop:order-7", relation="shop:order", scope="local", source="agent:other")
        await node.post("/v1/facts", other | {"value": ORDER})
        assert (await node.get("/v1/conflicts"))["conflicts"] == []
        other["source"] = "agent:third"
        await node.post("/v1/facts", other | {"value": {"type": "json", "v": {"express": False}}})
        (conflict,) = (await node.get("/v1/conflicts"))["conflicts"]
        assert {conflict["fact_a"]["value"]["type"], conflict["fact_b"]["value"]["type"]} == {"text"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 9007199254740993}', "no double holds"),
        ('"\\ud800"', ""),
        ("null", "type null"),
        ("[" * 40 + "]" * 40, "at most 32 deep"),
        ('{"a": 1, "a": 2}', "twice"),
    ],
)
async def test_what_has_no_canonical_text_is_refused_with_a_sentence(text: str, says: str) -> None:
    async with fresh() as node:
        await declare(node, "shop:order", value_type=["json"])
        head = '{"entity":"shop:order-7","relation":"shop:order","source":"agent:test","value":{"type":"json","v":'
        refused = await said(node, f"{head}{text}}}}}".encode(), 422)
        assert says in refused["detail"]
        assert (await node.get("/v1/facts", relation="shop:order"))["total"] == 0


async def test_a_peers_json_is_stored_and_hidden_until_a_schema_here_asks_for_the_type_and_again_after_a_restart() -> (
    None
):
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    settings = NodeSettings(seed=SEED, federation=True)
    value = parse_value("json", ORDER["v"])
    theirs = fact(peer, 1, kind="json", text=value.text)
    target = f"/v1/facts?relation={theirs.relation}"
    async with running(bench, settings) as node:
        serve(bench, entry(peer, theirs))
        await pulled(bench, peer)
        held = node.state.ledger.held(peer.node_id, theirs.id)
        assert held is not None
        assert (held.kind, held.text, held.certified) == ("json", ORDER_TEXT, True)
        assert read(await ask(bench, "GET", target))["facts"] == []
        hidden = read(await ask(bench, "GET", target + "&include_misfits=true"))["facts"]
        assert [each["fits_schema"] for each in hidden] == [False]
        schema = {"type": "text", "v": json.dumps({"value_type": ["json"]})}
        name = f"stigmem://lab.example/relation/{theirs.relation}"
        read(await ask(bench, "POST", "/v1/facts", saying(entity=name, relation="rel:schema", value=schema)), 201)
        before = read(await ask(bench, "GET", target))["facts"]
        assert [each["value"]["v"] for each in before] == [ORDER_TEXT]
    async with running(bench, settings):
        assert read(await ask(bench, "GET", target))["facts"] == before


@pytest.mark.parametrize(("dialect", "gets"), [("2.1+", 1), ("2.1", 0), ("0.5", 0)])
async def test_json_goes_to_peers_of_our_dialect_and_to_no_others(dialect: str, gets: int) -> None:
    """What a node does with a type that its dialect does not have is its own guess; ours keep it as it was said."""
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, dialect=dialect)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        schema = {"type": "text", "v": json.dumps({"value_type": ["json"]})}
        name = "stigmem://lab.example/relation/shop:order"
        read(await ask(bench, "POST", "/v1/facts", saying(entity=name, relation="rel:schema", value=schema)), 201)
        read(await ask(bench, "POST", "/v1/facts", saying(relation="shop:order", value=ORDER)), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("after it")), 201)
        page = read(await peer.ask("GET", "/v1/federation/facts"))
        values = [each.get("fact", each)["value"] for each in page["facts"]]
        assert [each["v"] for each in values if each["type"] == "json"] == [json.loads(ORDER_TEXT)] * gets
        assert values[-1]["v"] == "after it"
