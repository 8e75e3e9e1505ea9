"""The audit chain: every change inside it shows, wherever it is made (spec/audit.md)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.audit import EVENTS, AuditRow, ChainHead, append, event_hash, verify
from stigmem.core.canonical import compact, sha256_hex
from stigmem.core.records import decode_record, encode_record
from tests.builders import T0_MS

CHANGES: dict[str, Any] = {
    "seq": 99, "event": "peer_revoked", "subject": "somebody else", "fact_id": "another", "detail": '{"n":99}',
    "ts_us": 1, "previous": "sha256:" + "0" * 64, "hash": "sha256:" + "0" * 64,
}  # fmt: skip
REASON = {"seq": "seq_gap", "previous": "previous_hash_mismatch"}


def chain(length: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    head = ChainHead()
    for number in range(length):
        fact_id = f"fact-{number}" if number % 2 else None
        row = append(head, "fact_write", f"agent:{number}", fact_id, {"n": number, "é": "ü"}, T0_MS * 1000 + number)
        rows.append(row)
        head = ChainHead(row.seq, row.hash)
    return rows


@given(st.integers(0, 12))
def test_a_chain_as_it_was_written_verifies(length: int) -> None:
    rows = chain(length)
    head, broken = verify(rows)
    assert broken is None
    assert head == ChainHead(length, rows[-1].hash if rows else None)
    assert [decode_record(encode_record(row)) for row in rows] == rows


@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize("member", CHANGES)
def test_a_changed_member_breaks_the_chain_at_its_row(member: str, at: int) -> None:
    rows = chain(5)
    rows[at] = msgspec.structs.replace(rows[at], **{member: CHANGES[member]})
    head, broken = verify(rows)
    assert (head.seq, broken) == (at, REASON.get(member, "hash_mismatch"))


def test_every_member_of_a_row_is_tampered_with_above() -> None:
    assert set(CHANGES) == set(AuditRow.__struct_fields__)


@given(st.integers(2, 8), st.data())
def test_a_removed_row_shows_unless_it_was_the_last(length: int, data: st.DataObject) -> None:
    rows = chain(length)
    at = data.draw(st.integers(0, length - 1))
    del rows[at]
    head, broken = verify(rows)
    assert head.seq == at
    assert broken == (None if at == length - 1 else "seq_gap")
    if at == length - 1:  # then only a head that was kept elsewhere tells
        assert head != ChainHead(length, chain(length)[-1].hash)


@given(st.integers(2, 8), st.data())
def test_swapped_rows_show(length: int, data: st.DataObject) -> None:
    rows = chain(length)
    first = data.draw(st.integers(0, length - 2))
    second = data.draw(st.integers(first + 1, length - 1))
    rows[first], rows[second] = rows[second], rows[first]
    head, broken = verify(rows)
    assert (head.seq, broken) == (first, "seq_gap")


@given(st.integers(2, 8), st.data())
def test_a_row_rewritten_with_a_fitting_hash_breaks_the_next_one(length: int, data: st.DataObject) -> None:
    rows = chain(length)
    at = data.draw(st.integers(0, length - 2))
    row = msgspec.structs.replace(rows[at], subject="somebody else")
    fitting = event_hash(row.seq, row.event, row.subject, row.fact_id, row.detail, row.ts_us, row.previous)
    rows[at] = msgspec.structs.replace(row, hash=fitting)
    head, broken = verify(rows)
    assert (head.seq, broken) == (at + 1, "previous_hash_mismatch")


def test_an_event_outside_the_vocabulary_is_a_bug() -> None:
    with pytest.raises(ValueError, match="unknown audit event 'made_up'"):
        append(ChainHead(), "made_up", "", None, {}, 0)
    assert "made_up" not in EVENTS


texts = st.text(max_size=5)


@given(st.dictionaries(texts, st.integers() | texts, max_size=4), texts, st.none() | texts, st.integers(0, 2**60))
def test_a_row_is_hashed_in_the_canonical_form_of_all_its_members(
    detail: dict[str, Any], subject: str, fact_id: str | None, ts_us: int
) -> None:
    for head in (ChainHead(), ChainHead(7, "sha256:" + "0" * 64)):
        row = append(head, "fact_write", subject, fact_id, detail, ts_us)
        assert row.detail == compact(detail).decode()
        members = {
            "seq": row.seq, "event": row.event, "subject": subject, "fact_id": fact_id, "detail": row.detail,
            "ts_us": ts_us, "previous_hash": head.hash,
        }  # fmt: skip
        assert row.hash == sha256_hex(compact(members))


@given(st.dictionaries(texts, st.integers() | texts, max_size=4))
def test_the_hash_does_not_depend_on_the_order_of_a_rows_detail(detail: dict[str, Any]) -> None:
    row = append(ChainHead(), "fact_write", "a", None, detail, 0)
    assert append(ChainHead(), "fact_write", "a", None, dict(reversed(detail.items())), 0) == row
