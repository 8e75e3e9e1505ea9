"""How much a caller may ask for, how many of its requests may be under way, and how many audit rows it may cause."""

from __future__ import annotations

import dataclasses

import pytest

from stigmem.core import limits
from stigmem.core.audit import AuditRow
from stigmem.core.errors import Refusal
from stigmem.host.settings import HostSettings
from stigmem.node.callers import ANONYMOUS
from stigmem.node.quotas import Quotas
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction
from tests.builders import OneSalt
from tests.node.api import NOW_MS, SEED, WRITER, ask, read, saying
from tests.node.still import Bench, running
from tests.node.test_batch import Clock

BATCH = "/v1/facts/batch"

SETTINGS = NodeSettings(seed=SEED, write_per_s=1.0)
MINUTE_NS = 60_000_000_000


def at(monotonic_ns: int = 0) -> Transaction:
    return Transaction(NodeState(SETTINGS, Clock()), SETTINGS, 0, monotonic_ns, salts=OneSalt())


def test_an_hours_writes_may_come_at_once_and_the_next_one_is_refused_and_audited() -> None:
    quotas, txn = Quotas(), at()
    for _ in range(3_600):
        quotas.charge(txn, WRITER, "fact_write")
    with pytest.raises(Refusal) as refused:
        quotas.charge(txn, WRITER, "fact_write")
    assert (refused.value.status, refused.value.extra["dimension"]) == (429, "fact_write")
    assert [row.event for row in txn.records if isinstance(row, AuditRow)] == ["quota_breach"]
    quotas.charge(at(MINUTE_NS), WRITER, "fact_write")


def test_reads_are_not_charged_for_writes_and_who_needs_no_key_is_charged_for_nothing() -> None:
    quotas, txn = Quotas(), at()
    for _ in range(200):
        quotas.charge(txn, WRITER, "fact_read")
        quotas.charge(txn, ANONYMOUS, "fact_write")
    assert txn.records == []


def test_all_strangers_together_have_one_ration_of_audit_rows_and_each_peer_has_its_own() -> None:
    quotas = Quotas()
    allowed = [quotas.may_audit("", 0) for _ in range(limits.STRANGER_AUDIT_ROWS_PER_MINUTE + 5)]
    assert allowed.count(True) == limits.STRANGER_AUDIT_ROWS_PER_MINUTE
    assert quotas.suppressed == 5
    assert quotas.may_audit("peer-1", 0)
    assert quotas.may_audit("", MINUTE_NS)


def test_so_many_may_be_under_way_for_a_name_and_one_that_ends_makes_room_for_another() -> None:
    quotas = Quotas()
    assert [quotas.enter("push", "peer-1", 2) for _ in range(3)] == [True, True, False]
    assert quotas.enter("push", "peer-2", 2)
    assert quotas.enter("audit", "peer-1", 2)
    quotas.leave("push", "peer-1")
    assert quotas.enter("push", "peer-1", 2)


def test_the_table_of_buckets_is_bounded_and_forgets_the_oldest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUOTA_NAMES_MAX", 3)
    quotas = Quotas()
    for name in "abcd":
        assert quotas.wait_s("push", name, 1.0, 1.0, 0) == 0.0
    assert quotas.wait_s("push", "d", 1.0, 1.0, 0) > 0.0
    assert quotas.wait_s("push", "a", 1.0, 1.0, 0) == 0.0, "it was forgotten, and begins anew"


# --- facts are counted, by entity (people met a limit that a batch of 500 passed as one) ---


async def test_a_batch_counts_as_many_writes_as_it_has_facts() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, write_per_s=10 / 3_600)):
        six = {"facts": [saying(f"v{number}") for number in range(6)]}
        assert read(await ask(bench, "POST", BATCH, six))["accepted"] == 6
        refused = await ask(bench, "POST", BATCH, {"facts": [saying(f"w{number}") for number in range(6)]})
        assert (read(refused, 429)["dimension"], refused.headers["retry-after"]) == ("fact_write", "720")
        assert read(await ask(bench, "POST", BATCH, {"facts": [saying(f"x{number}") for number in range(4)]}))
        read(await ask(bench, "POST", "/v1/facts", saying("one more")), 429)
        bench.monotonic_ms += 359_999
        read(await ask(bench, "POST", "/v1/facts", saying("one more")), 429)
        bench.monotonic_ms += 360_001
        read(await ask(bench, "POST", "/v1/facts", saying("one more")), 201)


async def test_a_batch_that_no_waiting_makes_small_enough_is_told_so() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, write_per_s=10 / 3_600)):
        for facts, status in ((11, 413), (10, 200)):
            told = read(await ask(bench, "POST", BATCH, {"facts": [saying(f"v{n}") for n in range(facts)]}), status)
            assert status == 200 or (told["code"], told["detail"][:8]) == ("above_hourly_limit", "11 facts")


async def test_a_batch_that_is_only_repeated_counts_as_one_and_an_empty_one_too() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, write_per_s=10 / 3_600)):
        seven = {"facts": [saying(f"v{number}") for number in range(7)], "idempotency_key": "k"}
        for body in (seven, seven, {"facts": []}):
            read(await ask(bench, "POST", BATCH, body))
        read(await ask(bench, "POST", "/v1/facts", saying("the tenth")), 201)
        read(await ask(bench, "POST", BATCH, seven), 429)


async def test_the_limit_is_that_of_the_entity_and_not_of_each_of_its_keys() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, write_per_s=2 / 3_600)):
        one, two = (WRITER._replace(key_id=name) for name in ("one", "two"))
        read(await ask(bench, "POST", "/v1/facts", saying("a"), by=one), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("b"), by=two), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("c"), by=one), 429)


async def test_a_resolution_with_a_new_value_writes_two_facts() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, write_per_s=4 / 3_600)):
        read(await ask(bench, "POST", "/v1/facts", saying("a")), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("b", source="agent:other")), 201)
        (conflict,) = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"]
        target = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
        read(await ask(bench, "POST", target, {"new_value": {"type": "string", "v": "c"}}))
        read(await ask(bench, "POST", "/v1/facts", saying("d")), 429)


def test_what_the_help_says_of_the_limits_is_true() -> None:
    about = {each.name: each.metadata for each in dataclasses.fields(HostSettings)}
    for name, what in (("rate_limit_write_per_hour", "Facts"), ("rate_limit_read_per_hour", "Requests to read")):
        text = str(about[name])
        assert f"{what} that an entity may" in text
        assert "over all its keys" in text
        assert "and API key" not in text
