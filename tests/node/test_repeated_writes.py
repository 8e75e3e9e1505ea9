"""The same write again: answered with the fact that stands, and never with one that the words between have ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, WRITER, Peer, ask, read, saying
from tests.node.still import Bench, running
from tests.node.test_api_push import entry, fact, push

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True)
BATCH = "/v1/facts/batch"
DEVICE: dict[str, Any] = {"entity": "device:1", "relation": "m:s"}
YES, NO = saying("ok", **DEVICE), saying("retracted", confidence=0.0, **DEVICE)


async def written(bench: Bench, *bodies: dict[str, Any]) -> list[str]:
    """Ids that answer writes of which each comes a millisecond after the one before."""
    found = []
    for body in bodies:
        bench.wall_ms += 1
        found.append(read(await ask(bench, "POST", "/v1/facts", body), 201)["id"])
    return found


async def in_a_batch(bench: Bench, *bodies: dict[str, Any]) -> list[str]:
    answer = read(await ask(bench, "POST", BATCH, {"facts": list(bodies)}))
    return [result["fact_id"] for result in answer["results"]]


async def in_one_turn(bench: Bench, *bodies: dict[str, Any]) -> list[str]:
    requests = [Request("POST", "/v1/facts", {}, json.dumps(body).encode()) for body in bodies]
    return [read(answer, 201)["id"] for answer in await bench.ask_all(requests, WRITER)]


async def standing(bench: Bench) -> list[str]:
    page = read(await ask(bench, "GET", "/v1/facts?entity=device:1&min_confidence=0.1"))
    return [record["id"] for record in page["facts"]]


@pytest.mark.parametrize("write", [written, in_a_batch, in_one_turn])
@pytest.mark.parametrize("asserted_before", [True, False])
async def test_an_assertion_after_a_retraction_stands_however_close_they_come(
    write: Any, *, asserted_before: bool
) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        before = await written(bench, YES) if asserted_before else []
        ids = [*before, *await write(bench, *([] if asserted_before else [YES]), NO, YES, YES, NO, NO, YES)]
        first, retracted, again, repeated, ended, ended_again, last = ids
        assert again == repeated
        assert ended == ended_again
        assert len({first, retracted, again, ended, last}) == 5
        assert await standing(bench) == [last]


async def test_an_assertion_in_the_turn_of_a_resolution_that_settled_against_it_is_kept() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        ours, other = await written(bench, YES, saying("other", source="agent:other", **DEVICE))
        (conflict,) = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"]
        asked = (
            (f"/v1/conflicts/{conflict['conflict_id']}/resolve", {"winning_fact_id": other}),
            ("/v1/facts", YES),
        )
        found = await bench.ask_all(
            [Request("POST", target, {}, json.dumps(body).encode()) for target, body in asked], WRITER
        )
        again = read(found[1], 201)
        assert again["id"] != ours
        assert again["contradicted"]  # newer than the resolution: it opens the next conflict


async def test_a_denial_is_said_again_once_there_is_something_new_to_deny() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        await push(peer, entry(peer, fact(peer, 1)))
        denied, repeated = await written(bench, NO, NO)
        assert denied == repeated
        await push(peer, entry(peer, fact(peer, 1, ahead_ms=3, text="newer")))
        bench.wall_ms += 5
        (again,) = await written(bench, NO)
        assert again != denied
        (conflict,) = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"]
        assert again in conflict["members"]
        assert denied not in conflict["members"]  # its author has said it anew


async def test_who_took_back_what_it_said_can_still_deny_what_others_say_after_that() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        await written(bench, YES, NO)
        await push(peer, entry(peer, fact(peer, 1, ahead_ms=4)))
        assert read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"] == []
        bench.wall_ms += 5
        (denial,) = await written(bench, NO)
        (conflict,) = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"]
        assert denial in conflict["members"]


@pytest.mark.parametrize("how", ["expired", "settled"])
async def test_a_denial_that_is_over_does_not_answer_a_new_one(how: str) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    denial = NO | ({"valid_until": "2026-11-20T07:56:00Z"} if how == "expired" else {})
    async with running(bench, SETTINGS):
        await push(peer, entry(peer, fact(peer, 1)))
        (first,) = await written(bench, denial)
        (conflict,) = read(await ask(bench, "GET", "/v1/conflicts?status=unresolved"))["conflicts"]
        if how == "settled":
            target = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
            read(await ask(bench, "POST", target, {"winning_fact_id": fact(peer, 1).id}))
        else:
            bench.wall_ms += 60_000
        (again,) = await written(bench, NO)
        assert again != first
        (following,) = read(await ask(bench, "GET", "/v1/conflicts?status=unresolved"))["conflicts"]
        assert again in following["members"]
        assert (following["conflict_id"] == conflict["conflict_id"]) is (how == "expired")
