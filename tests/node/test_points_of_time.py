"""`as_of` and `known_at` (spec/queries.md): what a node answered then, what all nodes agree on, and for whom."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

import pytest

from stigmem.core.hlc import format_stamp, stamp
from stigmem.core.records import HorizonMark, Record
from stigmem.core.timestamps import format_us
from stigmem.node.callers import PERMISSIONS
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, ask, caller, read, saying
from tests.node.fresh import fresh, members
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED)
QUERIES = (
    "limit=3", "include_superseded=true&limit=4", "include_contradicted=true&include_expired=true",
    "entity=user:1&include_retracted=true", "scope=public",
)  # fmt: skip


async def said(bench: Bench, text: str, **members: Any) -> Any:
    bench.wall_ms += 1
    return read(await ask(bench, "POST", "/v1/facts", saying(text, **members)), 201)


async def pages(bench: Bench, query: str, **by: Any) -> list[Any]:
    """Every page of an answer, without its cursors and the name of its point of time."""
    found, cursor = [], None
    while True:
        path = f"/v1/facts?{query}" + (f"&cursor={cursor}" if cursor else "")
        page = read(await ask(bench, "GET", path, **by))
        cursor = page.pop("cursor")
        page.pop("point_of_time", None)
        found.append(page)
        if cursor is None:
            return found


async def values(bench: Bench, query: str, **by: Any) -> list[str]:
    return [each["value"]["v"] for page in await pages(bench, query, **by) for each in page["facts"]]


async def answers(bench: Bench, point: str = "") -> list[Any]:
    """What a node answers to questions of each kind: pages of facts, single facts, conflicts and single conflicts."""
    found: list[Any] = [await pages(bench, f"{query}&{point}") for query in QUERIES]
    rows = [row for page in found[2] for row in page["facts"]][:5]
    found += [read(await ask(bench, "GET", f"/v1/facts/{row['id']}?{point}")) for row in rows]
    assert [one for one in rows if one not in found] == [], "a page and a single fact show the same"
    listed = read(await ask(bench, "GET", f"/v1/conflicts?limit=500&{point}"))["conflicts"]
    for one in listed[:3]:
        assert read(await ask(bench, "GET", f"/v1/conflicts/{one['conflict_id']}?{point}")) == one
    return [*found, sorted(listed, key=lambda one: str(one["conflict_id"]))]


async def happen(bench: Bench, draw: random.Random) -> None:
    """Something that changes what is answered: a word, a retraction, an expiry, a settlement, a sweep."""
    members: dict[str, Any] = {
        "entity": f"user:{draw.randint(0, 3)}", "source": f"agent:{draw.choice('abc')}",
        "scope": draw.choice(("public", "team")),
    }  # fmt: skip
    if draw.random() < 0.3:
        members["valid_until"] = format_us((bench.wall_ms + draw.randint(1, 4_000)) * 1000)
    if draw.random() < 0.2:
        members["confidence"] = 0.0
    await said(bench, f"value {draw.randint(0, 2)}" if "confidence" not in members else "retracted", **members)
    swept = bool(bench.node.state.ledger.sweeps)
    bench.wall_ms += draw.choice((0, 5, 1_500, 0 if swept else -800))  # a second sweep of one fact would move the first
    if draw.random() < 0.2:
        listed = read(await ask(bench, "GET", "/v1/conflicts?status=unresolved"))["conflicts"]
        if listed:
            body = {"winning_fact_id": draw.choice(listed[0]["members"])}
            await ask(bench, "POST", f"/v1/conflicts/{listed[0]['conflict_id']}/resolve", body)
    if draw.random() < 0.25:
        read(await ask(bench, "POST", "/v1/decay/sweep?scope=public&ttl_seconds=1"), 200)


@pytest.mark.parametrize("seed", range(4))
async def test_known_at_is_what_the_node_answered_then_also_after_a_restart(seed: int) -> None:
    draw, bench = random.Random(seed), Bench(NOW_MS)
    recorded: dict[int, list[Any]] = {}
    async with running(bench, SETTINGS):
        for number in range(25):
            await happen(bench, draw)
            await said(bench, f"mark {number}", entity="user:mark")
            recorded[bench.node.state.ledger.last_seq] = await answers(bench)
        assert bench.node.state.ledger.sweeps or seed, "a sweep must be among what happens"
        for seq, answered in recorded.items():
            assert await answers(bench, f"known_at=s:{seq}") == answered, seq
    async with running(bench, SETTINGS):
        bench.wall_ms += 100_000_000
        for seq, answered in list(recorded.items())[::6]:
            assert await answers(bench, f"known_at=s:{seq}") == answered, seq


async def test_as_of_shows_the_facts_stamped_up_to_then_and_judges_expiry_then() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        until = format_us((NOW_MS + 5_000) * 1000)
        await said(bench, "Rome", source="agent:a", valid_until=until)
        first_ms = bench.wall_ms
        await said(bench, "Bonn", source="agent:b")
        second = await said(bench, "Oslo", source="agent:a")
        bench.wall_ms += 60_000
        at_first = quote(format_us(first_ms * 1000))
        assert await values(bench, f"as_of={at_first}") == ["Rome"]
        assert await values(bench, f"as_of={format_stamp(stamp(first_ms, 0))}") == ["Rome"]
        at_second = format_stamp(stamp(first_ms + 1, 0))
        assert await values(bench, f"as_of={at_second}") == []
        assert await values(bench, f"as_of={at_second}&include_contradicted=true") == ["Bonn", "Rome"]
        late = quote(format_us((NOW_MS + 5_001) * 1000))
        assert await values(bench, f"as_of={late}&include_contradicted=true&include_superseded=true") == [
            "Oslo",
            "Bonn",
        ]
        assert await values(bench, f"as_of={quote(format_us((NOW_MS - 1) * 1000))}") == []
        told = read(await ask(bench, "GET", f"/v1/facts?as_of={at_first}"))
        assert told["point_of_time"] == {"as_of": format_us(first_ms * 1000), "expiry_at": format_us(first_ms * 1000)}
        assert "superseded_by" not in told["facts"][0], "nothing had ended it then"
        history = read(await ask(bench, "GET", f"/v1/facts/{second['id']}/history?as_of={at_second}"))
        assert history["facts"] == [], "what is asked about had not been said"


async def test_pages_stay_at_their_point_of_time_while_the_past_is_written_to() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number in range(6):
            await said(bench, f"value {number}", entity=f"user:{number}")
        for point in (f"as_of={format_stamp(stamp(bench.wall_ms + 900, 0))}", "known_at=s:6", "known_at=now"):
            before = await values(bench, f"{point}&limit=100")
            first = read(await ask(bench, "GET", f"/v1/facts?{point}&limit=2"))
            await said(bench, f"late {point[:5]}", entity="user:0", source="agent:late")
            name = quote(first["point_of_time"].get("known_at", ""))
            again = f"known_at={name}" if point == "known_at=now" else point
            rest = f"/v1/facts?{again}&limit=100&cursor={first['cursor']}"
            shown = [*first["facts"], *read(await ask(bench, "GET", rest))["facts"]]
            assert [each["value"]["v"] for each in shown] == before
            other = await ask(bench, "GET", f"/v1/facts?as_of=2026-11-20T07:00:00Z&cursor={first['cursor']}")
            assert (other.status, read(other, 400)["code"]) == (400, "invalid_cursor")
            assert read(await ask(bench, "GET", f"/v1/facts?cursor={first['cursor']}"), 400)["code"] == "invalid_cursor"


async def test_numbers_are_for_callers_from_whom_nothing_is_hidden_and_the_others_name_their_moments() -> None:
    bench, one = Bench(NOW_MS), caller("read", scopes=("public",))
    async with running(bench, SETTINGS):
        await said(bench, "seen", scope="public")
        told = read(await ask(bench, "GET", "/v1/facts?known_at=now", by=one))["point_of_time"]
        await said(bench, "hidden", scope="team")
        await said(bench, "later", scope="public")
        assert await values(bench, f"known_at={told['known_at']}", by=one) == ["seen"]
        refused = read(await ask(bench, "GET", "/v1/facts?known_at=s:1", by=one), 403)
        assert (refused["code"], refused["field"]) == ("scope_not_allowed", "known_at")
        assert await values(bench, "known_at=s:2", by=caller(*PERMISSIONS)) == ["hidden", "seen"]


async def test_conflicts_of_then_have_pages_of_one_moment_and_show_nobody_what_is_closed_to_him() -> None:
    bench, one = Bench(NOW_MS), caller("read", scopes=("public",))
    async with running(bench, SETTINGS):
        for scope in ("public", "team", "public", "public"):
            for source in ("agent:a", "agent:b"):
                await said(bench, source, entity=f"user:{bench.wall_ms}"[:-1], source=source, scope=scope)
            bench.wall_ms += 20
        until = quote(format_us(bench.wall_ms * 1000))
        before = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"]
        first = read(await ask(bench, "GET", "/v1/conflicts?known_at=now&limit=2", by=one))
        seen = [each["conflict_id"] for each in first["conflicts"]]
        bench.wall_ms += 5
        body = {"winning_fact_id": before[0]["fact_a"]["id"]}
        read(await ask(bench, "POST", f"/v1/conflicts/{seen[0]}/resolve", body), 200)
        await said(bench, "late", entity=before[-1]["fact_a"]["entity"], source="agent:late")
        name = quote(first["point_of_time"]["known_at"])
        path = f"/v1/conflicts?known_at={name}&limit=2&cursor={first['cursor']}"
        rest = read(await ask(bench, "GET", path, by=one))
        assert (rest["cursor"], rest["has_more"], first["has_more"]) == (None, False, True)
        shown = [*first["conflicts"], *rest["conflicts"]]
        assert shown == [each for each in before if each["fact_a"]["scope"] == "public"]
        assert [each["status"] for each in shown] == ["unresolved"] * 3
        (hidden,) = (each["conflict_id"] for each in before if each["conflict_id"] not in str(shown))
        read(await ask(bench, "GET", f"/v1/conflicts/{hidden}?known_at={name}", by=one), 404)
        read(await ask(bench, "GET", f"/v1/conflicts/{hidden}?as_of={until}", by=one), 404)
        assert read(await ask(bench, "GET", f"/v1/conflicts/{hidden}?as_of={until}"))["conflict_id"] == hidden
        secret = next(each["fact_a"]["id"] for each in before if each["conflict_id"] == hidden)
        read(await ask(bench, "GET", f"/v1/facts/{secret}?as_of={until}", by=one), 404)
        assert read(await ask(bench, "GET", "/v1/conflicts?known_at=s:1", by=one), 403)["field"] == "known_at"
        mixed = f"/v1/conflicts?as_of={until}&cursor={first['cursor']}"
        assert read(await ask(bench, "GET", mixed), 400)["code"] == "invalid_cursor"
        facts = read(await ask(bench, "GET", f"/v1/facts?as_of={until}&limit=1&include_contradicted=true"))
        crossed = f"/v1/conflicts?as_of={until}&cursor={facts['cursor']}"
        assert read(await ask(bench, "GET", crossed), 400)["code"] == "invalid_cursor"
        assert read(await ask(bench, "GET", f"/v1/conflicts?as_of={until}&status=resolved"))["conflicts"] == []


async def test_a_fact_of_then_is_there_by_id_and_content_from_when_it_was_stored_on() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        old = await said(bench, "Bonn", valid_until=format_us((NOW_MS + 9_000) * 1000))
        at = quote(old["hlc"])
        new = await said(bench, "Bonn", valid_until=format_us((NOW_MS + 99_000) * 1000))
        assert new["cid"] == old["cid"]
        assert read(await ask(bench, "GET", f"/v1/facts/{new['cid']}"))["id"] == new["id"]
        assert read(await ask(bench, "GET", f"/v1/facts/{new['cid']}?as_of={at}"))["id"] == old["id"]
        assert read(await ask(bench, "GET", f"/v1/facts/{old['id']}?known_at=s:1")) == {**old, "warnings": []}
        assert read(await ask(bench, "GET", f"/v1/facts/{old['id']}"))["superseded_by"] == new["id"]
        for point in (f"as_of={at}", "known_at=s:1"):
            read(await ask(bench, "GET", f"/v1/facts/{new['id']}?{point}"), 404)


async def test_one_point_of_time_is_named_at_once_and_none_by_number_in_a_garden() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await said(bench, "one")
        both = read(await ask(bench, "GET", "/v1/facts?known_at=s:1&as_of=2026-11-20T07:00:00Z"), 422)
        assert both["detail"] == "as_of and known_at are two points of time; name one"
        read(await ask(bench, "POST", "/v1/gardens", {"slug": "g", "name": "g", "scope": "team"}), 201)
        garden = "stigmem://testnode/garden/g"
        told = read(await ask(bench, "GET", f"/v1/facts?garden_id={garden}&known_at=s:1"), 422)
        assert told["field"] == "known_at"
        assert await values(bench, f"garden_id={garden}&as_of=2026-11-20T07:00:00Z") == []
        for source in ("agent:a", "agent:b"):
            await said(bench, source, source=source, scope="team", garden_id=garden)
        then = f"as_of={quote(format_us(bench.wall_ms * 1000))}"
        inside = read(await ask(bench, "GET", f"/v1/conflicts?garden_id={garden}&{then}"))
        assert [each["fact_a"]["garden_id"][-9:] for each in inside["conflicts"]] == ["/garden/g"]
        assert read(await ask(bench, "GET", f"/v1/conflicts?{then}"))["conflicts"] == []
        assert (
            read(await ask(bench, "GET", f"/v1/conflicts?garden_id={garden}&known_at=now"), 422)["field"] == "known_at"
        )


async def test_what_was_stored_before_instants_were_recorded_is_refused_and_not_made_up_for() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await said(bench, "old")
    old: list[Record] = [each for each in bench.records if not isinstance(each, HorizonMark)]
    bench.records[:] = old
    async with running(bench, SETTINGS):
        await said(bench, "new")
        told = read(await ask(bench, "GET", "/v1/facts?known_at=s:1"), 422)
        assert "was not recorded" in told["detail"]
        assert await values(bench, "known_at=s:2&include_superseded=true") == ["new", "old"]
        many = read(await ask(bench, "GET", "/v1/facts?known_at=s:3"), 422)
        assert many["detail"] == "this node has stored 2 facts"


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_known_goes_by_the_schemas_that_were_in_force_then(seed: int) -> None:
    """Schemas come, are replaced, expire and are taken back; each moment can be asked for again, as it was answered."""
    draw = random.Random(seed)
    documents = (
        {"cardinality": "many"}, {"value_type": ["number"]}, {"value_type": ["string"], "cardinality": "many"},
        {"json_schema": {"minimum": 2}}, {"value_type": ["json", "number"]},
    )  # fmt: skip
    entity, target = "stigmem://testnode/relation/shop:price", "/v1/facts"
    async with fresh() as node:
        answered: dict[int, tuple[Any, ...]] = {}

        async def asked(**point: Any) -> tuple[Any, ...]:
            found = []
            for more in ({}, {"include_contradicted": "true"}, {"include_misfits": "true"}):
                page = await node.get(target, relation="shop:price", **more, **point)
                shown = [{**each, "trust_class": ""} for each in page["facts"]]
                found.append((shown, page["hidden_by_conflict"]))
            return tuple(found)

        for number in range(40):
            node.bench.wall_ms += draw.choice((1, 50, 2_000))
            if draw.random() < 0.3:
                until = {"valid_until": format_us((node.bench.wall_ms + 3_000) * 1_000)} if draw.random() < 0.4 else {}
                text = {"type": "text", "v": json.dumps(draw.choice(documents))}
                sure = {"confidence": 0.0} if draw.random() < 0.25 else until
                body = members(entity=entity, relation="rel:schema", value=text, source="agent:shop") | sure
            else:
                value = draw.choice(({"type": "number", "v": number % 4}, {"type": "string", "v": f"v{number % 3}"}))
                body = members(relation="shop:price", value=value, source=draw.choice(("agent:a", "agent:b")))
            response = await node.ask("POST", target, body)
            assert response.status in (201, 422), response.body
            await node.bench.settle()
            if response.status == 201:
                answered[node.node.state.ledger.last_seq] = await asked()
        assert len(answered) > 15
        for seq, then in answered.items():
            assert await asked(known_at=f"s:{seq}") == then, seq
