"""The trust class of facts at the API: stated by their author or derived, a filter of queries, and nobody else's."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core.timestamps import format_us
from stigmem.core.trust import TRUST_CLASSES
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.fresh import Fresh, fresh
from tests.node.still import Bench, running
from tests.node.test_schemas import declare
from tests.node.test_sources import entry, fact, pulled, serve

DAY_MS = 86_400_000


async def of(node: Fresh, fact_id: str) -> str:
    found = (await node.get(f"/v1/facts/{fact_id}"))["trust_class"]
    assert isinstance(found, str)
    return found


def instant(ms: int) -> str:
    return format_us((NOW_MS + ms) * 1_000)


async def test_a_fact_that_is_written_here_is_observed_and_one_made_of_others_inferred() -> None:
    async with fresh() as node:
        seen = await node.say()
        thought = await node.say(relation="maint:due", derived_from=[{"fact_id": seen["id"]}])
        assert (seen["trust_class"], thought["trust_class"]) == ("observed", "inferred")
        assert await of(node, thought["id"]) == "inferred"


@pytest.mark.parametrize("stated", TRUST_CLASSES)
async def test_what_its_author_states_stands_until_it_states_another_class_also_over_a_restart(stated: str) -> None:
    bench = Bench(NOW_MS)
    async with fresh(bench) as node:
        said = await node.say(trust_class=stated, valid_until=instant(DAY_MS))
        assert said["trust_class"] == stated
        plain = await node.say(valid_until=instant(DAY_MS))  # the same once more, and nothing stated
        assert (plain["id"], plain["trust_class"]) == (said["id"], stated)
        bench.wall_ms += 2 * DAY_MS
        assert await of(node, said["id"]) == stated
    async with fresh(bench) as node:
        assert await of(node, said["id"]) == stated
        again = await node.say(relation="maint:due", trust_class="inferred")
        restated = await node.say(relation="maint:due", trust_class="reported")
        assert (restated["id"], restated["trust_class"]) == (again["id"], "reported")


async def test_a_class_that_is_none_is_refused_with_the_nearest_name() -> None:
    async with fresh() as node:
        for refused in (
            await node.say(422, trust_class="observd"),
            await node.get("/v1/facts", 422, trust_class="stale"),
        ):
            assert refused["field"].endswith("trust_class")
        assert "observed" in (await node.say(422, trust_class="observd"))["detail"]


async def test_a_fact_is_at_risk_in_the_last_tenth_of_its_time_and_once_it_is_over() -> None:
    async with fresh() as node:
        said = await node.say(valid_until=instant(10_000 + 1))
        for after_ms, expected in ((8_998, "observed"), (3, "stale-risk"), (2_000, "stale-risk")):
            node.bench.wall_ms += after_ms
            await node.say(relation="other:thing", value={"type": "number", "v": float(after_ms)})
            assert await of(node, said["id"]) == expected, node.bench.wall_ms - NOW_MS


async def test_a_schema_names_the_class_of_facts_that_state_none_and_a_half_life() -> None:
    async with fresh() as node:
        await declare(node, "ml:label", trust_class="inferred", half_life_s=3_600.0)
        said = await node.say(relation="ml:label", value={"type": "string", "v": "cat"}, confidence=0.8)
        stated = await node.say(
            entity="a:b", relation="ml:label", value={"type": "string", "v": "dog"}, trust_class="observed"
        )
        assert (said["trust_class"], stated["trust_class"]) == ("inferred", "observed")
        node.bench.wall_ms += 3_600_000
        await node.say(relation="other:thing")
        assert [await of(node, each["id"]) for each in (said, stated)] == ["stale-risk", "observed"]
        sure = await node.get("/v1/facts", relation="ml:label", min_confidence=0.45)
        assert [each["id"] for each in sure["facts"]] == [stated["id"]]
        shown = (await node.get("/v1/schemas/ml:label"))["schema"]
        assert (shown["trust_class"], shown["half_life_s"]) == ("inferred", 3_600.0)
        await declare(node, "ml:label", 422, trust_class="sure")


async def test_a_query_asks_for_one_class_also_as_of_another_time() -> None:
    async with fresh() as node:
        seen = await node.say(valid_until=instant(1_000_000))
        thought = await node.say(relation="maint:due", derived_from=[{"fact_id": seen["id"]}])

        async def asked(**query: Any) -> dict[str, list[str]]:
            pages = {name: await node.get("/v1/facts", trust_class=name, **query) for name in TRUST_CLASSES}
            assert all(each["trust_class"] == name for name, page in pages.items() for each in page["facts"])
            return {name: [each["id"] for each in page["facts"]] for name, page in pages.items() if page["facts"]}

        assert await asked() == {"observed": [seen["id"]], "inferred": [thought["id"]]}
        node.bench.wall_ms += 950_000
        third = await node.say(relation="other:thing")
        assert await asked() == {
            "observed": [third["id"]], "inferred": [thought["id"]], "stale-risk": [seen["id"]],
        }  # fmt: skip
        assert await asked(as_of=instant(500_000)) == {"observed": [seen["id"]], "inferred": [thought["id"]]}
        node.bench.wall_ms += 1_000_000
        assert await asked(include_expired="true", as_of=instant(1_900_000)) == {
            "observed": [third["id"]], "inferred": [thought["id"]], "stale-risk": [seen["id"]],
        }  # fmt: skip


async def test_what_a_peer_said_is_reported_whatever_its_author_or_a_schema_states_and_no_class_crosses_a_link() -> (
    None
):
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        theirs = fact(peer, 1)
        wire = msgspec.json.decode(msgspec.json.encode(entry(peer, theirs)))
        wire["fact"]["trust_class"] = "observed"
        serve(bench, wire)
        await pulled(bench, peer)
        name = f"stigmem://lab.example/relation/{theirs.relation}"
        schema = {"type": "text", "v": json.dumps({"trust_class": "observed"})}
        read(await ask(bench, "POST", "/v1/facts", saying(entity=name, relation="rel:schema", value=schema)), 201)
        assert read(await ask(bench, "GET", f"/v1/facts/{theirs.id}"))["trust_class"] == "reported"
        ours = read(await ask(bench, "POST", "/v1/facts", saying(trust_class="inferred")), 201)
        page = read(await peer.ask("GET", "/v1/federation/facts"))
        assert ours["id"] in [each["fact"]["id"] for each in page["facts"]]
        assert all("trust_class" not in each["fact"] for each in page["facts"])


async def test_only_who_speaks_for_a_source_restates_its_class() -> None:
    """Writing what another key has said is the same word, and its class is that author's to state."""
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED)) as node:
        owner, other = caller("read", "write", entity="agent:owner"), caller("read", "write", entity="agent:other")
        node.state.key_holders["agent:owner"] = 1
        said = saying(source="agent:owner")
        first = read(await ask(bench, "POST", "/v1/facts", said | {"trust_class": "observed"}, by=owner), 201)
        for by, expected in ((other, "observed"), (owner, "inferred"), (ADMIN, "inferred")):
            again = read(await ask(bench, "POST", "/v1/facts", said | {"trust_class": "inferred"}, by=by), 201)
            assert (again["id"], again["trust_class"]) == (first["id"], expected), by.entity_uri
