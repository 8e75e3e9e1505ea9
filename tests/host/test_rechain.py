"""A journal of an older program: its audit log is chained anew once, under a signed row that `audit verify` knows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio

from stigmem.core.audit import AuditRow, ChainHead, erased
from stigmem.core.keys import ED25519
from stigmem.host import rechain as module
from stigmem.host.inspection import verify_audit, verify_journal
from stigmem.host.journal import SqliteJournal
from stigmem.host.rechain import rechain
from tests.host.nodes import client_of, filled, first_format, load_records, node_at, opened

SIGNER = ED25519.signer(bytes(32))
NODE = "node:a"


def rows_of(directory: Path) -> list[AuditRow]:
    with opened(directory) as journal:
        rows: list[AuditRow] = journal.audit_rows(0, 1_000)
    return rows


def chained_anew(directory: Path) -> int:
    with opened(directory) as journal:
        return rechain(journal, NODE, SIGNER)


def test_a_log_of_the_first_format_is_chained_anew_and_both_its_heads_are_known(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    before = [(row.seq, row.subject, row.detail) for row in rows_of(tmp_path)]
    old = first_format(tmp_path)
    assert verify_audit(tmp_path, old).broken == []
    assert verify_journal(tmp_path) is None
    assert chained_anew(tmp_path) == 5
    rows = rows_of(tmp_path)
    assert [(row.seq, row.subject, row.detail) for row in rows[:5]] == before
    assert len({row.salt for row in rows}) == 6
    found = verify_audit(tmp_path, old)
    assert (found.rows, found.rechained, found.matching, found.broken) == (6, 5, 5, [])
    assert verify_audit(tmp_path, ChainHead(3, rows[2].hash)).broken == []
    assert verify_audit(tmp_path, ChainHead(3, old.hash)).broken != []
    assert load_records(tmp_path)[-1] == rows[-1]


def test_it_is_done_once(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    first_format(tmp_path)
    assert [chained_anew(tmp_path), chained_anew(tmp_path)] == [3, 0]
    assert verify_audit(tmp_path).broken == []


def test_a_head_from_the_middle_of_the_old_log_is_found_until_a_row_before_it_is_erased(tmp_path: Path) -> None:
    filled(tmp_path, 4)
    first_format(tmp_path)
    with closing(sqlite3.connect(tmp_path / "stigmem.db")) as old:
        noted = [ChainHead(*row) for row in old.execute("SELECT seq, hash FROM audit ORDER BY seq")]
    chained_anew(tmp_path)
    for head in noted:
        assert verify_audit(tmp_path, head).broken == []
    with opened(tmp_path) as journal:
        journal.replace_audit([erased(journal.audit_rows(0, 1)[0])])
    assert verify_audit(tmp_path).broken == []
    assert verify_audit(tmp_path).erased == 1
    assert verify_audit(tmp_path, noted[-1]).broken == []  # which the signed row names
    assert "row 2 with that hash is not in the log" in verify_audit(tmp_path, noted[1]).broken[0]


def test_a_log_that_was_altered_before_stays_broken_afterwards(tmp_path: Path) -> None:
    filled(tmp_path, 4)
    first_format(tmp_path)
    with closing(sqlite3.connect(tmp_path / "stigmem.db", isolation_level=None)) as old:
        old.execute("UPDATE audit SET subject = 'user:other' WHERE seq = 2")
    chained_anew(tmp_path)
    assert any("before the log was chained anew, the row after row 1" in text for text in verify_audit(tmp_path).broken)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"detail": "{}"}, "its signature is not valid"),
        ({"subject": "node:b"}, "its signature is not valid"),
    ],
)
def test_a_signed_row_that_was_changed_is_not_believed(tmp_path: Path, change: dict[str, str], finding: str) -> None:
    filled(tmp_path, 2)
    first_format(tmp_path)
    chained_anew(tmp_path)
    with opened(tmp_path) as journal:
        journal.replace_audit([msgspec.structs.replace(journal.audit_rows(2, 1)[0], **change)])
    assert any(finding in text for text in verify_audit(tmp_path).broken)


def test_rows_from_before_that_are_exchanged_with_fitting_hashes_do_not_lead_to_the_head_that_was_signed(
    tmp_path: Path,
) -> None:
    filled(tmp_path, 3)
    first_format(tmp_path)
    chained_anew(tmp_path)
    with opened(tmp_path) as journal:
        rows = journal.audit_rows(0, 10)
        forged = [msgspec.structs.replace(row, subject="user:other", hash="", salt="") for row in rows[:3]]
        anew = list(module.chained_anew(forged, module.OldChain(), lambda: bytes(16)))
        journal.replace_audit(anew)
    broken = verify_audit(tmp_path).broken
    assert "row 4 vouches for other rows than those before it" in broken
    assert "the rows before row 4 do not lead to the head that the log had before" in broken


def test_a_crash_while_it_is_done_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, 5)
    old = first_format(tmp_path)

    def stops(*_: object, **__: object) -> AuditRow:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched, opened(tmp_path) as journal:
        patched.setattr(module, "rechaining_row", stops)
        with pytest.raises(RuntimeError, match="the power went"):
            rechain(journal, NODE, SIGNER)
        assert journal.audit_head() == old
    assert verify_audit(tmp_path, old).broken == []
    assert chained_anew(tmp_path) == 5


async def test_a_node_that_starts_on_an_old_journal_goes_on_in_the_new_format(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        for n in range(3):
            body = {"entity": f"user:{n}", "relation": "memory:role", "source": "agent:t", "scope": "public",
                    "value": {"type": "string", "v": "x"}}  # fmt: skip
            assert (await client.post("/v1/facts", json=body)).status_code == 201
    old = first_format(tmp_path)
    async with node_at(tmp_path) as node, client_of(node) as client:
        assert (await client.post("/v1/facts", json=body | {"relation": "memory:later"})).status_code == 201
        with trio.fail_after(30):
            while not node.audit_walk.done:
                await trio.sleep(0.02)
        assert node.audit_walk.broken is None
    found = verify_audit(tmp_path, old)
    assert (found.rows, found.rechained, found.matching, found.broken) == (5, 3, 4, [])


def test_an_empty_log_needs_no_signed_row(tmp_path: Path) -> None:
    SqliteJournal(tmp_path).close()
    assert chained_anew(tmp_path) == 0
    assert rows_of(tmp_path) == []
