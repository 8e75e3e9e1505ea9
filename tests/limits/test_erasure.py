"""Bounds of erasing: how much is asked for, kept and rewritten at one time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.audit import AuditRow
from stigmem.core.records import Record
from stigmem.node.api.tombstones import PollParameters
from stigmem.node.settings import NodeSettings
from tests.limits.table import edge
from tests.node.api import ADMIN, NOW_MS, SEED, ask, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True, tombstone_signers=("*=user:",))
FEW = 3


async def forget(bench: Bench, who: str, status: int = 201, **members: Any) -> Any:
    return read(await ask(bench, "POST", "/v1/tombstones", {"entity_uri": who} | members, by=ADMIN), status)


@edge("TOMBSTONE_REASON_CHARS_MAX")
async def test_a_reason_for_erasing_may_be_so_long_and_no_longer() -> None:
    most = limits.TOMBSTONE_REASON_CHARS_MAX
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await forget(bench, "user:a", reason="x" * most)
        await forget(bench, "user:b", 422, reason="x" * (most + 1))


@edge("TOMBSTONES_PER_PAGE_MAX")
def test_a_reader_asks_for_so_many_tombstones_and_no_more() -> None:
    most = limits.TOMBSTONES_PER_PAGE_MAX
    assert msgspec.convert({"limit": most}, PollParameters).limit == most
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"limit": most + 1}, PollParameters)


@edge("TOMBSTONES_MAX")
async def test_so_many_tombstones_are_kept_and_the_next_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TOMBSTONES_MAX", FEW)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number in range(FEW):
            await forget(bench, f"user:{number}")
        refused = await forget(bench, "user:more", 409)
        assert refused["code"] == "tombstones_full"


@edge("ERASED_PER_BATCH_MAX", "AUDIT_ROWS_PER_SLICE_MAX")
async def test_what_is_erased_leaves_the_journal_by_so_many_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ERASED_PER_BATCH_MAX", FEW)
    monkeypatch.setattr(limits, "AUDIT_ROWS_PER_SLICE_MAX", FEW)
    bench = Bench(NOW_MS)
    batches: list[int] = []
    slices: list[int] = []
    commit, audit = bench.journal.commit, bench.journal.audit

    async def counted(records: Sequence[Record]) -> None:
        batches.append(sum(type(record).__name__ in ("Husk", "ErasedAudit") for record in records))
        await commit(records)

    async def sliced(after: int, limit: int) -> list[AuditRow]:
        rows: list[AuditRow] = await audit(after, limit)
        slices.append(len(rows))
        return rows

    monkeypatch.setattr(bench.journal, "commit", counted)
    monkeypatch.setattr(bench.journal, "audit", sliced)
    async with running(bench, SETTINGS):
        for number in range(2 * FEW + 1):
            body = saying(f"secret {number}", entity="user:a", relation=f"r:{number}")
            read(await ask(bench, "POST", "/v1/facts", body), 201)
        await forget(bench, "user:a")
        await bench.settle()
    assert max(batches) == FEW
    assert sum(batches) >= 2 * (2 * FEW + 1)  # every fact, and what the audit log said of it
    assert max(slices) == FEW
