"""The way out when a wrong clock gave stamps: this node's own facts are voided, and its stamps come back.

A node whose clock was a day ahead for five seconds wrote facts that no peer took for a day, and so was everything that
it wrote afterwards, since stamps never go back.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.hlc import parse_stamp, stamp_wall_ms
from stigmem.core.records import ClockReset, Record
from stigmem.core.uris import VOID_PREFIX
from stigmem.core.wire import Response
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, node_url="http://here.example", federation=True)
DAY_MS = 86_400_000
VOID = "/v1/admin/clock/void"


async def write(bench: Bench, text: str, **members: Any) -> dict[str, Any]:
    bench.wall_ms += 1
    found: dict[str, Any] = read(await ask(bench, "POST", "/v1/facts", saying(text, **members)), 201)
    return found


async def written_ahead(bench: Bench, *texts: str, **members: Any) -> list[dict[str, Any]]:
    """Facts that were said while the clock was believed to be a day later."""
    bench.wall_ms += DAY_MS
    made = [await write(bench, text, **members) for text in texts]
    bench.wall_ms -= DAY_MS
    return made


async def void(bench: Bench, status: int = 200, by: Any = ADMIN, **members: Any) -> Any:
    return read(await ask(bench, "POST", VOID, {"dry_run": False} | members, by=by), status)


def wall_ms(made: dict[str, Any]) -> int:
    return stamp_wall_ms(parse_stamp(made["hlc"]))


async def shown(bench: Bench) -> list[str]:
    return sorted(fact["value"]["v"] for fact in read(await ask(bench, "GET", "/v1/facts"))["facts"])


async def test_after_voiding_a_node_writes_with_stamps_of_the_present_again() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        before = await write(bench, "before", entity="user:a")
        (ahead,) = await written_ahead(bench, "ahead", entity="user:b")
        stuck = await write(bench, "stuck", entity="user:c")
        assert wall_ms(stuck) >= wall_ms(ahead) > bench.wall_ms + DAY_MS - 1_000
        answer = await void(bench, note="the clock was a day ahead")
        assert (answer["facts"], answer["more"], answer["own_stamps_ahead_s"]) == (2, False, 0.0)
        assert await shown(bench) == ["before"]
        after = await write(bench, "after", entity="user:d")
        assert wall_ms(after) == bench.wall_ms
        for made in (ahead, stuck):
            found = read(await ask(bench, "GET", f"/v1/facts/{made['id']}"))
            assert found["voided_by"] == answer["records"][0]
        assert "voided_by" not in read(await ask(bench, "GET", f"/v1/facts/{before['id']}"))
        clock = read(await ask(bench, "GET", "/v1/admin/clock", by=ADMIN))
        assert clock["own_stamps_ahead_s"] == 0


async def test_a_dry_run_shows_what_would_go_and_changes_nothing() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await write(bench, "before", entity="user:a")
        made = await written_ahead(bench, "x", "y", entity="user:b")
        records = len(bench.records)
        for body in (None, {}, {"dry_run": True}):
            found = read(await ask(bench, "POST", VOID, body, by=ADMIN))
            assert (found["dry_run"], found["facts"], found["scopes"]) == (True, 2, {"public": 2})
            assert [each["id"] for each in found["examples"]] == [each["id"] for each in made]
            assert found["records"] == []
        assert len(bench.records) == records
        assert await shown(bench) == ["before", "y"]


async def test_what_counted_is_stated_again_with_right_stamps_where_that_is_asked_for() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await write(bench, "Bonn")
        await written_ahead(bench, "Rome", "Paris")
        answer = await void(bench, reissue=True)
        assert (answer["facts"], answer["reissued"]) == (2, 1)
        (found,) = read(await ask(bench, "GET", "/v1/facts"))["facts"]
        assert (found["value"]["v"], wall_ms(found)) == ("Paris", bench.wall_ms)
        assert found["id"] not in {each["id"] for each in answer["examples"]}


async def test_no_stamp_is_given_twice_when_the_time_of_voided_stamps_has_come() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        bench.wall_ms += DAY_MS
        batch = {"facts": [saying(f"{n}", entity=f"user:{n}") for n in range(20)]}
        read(await ask(bench, "POST", "/v1/facts/batch", batch))
        at_ms = bench.wall_ms
        bench.wall_ms -= DAY_MS
        assert (await void(bench))["facts"] == 20
    async with running(bench, SETTINGS) as node:  # also after a restart
        bench.wall_ms = at_ms
        batch = {"facts": [saying(f"{n}", entity=f"user:{n}") for n in range(30)]}
        read(await ask(bench, "POST", "/v1/facts/batch", batch))
        own = [fact.stamp for fact in node.state.ledger.log if not fact.entity.startswith(VOID_PREFIX)]
        assert len(own) == 50
        assert len(set(own)) == 50


async def test_a_restart_remembers_that_the_clock_went_back() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await written_ahead(bench, "ahead")
        await void(bench)
    async with running(bench, SETTINGS) as node:
        assert node.state.stamps_ahead_ms(bench.wall_ms) == 0
        assert wall_ms(await write(bench, "after")) == bench.wall_ms
        assert await shown(bench) == ["after"]
    assert sum(isinstance(record, ClockReset) for record in bench.records) == 1


async def test_the_clock_comes_back_only_as_far_as_what_still_counts() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        (first,) = await written_ahead(bench, "first", entity="user:a")
        (second,) = await written_ahead(bench, "second", entity="user:b")
        until = first["timestamp"][:23] + "Z"
        assert (await void(bench, until=until))["facts"] == 0
        bench.wall_ms += 1
        after_first = second["timestamp"][:23] + "Z"
        answer = await void(bench, until=after_first)
        assert answer["facts"] == 1
        assert answer["own_stamps_ahead_s"] > 86_000
        assert wall_ms(await write(bench, "third", entity="user:b")) >= wall_ms(second)
        record = bench.node.state.ledger.get(answer["records"][0])
        assert record is not None
        assert record.wall_ms == bench.wall_ms - 1, "the record has to reach peers today"


async def test_the_operator_may_void_what_was_stamped_in_the_past_for_a_year() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await write(bench, "old", entity="user:a")
        bench.wall_ms += 10_000
        await write(bench, "new", entity="user:b")
        since = "2026-11-20T07:55:44Z"
        assert (await void(bench, since=since, until="2026-11-20T07:55:50Z"))["facts"] == 1
        assert await shown(bench) == ["new"]
        bench.wall_ms += limits.VOID_REACH_MS
        refused = await void(bench, 422, since=since)
        assert refused["field"] == "since"
        assert f"facts can be voided for {limits.VOID_REACH_MS // 86_400_000} days" in refused["detail"]


async def test_only_who_may_read_a_scope_voids_what_is_in_it() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await written_ahead(bench, "closed", scope="company", entity="user:a")
        await written_ahead(bench, "open", entity="user:b")
        public = caller("admin", "read", scopes=("public",))
        answer = await void(bench, by=public)
        assert (answer["facts"], answer["scopes"]) == (1, {"public": 1})
        assert await shown(bench) == ["closed"]
        await void(bench, 403, by=caller("read", "write"))


async def test_records_are_one_a_scope_and_as_many_as_a_record_may_name() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        bench.wall_ms += DAY_MS
        for first in (0, 500, 1_000):
            batch = {"facts": [saying("x", entity=f"user:{n}") for n in range(first, first + 500)]}
            read(await ask(bench, "POST", "/v1/facts/batch", batch))
        read(await ask(bench, "POST", "/v1/facts", saying("x", scope="team", entity="user:t")), 201)
        bench.wall_ms -= DAY_MS
        answer = await void(bench)
        assert (answer["facts"], len(answer["records"])) == (1_501, 3)
        made = [node.state.ledger.get(name) for name in answer["records"]]
        assert [(each.scope, each.derived_from.count("fact_id")) for each in made if each is not None] == [
            ("team", 1), ("public", 1_000), ("public", 500),
        ]  # fmt: skip
        again = await void(bench, reissue=True)
        assert (again["facts"], again["records"]) == (0, [])


async def test_a_fact_that_was_voided_may_be_written_again() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        (ahead,) = await written_ahead(bench, "x")
        await void(bench)
        again = await write(bench, "x")
        assert again["id"] != ahead["id"]
        assert await shown(bench) == ["x"]


async def test_while_the_clock_is_in_doubt_nothing_is_voided() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await written_ahead(bench, "x")
        bench.clock.wall_ms += 2 * DAY_MS
        assert (await void(bench, 503, since="2026-11-20T07:00:00Z"))["code"] == "clock_in_doubt"
        assert await shown(bench) == ["x"]
        bench.clock.wall_ms -= 2 * DAY_MS
        assert (await void(bench))["facts"] == 1


async def test_nobody_writes_a_record_by_hand() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        made = await write(bench, "x")
        body = saying("1 facts", entity=f"{VOID_PREFIX}x", relation="clock:void", source=node.node_id,
                      derived_from=[{"voids": 1}, {"fact_id": made["id"]}])  # fmt: skip
        for by in (ADMIN, caller("read", "write"), None):
            refused = read(await ask(bench, "POST", "/v1/facts", body, by=by), 422 if by else 401)
            assert by is None or refused["field"] == "entity"
        assert await shown(bench) == ["x"]


async def test_a_record_is_served_to_peers_of_every_dialect_with_what_it_names() -> None:
    for dialect in ("0.5", "2.1", "2.1+"):
        bench = Bench(NOW_MS)
        peer = Peer(bench, 1, dialect=dialect)
        async with running(bench, SETTINGS):
            (ahead,) = await written_ahead(bench, "ahead")
            answer = await void(bench)
            page = read(await peer.ask("GET", "/v1/federation/facts"))
            facts = [entry.get("fact", entry) for entry in page["facts"]]
            assert [each["id"] for each in facts] == [ahead["id"], answer["records"][0]]
            assert [each["fact_id"] for each in facts[1]["derived_from"][1:]] == [ahead["id"]]
            assert facts[1]["relation"] == "clock:void"


async def test_a_node_that_lost_its_disk_gets_its_records_back_and_is_not_ahead_again() -> None:
    one = Bench(NOW_MS)
    async with running(one, SETTINGS) as node:
        await written_ahead(one, "ahead", entity="user:a")
        await void(one)
        await write(one, "after", entity="user:b")
        entries = [record for record in one.records if isinstance(record, Fact)]
        own = node.node_id
    for order in (entries, entries[::-1], [entries[1], entries[0], entries[2]]):
        home: list[Record] = [
            msgspec.structs.replace(fact, seq=seq, received_from="stigmem:node:peer")
            for seq, fact in enumerate(order, 1)
        ]
        two = Bench(NOW_MS + 10_000)
        two.records = home
        async with running(two, SETTINGS) as node:
            assert node.node_id == own
            assert await shown(two) == ["after"]
            assert node.state.stamps_ahead_ms(two.wall_ms) == 0


async def test_the_log_says_who_voided_what() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await written_ahead(bench, "x")
        answer = await void(bench, note="why")
    (row,) = [row for row in bench.audit_rows if row.event == "facts_voided"]
    told = read(Response(200, {}, row.detail.encode()))
    assert (row.subject, row.fact_id) == (ADMIN.entity_uri, answer["records"][0])
    assert (told["count"], told["scope"], told["note"], told["reissued"]) == (1, "public", "why", False)
