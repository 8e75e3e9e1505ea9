"""What an author said before and since: the marks of a record, the filter, the history, and provenance."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stigmem.core.envelope import entry_json
from stigmem.core.hlc import stamp_wall_ms
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.still import Bench, running
from tests.node.test_sources import pulled, serve

SETTINGS = NodeSettings(seed=SEED)
MARKS = ("supersedes", "superseded_by", "retracted_by")


async def said(bench: Bench, text: str, **members: Any) -> Any:
    bench.wall_ms += 1
    return read(await ask(bench, "POST", "/v1/facts", saying(text, **members)), 201)


async def looked_up(bench: Bench, fact_id: str) -> dict[str, str]:
    record = read(await ask(bench, "GET", f"/v1/facts/{fact_id}"))
    return {mark: record[mark] for mark in MARKS if mark in record}


async def values(bench: Bench, target: str) -> list[str]:
    return [each["value"]["v"] for each in read(await ask(bench, "GET", target))["facts"]]


async def test_the_answer_to_a_write_names_what_it_superseded_and_a_record_what_ended_it() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        first = await said(bench, "Bonn")
        assert not any(mark in first for mark in MARKS), "a fact that ended nothing looks as it always did"
        second = await said(bench, "Rome")
        assert second["supersedes"] == first["id"]
        third = await said(bench, "retracted", confidence=0.0)
        assert not any(mark in third for mark in MARKS)
        fourth = await said(bench, "Oslo")
        assert await looked_up(bench, first["id"]) == {"superseded_by": second["id"]}
        assert await looked_up(bench, second["id"]) == {"supersedes": first["id"], "retracted_by": third["id"]}
        assert await looked_up(bench, fourth["id"]) == {"supersedes": third["id"]}
        other = await said(bench, "Oslo", source="agent:other")
        assert not any(mark in other for mark in MARKS), "another author's word ends nothing"


async def test_twenty_notes_of_one_agent_show_the_last_and_the_others_when_asked() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number in range(20):
            await said(bench, f"note {number}")
        await said(bench, "taken back", source="agent:other")
        await said(bench, "retracted", source="agent:other", confidence=0.0)
        shown = "/v1/facts?min_confidence=0.1&limit=100"
        assert await values(bench, shown) == ["note 19"]
        assert await values(bench, f"{shown}&include_superseded=true") == [f"note {n}" for n in range(19, -1, -1)]
        everything = await values(bench, f"{shown}&include_contradicted=true")
        assert everything == ["taken back", *(f"note {n}" for n in range(19, -1, -1))]


async def test_the_history_of_a_fact_pages_through_all_that_its_author_said() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        ids = [(await said(bench, f"note {number}"))["id"] for number in range(7)]
        await said(bench, "else", source="agent:other")
        for fact_id in (ids[0], ids[3]):
            target, found = f"/v1/facts/{fact_id}/history?limit=3", []
            cursor = ""
            while cursor is not None:
                page = read(await ask(bench, "GET", f"{target}&cursor={cursor}" if cursor else target))
                found += [each["id"] for each in page["facts"]]
                cursor = page["cursor"]
            assert found == ids[::-1]
        assert len(await values(bench, f"/v1/facts/{ids[0]}/history?all_authors=true")) == 8
        lone = await said(bench, "lone", relation="maint:lone")
        assert await values(bench, f"/v1/facts/{lone['id']}/history") == ["lone"]
        public = caller("read", scopes=("public",))
        hidden = await said(bench, "hidden", scope="company")
        assert (await ask(bench, "GET", f"/v1/facts/{hidden['id']}/history", by=public)).status == 404
        assert (await ask(bench, "GET", f"/v1/facts/{ids[0]}/history?cursor=x")).status == 400


async def test_provenance_tells_what_has_been_ended_since() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        first, gone = await said(bench, "Bonn"), await said(bench, "x", relation="maint:x")
        derived = await said(
            bench, "so", relation="maint:so", derived_from=[{"fact_id": first["id"]}, {"fact_id": gone["id"]}]
        )
        target = f"/v1/facts/{derived['id']}/provenance"
        assert not any(mark in each for each in read(await ask(bench, "GET", target))["derived_from"] for mark in MARKS)
        second = await said(bench, "Rome")
        ending = await said(bench, "retracted", relation="maint:x", confidence=0.0)
        one, other = read(await ask(bench, "GET", target))["derived_from"]
        assert (one["superseded_by"], other["retracted_by"]) == (second["id"], ending["id"])


@pytest.mark.parametrize("ahead_ms", [5_000, 200_000])
async def test_what_a_node_said_before_it_lost_its_disk_does_not_outrank_what_it_says_now(ahead_ms: int) -> None:
    old, new = Bench(NOW_MS + ahead_ms), Bench(NOW_MS)
    settings = NodeSettings(seed=SEED, federation=True)
    async with running(old, settings) as before:
        read(await ask(old, "POST", "/v1/facts", saying("before")), 201)
        (said_before,) = before.state.ledger.log
        ours = before.node_id
    peer = Peer(new, 1)
    async with running(new, settings) as node:
        assert node.node_id == ours
        serve(new, json.loads(entry_json(said_before, node.identity.signer, "http://node.example")))
        await pulled(new, peer)
        held = node.state.ledger.held(ours, said_before.id)
        assert held is not None
        record = await said(new, "now")
        assert record["supersedes"] == held.id
        assert stamp_wall_ms(node.state.ledger.log[-1].stamp) >= NOW_MS + ahead_ms
