"""A log of the first format, chained anew: what it said is untouched, and what was altered before does not become
sound."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.audit import AuditRow, ChainHead, unsalted_hash, verify
from stigmem.core.keys import ED25519
from stigmem.core.rechain import OldChain, chained_anew, read_rechaining, rechaining_row
from tests.builders import SALT, T0_MS

SIGNER = ED25519.signer(bytes(32))


def old_chain(length: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    previous = None
    for n in range(1, length + 1):
        row = AuditRow(n, "fact_write", f"user:{n}", f"f{n}", f'{{"cid":"c{n}"}}', T0_MS + n, previous, "", "")
        previous = unsalted_hash(row, previous)
        rows.append(msgspec.structs.replace(row, hash=previous))
    return rows


def anew(rows: list[AuditRow]) -> tuple[list[AuditRow], AuditRow]:
    old = OldChain()
    new = list(chained_anew(rows, old, lambda: SALT))
    head = ChainHead(new[-1].seq, new[-1].hash)
    return new, rechaining_row(old, head, node_id="node:a", signer=SIGNER, ts_us=T0_MS, salt=SALT)


@given(st.integers(1, 9))
def test_rows_say_after_it_what_they_said_before_and_lead_to_both_heads(length: int) -> None:
    rows = old_chain(length)
    new, signed = anew(rows)
    assert verify([*new, signed])[1] is None
    members = [(row.seq, row.event, row.subject, row.fact_id, row.detail, row.ts_us) for row in rows]
    assert [(row.seq, row.event, row.subject, row.fact_id, row.detail, row.ts_us) for row in new] == members
    said = read_rechaining(signed)
    assert said is not None
    assert (said.rows, said.finding) == (length, "")
    assert said.old_head == f"{length}:{rows[-1].hash}"
    assert said.new_head == f"{length}:{new[-1].hash}"
    again = OldChain()
    for row in new:
        again.follow(row)
    assert again.head == ChainHead(length, rows[-1].hash)


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        ({"subject": "user:other"}, "the row after row 2 had been changed"),
        ({"previous": "sha256:" + "0" * 64}, "the row after row 2 did not follow from it"),
        ({"seq": 9}, "a row was missing after row 2"),
    ],
)
def test_what_was_altered_before_is_said_in_the_signed_row(changed: dict[str, Any], finding: str) -> None:
    rows = old_chain(5)
    rows[2] = msgspec.structs.replace(rows[2], **changed)
    said = read_rechaining(anew(rows)[1])
    assert said is not None
    assert said.finding == finding


@pytest.mark.parametrize("member", ["rows", "old_head", "new_head", "finding", "public_key", "signature"])
def test_nothing_in_the_signed_row_can_be_changed_by_who_has_not_the_key(member: str) -> None:
    said = read_rechaining(anew(old_chain(3))[1])
    assert said is not None
    assert said.is_signed(ED25519, "node:a")
    assert not said.is_signed(ED25519, "node:b")
    other: dict[str, object] = {"rows": 4, "public_key": ED25519.signer(SALT * 2).public_key}
    assert not msgspec.structs.replace(said, **{member: other.get(member, "x")}).is_signed(ED25519, "node:a")


def test_a_row_that_says_something_else_is_no_signed_row() -> None:
    (row,) = old_chain(1)
    assert read_rechaining(row) is None
