"""Batch assertions: each fact by itself, all or nothing, and once for each idempotency key."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.records import Receipt
from stigmem.core.wire import Request, Response
from stigmem.node.callers import Principal
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, WRITER, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED)
BATCH = "/v1/facts/batch"


def batch(*texts: str, **members: Any) -> dict[str, Any]:
    return {"facts": [saying(text, entity=f"device:{text}") for text in texts], **members}


async def both(bench: Bench, first: Any, second: Any, by: Principal = WRITER) -> list[Response]:
    """The answers to two batches that are in the mailbox together."""
    return await bench.ask_all([Request("POST", BATCH, {}, json.dumps(body).encode()) for body in (first, second)], by)


async def test_every_fact_of_a_batch_is_stored_and_audited() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        found = read(await ask(bench, "POST", BATCH, batch("a", "b", "c")))
        assert (found["accepted"], found["rejected"]) == (3, 0)
        ids = [result["fact_id"] for result in found["results"]]
        assert found["results"] == [{"index": i, "status": "accepted", "fact_id": ids[i]} for i in range(3)]
        assert [fact.id for fact in node.state.ledger.log] == ids
        assert [(row.event, row.fact_id) for row in bench.audit_rows] == [("fact_write", name) for name in ids]


async def test_a_batch_and_single_writes_make_the_same_facts() -> None:
    single, many = Bench(NOW_MS), Bench(NOW_MS)
    bodies = [saying("a", entity="device:a", valid_until="2031-06-01T00:00:00Z"), saying("b", confidence=0.5)]
    async with running(single, SETTINGS), running(many, SETTINGS):
        for body in bodies:
            read(await ask(single, "POST", "/v1/facts", body), 201)
        read(await ask(many, "POST", BATCH, {"facts": bodies}))
    facts = [[record for record in bench.records if isinstance(record, Fact)] for bench in (single, many)]
    assert facts[0] == facts[1]
    assert single.audit_rows == many.audit_rows


async def test_a_bad_fact_costs_only_itself() -> None:
    bench = Bench(NOW_MS)
    bad: list[Any] = [
        17, None, saying(scope="banana"), saying(confidence=1.5), saying(entity=" "),
        saying(value={"type": "number", "v": "x"}),
        saying(source=""), saying(value={"type": "text", "v": "x" * 70_000}), saying(garden_id="stigmem://x/garden/y"),
    ]  # fmt: skip
    async with running(bench, SETTINGS) as node:
        found = read(await ask(bench, "POST", BATCH, {"facts": [saying("good"), *bad, saying("better")]}))
        assert (found["accepted"], found["rejected"]) == (2, len(bad))
        assert [result["status"] == "accepted" for result in found["results"]] == [True, *[False] * len(bad), True]
        assert all(result["error"]["code"] and result["error"]["message"] for result in found["results"][1:-1])
        assert found["results"][4]["error"] == {
            "code": "validation_failed", "message": "confidence must be at most 1.0", "field": "confidence",
        }  # fmt: skip
        assert len(node.state.ledger) == 2


async def test_an_atomic_batch_stores_nothing_when_one_fact_is_bad() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        facts = [saying("a"), saying("b", scope="banana")]
        found = read(await ask(bench, "POST", BATCH, {"facts": facts, "atomic": True}))
        assert (found["accepted"], found["rejected"]) == (0, 2)
        assert [result["error"]["code"] for result in found["results"]] == ["batch_aborted", "validation_failed"]
        assert len(node.state.ledger) == 0
        assert bench.records == []


async def test_authorisation_is_judged_for_each_fact() -> None:
    bench = Bench(NOW_MS)
    by = caller("write", scopes=("public",))
    instruction = saying("obey", value={"type": "string", "v": "obey", "interpret_as": "instruction"})
    async with running(bench, SETTINGS) as node:
        facts = [saying("a"), saying("b", scope="company"), instruction]
        found = read(await ask(bench, "POST", BATCH, {"facts": facts}, by=by))
        codes = [result.get("error", {}).get("code") for result in found["results"]]
        assert codes == [None, "scope_not_allowed", "instruction_write_required"]
        assert len(node.state.ledger) == 1
        assert read(await ask(bench, "POST", BATCH, {"facts": []}, by=caller("read")), 403)


async def test_facts_of_a_batch_that_say_the_same_are_one() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        found = read(await ask(bench, "POST", BATCH, {"facts": [saying(), saying()]}))
        assert len({result["fact_id"] for result in found["results"]}) == 1
        assert len(node.state.ledger) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"facts": [saying()] * (limits.BATCH_FACTS_MAX + 1)}, {"facts": {}}, {}, [], {"facts": [], "atomic": "yes"},
        {"facts": [], "idempotency_key": ""}, {"facts": [], "idempotency_key": "k" * 257},
    ],
)  # fmt: skip
async def test_what_is_no_batch_is_refused_as_a_whole(body: Any) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert isinstance(read(await ask(bench, "POST", BATCH, body), 422)["errors"], list)
        assert bench.records == []


# --- idempotency ---


async def test_the_same_key_and_body_get_the_same_answer_also_after_a_restart() -> None:
    bench = Bench(NOW_MS)
    body = batch("a", "b", idempotency_key="k-1")
    async with running(bench, SETTINGS):
        first = await ask(bench, "POST", BATCH, body)
        # A retraction would let the same facts be written anew, were they not answered from the receipt.
        read(await ask(bench, "POST", "/v1/facts", saying("a", entity="device:a", confidence=0.0)), 201)
        again = await ask(bench, "POST", BATCH, body)
        assert (again.status, again.body) == (200, first.body)
    async with running(bench, SETTINGS) as node:
        assert (await ask(bench, "POST", BATCH, body)).body == first.body
        assert len(node.state.ledger) == 3


async def test_the_same_key_with_another_body_is_a_conflict() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        read(await ask(bench, "POST", BATCH, batch("a", idempotency_key="k-1")))
        refused = read(await ask(bench, "POST", BATCH, batch("b", idempotency_key="k-1")), 409)
        assert refused["code"] == "idempotency_key_reused"
        assert len(node.state.ledger) == 1


async def test_keys_of_different_callers_do_not_meet() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        read(await ask(bench, "POST", BATCH, batch("a", idempotency_key="k")))
        read(await ask(bench, "POST", BATCH, batch("b", idempotency_key="k"), by=caller("write")))
        assert len(node.state.ledger) == 2


async def test_a_key_is_forgotten_after_a_day() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        read(await ask(bench, "POST", BATCH, batch("a", idempotency_key="k")))
        bench.wall_ms += limits.RECEIPT_LIFE_S * 1_000
        read(await ask(bench, "POST", BATCH, batch("b", idempotency_key="k")), 409)
        bench.wall_ms += 1
        read(await ask(bench, "POST", BATCH, batch("b", idempotency_key="k")))
        assert len(node.state.ledger) == 2
        assert len(node.state.receipts) == 1


async def test_two_requests_with_one_key_at_the_same_time_act_once() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        same = batch("a", idempotency_key="k")
        first, second = await both(bench, same, same)
        assert (first.status, second.status, first.body) == (200, 200, second.body)
        assert len([record for record in bench.records if isinstance(record, Receipt)]) == 1
        other, clash = await both(bench, batch("b", idempotency_key="q"), batch("c", idempotency_key="q"))
        assert (other.status, clash.status) == (200, 409)
        assert len(node.state.ledger) == 2


async def test_receipts_are_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        monkeypatch.setattr(limits, "RECEIPTS_MAX", 3)
        for number in range(5):
            read(await ask(bench, "POST", BATCH, batch(f"f{number}", idempotency_key=f"k{number}")))
        assert len(node.state.receipts) == 3
        size = max(len(receipt.response) for receipt in node.state.receipts.values())
        monkeypatch.setattr(limits, "RECEIPTS_BYTES_MAX", 2 * size)
        read(await ask(bench, "POST", BATCH, batch("last", idempotency_key="k9")))
        assert len(node.state.receipts) == 2
        assert msgspec.json.decode(list(node.state.receipts.values())[-1].response)["accepted"] == 1


async def test_a_turn_full_of_batches_goes_on_in_the_next() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        count = 2 * limits.TURN_RECORDS_MAX // limits.BATCH_FACTS_MAX
        batches = [
            {"facts": [saying(f"{number} {i}", entity=f"e:{number}-{i}") for i in range(limits.BATCH_FACTS_MAX)]}
            for number in range(count)
        ]
        answers = await bench.ask_all(
            [Request("POST", BATCH, {}, json.dumps(each).encode()) for each in batches], WRITER
        )
        assert [answer.status for answer in answers] == [200] * count
        assert len(node.state.ledger) == count * limits.BATCH_FACTS_MAX
        assert node.writer.commits >= 4
