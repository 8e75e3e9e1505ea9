"""How much a caller may ask for, how many of its requests may be under way, and how many audit rows it may cause."""

from __future__ import annotations

import pytest

from stigmem.core import limits
from stigmem.core.audit import AuditRow
from stigmem.core.errors import Refusal
from stigmem.node.callers import ANONYMOUS
from stigmem.node.quotas import Quotas
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction
from tests.node.api import SEED, WRITER
from tests.node.test_batch import Clock

SETTINGS = NodeSettings(seed=SEED, write_per_s=1.0)
MINUTE_NS = 60_000_000_000


def at(monotonic_ns: int = 0) -> Transaction:
    return Transaction(NodeState(SETTINGS, Clock()), SETTINGS, 0, monotonic_ns)


def test_a_minutes_writes_may_come_at_once_and_the_next_one_is_refused_and_audited() -> None:
    quotas, txn = Quotas(), at()
    for _ in range(60):
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
