"""Schemas of relations at the API: callers are refused, peers are not, and nobody sees by default what does not fit."""

from __future__ import annotations

import json
from typing import Any

from stigmem.core import limits
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, WRITER, Peer, ask, caller, read, saying
from tests.node.fresh import Fresh, fresh
from tests.node.still import Bench, running
from tests.node.test_sources import entry, fact, pulled, serve


async def declare(node: Fresh, relation: str = "shop:price", status: int = 201, **document: Any) -> Any:
    value = {"type": "text", "v": json.dumps(document)}
    entity = f"stigmem://testnode/relation/{relation}"
    return await node.say(status, entity=entity, relation="rel:schema", value=value)


async def price(node: Fresh, value: dict[str, Any], status: int = 201) -> Any:
    return await node.say(status, relation="shop:price", value=value)


async def test_a_callers_fact_that_does_not_fit_is_refused_with_the_place() -> None:
    async with fresh() as node:
        await declare(node, value_type=["number"], json_schema={"minimum": 0})
        wrong = await price(node, {"type": "string", "v": "cheap"}, 422)
        assert (wrong["code"], wrong["field"]) == ("schema_mismatch", "value.type")
        low = await price(node, {"type": "number", "v": -1}, 422)
        assert (low["code"], low["field"]) == ("schema_mismatch", "value.v")
        await price(node, {"type": "number", "v": 4})


async def test_what_is_no_schema_is_refused() -> None:
    async with fresh() as node:
        await declare(node, status=422, colour="red")
        await declare(node, status=422, json_schema={"$ref": "http://elsewhere.example/s.json"})
        await declare(node, "memory:note", 422, cardinality="one")
        await node.say(422, entity="user:ada", relation="rel:schema", value={"type": "text", "v": "{}"})
        assert (await node.get("/v1/schemas"))["schemas"] == []


def nested(depth: int) -> str:
    """A schema whose JSON Schema has so many objects, each in the other."""
    return '{"json_schema":' + '{"not":' * (depth - 1) + "{}" + "}" * depth


async def test_a_schema_that_is_nested_too_deep_is_refused_and_the_node_goes_on() -> None:
    """What reads a text of thousands of brackets recurses, and gave up with an error that ended the node."""
    async with fresh() as node:
        for depth in (limits.SCHEMA_DEPTH_MAX, limits.SCHEMA_DEPTH_MAX + 1, 900, 8_000):
            entity = f"stigmem://testnode/relation/shop:deep-{depth}"
            status = 201 if depth == limits.SCHEMA_DEPTH_MAX else 422
            value = {"type": "text", "v": nested(depth)}
            answer = await node.say(status, entity=entity, relation="rel:schema", value=value)
            assert status == 201 or answer["code"] == "malformed_schema"
        assert len((await node.get("/v1/schemas"))["schemas"]) == 1


async def test_an_authoritys_schema_that_is_nested_too_deep_is_stored_and_not_in_force() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    name = "stigmem://testnode/relation/shop:price"
    theirs = fact(peer, 1, entity=name, relation="rel:schema", kind="text", text=nested(8_000))
    settings = NodeSettings(seed=SEED, federation=True, schema_authorities=(peer.node_id,))
    async with running(bench, settings) as node:
        serve(bench, entry(peer, theirs))
        await pulled(bench, peer)
        assert node.state.ledger.held(peer.node_id, theirs.id) is not None
        assert read(await ask(bench, "GET", "/v1/schemas"))["schemas"] == []
        linted = read(await ask(bench, "POST", "/v1/lint", {"scope": theirs.scope, "checks": ["schema"]}))
        assert [each["fact_ids"] for each in linted["findings"]] == [[theirs.id]]


async def test_a_pattern_that_is_huge_once_compiled_is_refused() -> None:
    """Matching costs the length of the text times the size of the pattern: nested repetitions multiply."""
    async with fresh() as node:
        most = limits.SCHEMA_PATTERN_BYTES_MAX
        for pattern in (f"^(a{{0,{most // 5_000}}}){{0,{most // 5_000}}}b$", "((a{0,90}){0,90}){0,90}"):
            refused = await declare(node, status=422, json_schema={"pattern": pattern})
            assert refused["code"] == "malformed_schema"
        await declare(node, json_schema={"pattern": r"^[\w .-]{1,64}@[a-z0-9.-]{1,255}$"})


async def test_schemas_in_force_are_listed_and_shown() -> None:
    async with fresh() as node:
        made = await declare(node, value_type=["number"], cardinality="many", unit="EUR")
        (row,) = (await node.get("/v1/schemas"))["schemas"]
        assert (row["relation"], row["cardinality"], row["fact_id"]) == ("shop:price", "many", made["id"])
        assert row["schema"] == {"value_type": ["number"], "cardinality": "many", "unit": "EUR"}
        assert await node.get("/v1/schemas/shop:price") == row
        await node.get("/v1/schemas/shop:colour", 404)


async def test_lint_tells_of_schemas_that_disagree_and_of_facts_that_do_not_fit() -> None:
    async def found() -> list[tuple[str, str, int]]:
        answer = await node.post("/v1/lint", {"scope": "local", "checks": ["schema"]}, 200)
        return [(each["entity"], each["relation"], len(each["fact_ids"])) for each in answer["findings"]]

    async with fresh() as node:
        await price(node, {"type": "string", "v": "cheap"})
        assert await found() == []
        first = await declare(node, value_type=["number"])
        misfit = ("stigmem://testnode/device/pump-7", "shop:price", 1)
        assert await found() == [misfit]
        other = "stigmem://elsewhere/relation/shop:price"
        alike = {"type": "text", "v": '{"value_type": ["number"]}'}
        await node.say(entity=other, relation="rel:schema", value=alike)
        assert await found() == [misfit]
        unlike = {"type": "text", "v": '{"cardinality": "many", "value_type": ["number"]}'}
        await node.say(entity=other, relation="rel:schema", value=unlike)
        assert await found() == [misfit, (first["entity"], "rel:schema", 2)]
        answer = await node.post("/v1/lint", {"scope": "team", "checks": ["schema"]}, 200)
        assert answer["findings"] == []
        await node.say(entity=other, relation="rel:schema", value=unlike, confidence=0.0)
        assert await found() == [misfit]
        await node.say(entity=first["entity"], relation="rel:schema", value=alike, confidence=0.0)
        assert await found() == []


