"""The audit chain: every change inside it shows, wherever it is made, and what is erased breaks nothing
(spec/audit.md)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.audit import EVENTS, AuditRow, ChainHead, append, commitment_of, erased, row_hash, verify
from stigmem.core.canonical import compact, sha256_hex
from stigmem.core.records import decode_record, encode_record
from tests.builders import SALT, T0_MS

CHANGES: dict[str, Any] = {
    "seq": 99, "event": "peer_revoked", "subject": "somebody else", "fact_id": "another", "detail": '{"n":99}',
    "ts_us": 1, "previous": "sha256:" + "0" * 64, "hash": "sha256:" + "0" * 64, "salt": "00" * 16,
    "commitment": "sha256:" + "0" * 64,
}  # fmt: skip
REASON = {"seq": "seq_gap", "previous": "previous_hash_mismatch"}


def chain(length: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    head = ChainHead()
    for number in range(length):
        fact_id = f"fact-{number}" if number % 2 else None
        detail: dict[str, object] = {"n": number, "é": "ü"}
        salt = bytes([number + 1]) * 16
        row = append(head, "fact_write", f"agent:{number}", fact_id, detail, T0_MS * 1000 + number, salt=salt)
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
    rows[at] = msgspec.structs.replace(row, hash=row_hash(row) or "")
    head, broken = verify(rows)
    assert (head.seq, broken) == (at + 1, "previous_hash_mismatch")


def test_an_event_outside_the_vocabulary_is_a_bug() -> None:
    with pytest.raises(ValueError, match="unknown audit event 'made_up'"):
        append(ChainHead(), "made_up", "", None, {}, 0, salt=SALT)
    assert "made_up" not in EVENTS


texts = st.text(max_size=5)


@given(st.dictionaries(texts, st.integers() | texts, max_size=4), texts, st.none() | texts, st.integers(0, 2**60))
def test_a_row_is_hashed_in_the_canonical_form_of_all_its_members(
    detail: dict[str, Any], subject: str, fact_id: str | None, ts_us: int
) -> None:
    for head in (ChainHead(), ChainHead(7, "sha256:" + "0" * 64)):
        row = append(head, "fact_write", subject, fact_id, detail, ts_us, salt=SALT)
        assert row.detail == compact(detail).decode()
        said = {"subject": subject, "detail": row.detail, "salt": SALT.hex()}
        assert commitment_of(row.salt, subject, row.detail) == sha256_hex(compact(said))
        members = {
            "seq": row.seq, "event": row.event, "commitment": sha256_hex(compact(said)), "fact_id": fact_id,
            "ts_us": ts_us, "previous_hash": head.hash,
        }  # fmt: skip
        assert row.hash == sha256_hex(compact(members))


@given(st.dictionaries(texts, st.integers() | texts, max_size=4))
def test_the_hash_does_not_depend_on_the_order_of_a_rows_detail(detail: dict[str, Any]) -> None:
    row = append(ChainHead(), "fact_write", "a", None, detail, 0, salt=SALT)
    assert append(ChainHead(), "fact_write", "a", None, dict(reversed(detail.items())), 0, salt=SALT) == row


# --- erasing what a row says ---


@given(st.integers(1, 8), st.data())
def test_a_chain_stays_whole_whatever_of_it_is_erased(length: int, data: st.DataObject) -> None:
    rows = chain(length)
    gone = data.draw(st.sets(st.integers(0, length - 1)))
    left = [erased(row) if at in gone else row for at, row in enumerate(rows)]
    assert verify(left) == verify(rows) == (ChainHead(length, rows[-1].hash), None)
    assert [row.is_erased for row in left] == [at in gone for at in range(length)]
    assert [erased(row) for row in left if row.is_erased] == [row for row in left if row.is_erased]


def test_of_what_an_erased_row_said_nothing_is_left_that_a_guess_could_be_tried_on() -> None:
    row = append(ChainHead(), "fact_write", "user:ada", "f1", {"cid": "sha256:aa", "by": "user:ada"}, 5, salt=SALT)
    left = encode_record(erased(row))
    for said in ("user:ada", "sha256:aa", SALT.hex()):
        assert said.encode() in encode_record(row)
        assert said.encode() not in left
    assert erased(row).commitment == commitment_of(SALT.hex(), "user:ada", row.detail)


@given(st.integers(1, 6), st.sampled_from(["subject", "detail", "salt", "commitment"]), st.data())
def test_an_erased_row_says_nothing_that_its_commitment_does_not_vouch_for(
    length: int, member: str, data: st.DataObject
) -> None:
    rows = chain(length)
    at = data.draw(st.integers(0, length - 1))
    rows[at] = msgspec.structs.replace(erased(rows[at]), **{member: CHANGES[member]})
    head, broken = verify(rows)
    assert (head.seq, broken) == (at, "hash_mismatch")


def test_two_rows_that_say_the_same_commit_to_it_each_with_a_salt_of_its_own() -> None:
    first = append(ChainHead(), "key_created", "user:ada", None, {}, 5, salt=bytes(16))
    second = append(ChainHead(), "key_created", "user:ada", None, {}, 5, salt=SALT)
    assert first.hash != second.hash


def test_a_row_without_a_salt_is_none() -> None:
    (row,) = chain(1)
    bare = msgspec.structs.replace(row, salt="")
    assert row_hash(bare) is None
    assert verify([msgspec.structs.replace(bare, hash=row.hash)])[1] == "hash_mismatch"