async def test_a_schema_makes_many_values_of_one_and_facts_that_do_not_fit_are_seen_when_asked_for() -> None:
    async with fresh() as node:
        for text in ("x", "y"):
            await price(node, {"type": "string", "v": text})
        assert (await node.get("/v1/facts", relation="shop:price"))["total"] == 1
        await declare(node, cardinality="many")
        assert (await node.get("/v1/facts", relation="shop:price"))["total"] == 2
        await declare(node, value_type=["number"])
        assert (await node.get("/v1/facts", relation="shop:price"))["total"] == 0
        seen = await node.get("/v1/facts", relation="shop:price", include_misfits="true")
        assert [each["fits_schema"] for each in seen["facts"]] == [False, False]


async def test_a_peers_fact_that_does_not_fit_is_stored_and_marked_and_in_no_conflict() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        theirs = fact(peer, 1)
        document = {"type": "text", "v": json.dumps({"value_type": ["number"]})}
        name = f"stigmem://lab.example/relation/{theirs.relation}"
        body = saying(entity=name, relation="rel:schema") | {"value": document}
        read(await ask(bench, "POST", "/v1/facts", body), 201)
        ours = saying(entity=theirs.entity, relation=theirs.relation, scope=theirs.scope)
        read(await ask(bench, "POST", "/v1/facts", ours | {"value": {"type": "number", "v": 1}}), 201)
        serve(bench, entry(peer, theirs))
        await pulled(bench, peer)
        assert node.state.ledger.held(peer.node_id, theirs.id) is not None
        assert read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"] == []
        shown = read(await ask(bench, "GET", f"/v1/facts?relation={theirs.relation}"))["facts"]
        assert [each["value"]["v"] for each in shown] == [1.0]
        assert read(await ask(bench, "GET", f"/v1/facts/{theirs.id}"))["fits_schema"] is False


async def test_what_is_in_force_is_shown_to_whoever_is_held_to_it() -> None:
    bench = Bench(NOW_MS)
    narrow = caller("read", "write", scopes=("team",))
    async with running(bench, NodeSettings(seed=SEED)):
        body = saying(entity="stigmem://lab.example/relation/shop:price", relation="rel:schema", scope="company")
        schema = {"type": "text", "v": json.dumps({"value_type": ["number"]})}
        said = read(await ask(bench, "POST", "/v1/facts", body | {"value": schema}), 201)
        wrong = saying(relation="shop:price", scope="team", source="agent:caller")
        refused = read(await ask(bench, "POST", "/v1/facts", wrong, by=narrow), 422)
        assert refused["code"] == "schema_mismatch"
        for by, fact_id in ((narrow, None), (WRITER, said["id"])):
            shown = read(await ask(bench, "GET", "/v1/schemas/shop:price", by=by))
            assert (shown["schema"]["value_type"], shown["fact_id"]) == (["number"], fact_id)
            assert read(await ask(bench, "GET", "/v1/schemas", by=by))["schemas"] == [shown]


async def test_a_restarted_node_goes_by_the_same_schemas() -> None:
    bench = Bench(NOW_MS)
    async with fresh(bench) as node:
        for text in ("x", "y"):
            await price(node, {"type": "string", "v": text})
        await declare(node, cardinality="many")
        before = await node.get("/v1/facts")
    async with fresh(bench) as node:
        assert (await node.get("/v1/facts"))["total"] == before["total"] == 3
        assert (await node.get("/v1/schemas"))["schemas"][0]["cardinality"] == "many"


async def test_a_schema_that_is_erased_is_in_force_no_more() -> None:
    """By its entity, and by who said it: two prices of two agents are a conflict again."""
    settings = NodeSettings(seed=SEED, tombstone_signers=("*=user:",))
    schema = {
        "entity": "stigmem://testnode/relation/shop:price", "relation": "rel:schema", "source": "agent:shopkeeper",
        "value": {"type": "text", "v": '{"cardinality": "many", "value_type": ["string"]}'},
    }  # fmt: skip
    for erased in (schema["entity"], schema["source"]):
        bench = Bench(NOW_MS)
        async with running(bench, settings):

            async def look(target: str, bench: Bench = bench) -> Any:
                return read(await ask(bench, "GET", target))

            read(await ask(bench, "POST", "/v1/facts", saying(**schema)), 201)
            for text in ("x", "y"):
                said = saying(text, relation="shop:price", source=f"agent:{text}")
                read(await ask(bench, "POST", "/v1/facts", said), 201)
            assert (await look("/v1/conflicts"))["conflicts"] == []
            read(await ask(bench, "POST", "/v1/tombstones", {"entity_uri": erased}, by=ADMIN), 201)
            assert (await look("/v1/schemas"))["schemas"] == []
            assert len((await look("/v1/conflicts"))["conflicts"]) == 1
            number = saying(relation="shop:price", source="agent:z", value={"type": "number", "v": 4.0})
            read(await ask(bench, "POST", "/v1/facts", number), 201)
