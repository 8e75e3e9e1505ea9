"""A journal that is not what a node left there is refused, with what was found and what can be done."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from stigmem.core.errors import JournalCorrupt
from stigmem.host import schema
from stigmem.host.cli import main
from stigmem.host.commit_count import CommitFile, count_file
from stigmem.host.journal import SqliteJournal
from stigmem.host.schema import ForeignJournal, migrate
from stigmem.host.wal import dropped_commits
from tests.host.nodes import chained, filled, first_format, load_records, node_at, numbered, opened

PAGE = 4096


def damage(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def sql(path: Path, statement: str, *arguments: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        assert shell.execute(statement, arguments).rowcount != 0  # -1 for statements that change no rows


def refusal(directory: Path) -> str:
    """Why a node does not start on a directory; reading everything belongs to starting."""
    with pytest.raises(JournalCorrupt) as refused:
        load_records(directory)
    return refused.value.message


CHANGES: dict[str, Callable[[Path], None]] = {
    "truncated to half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 // PAGE * PAGE]),
    "truncated inside a page": lambda path: path.write_bytes(path.read_bytes()[: 10 * PAGE + 77]),
    "emptied": lambda path: path.write_bytes(b""),
    "overwritten with zeros in the middle": lambda path: damage(path, 12 * PAGE, bytes(4 * PAGE)),
    "overwritten with noise": lambda path: damage(path, 14 * PAGE, bytes(range(256)) * 32),
    "another kind of file": lambda path: path.write_bytes(b"%PDF-1.7\n" * 4000),
    "a header of nonsense": lambda path: damage(path, 0, b"nonsense"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_damaged_file_is_refused_with_a_way_out(tmp_path: Path, change: Callable[[Path], None]) -> None:
    filled(tmp_path, 400)
    change(tmp_path / "stigmem.db")
    message = refusal(tmp_path)
    assert "is damaged" in message
    assert "Restore the last backup" in message
    assert ".recover" in message


@pytest.mark.parametrize("table", ["facts", "audit"])
def test_a_bit_that_flipped_inside_a_row_is_found(tmp_path: Path, table: str) -> None:
    facts = filled(tmp_path, 3)
    path = tmp_path / "stigmem.db"
    wanted = b"value 2" if table == "facts" else facts[2].cid.encode()
    content = path.read_bytes()
    at = content.rindex(wanted)
    damage(path, at + 3, bytes([content[at + 3] ^ 1]))
    message = refusal(tmp_path)
    assert "checksum" in message if table == "facts" else "hash" in message


def test_a_row_changed_by_hand_is_found(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    sql(tmp_path / "stigmem.db", "UPDATE facts SET confidence = 0.5 WHERE seq = 2")
    assert "table facts does not match its checksum" in refusal(tmp_path)


def test_a_missing_fact_is_found(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    sql(tmp_path / "stigmem.db", "DELETE FROM facts WHERE seq = 2")

    async def start() -> None:
        async with node_at(tmp_path):
            raise AssertionError("a node started on part of its past")

    with pytest.raises(JournalCorrupt) as refused:
        trio.run(start)
    assert "does not follow" in refused.value.message


def test_a_journal_that_is_gone_while_its_log_is_there_is_not_begun_anew(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    (tmp_path / "stigmem.db").rename(tmp_path / "moved.db")
    (tmp_path / "stigmem.db-wal").write_bytes(b"x" * 100)
    assert "its write-ahead log is still there" in refusal(tmp_path)


def test_a_half_made_journal_of_a_first_start_is_made_again(tmp_path: Path) -> None:
    tmp_path.joinpath("stigmem.db.new").write_bytes(b"half")
    assert load_records(tmp_path) == []


# --- the write-ahead log ---


def killed_after(directory: Path, copy: Path, commits: int) -> Path:
    """What the disk holds when a process is killed after so many commits of one fact each."""
    with opened(directory) as journal:
        for one in numbered(commits):
            journal.write([one, *chained([one])] if one.seq == 1 else [one])
        shutil.copytree(directory, copy)
    return copy / "stigmem.db-wal"


def frames(log: Path) -> list[tuple[int, bool]]:
    """Offset of each frame in a log, and whether it ends a commit."""
    content = log.read_bytes()
    return [(at, content[at + 4 : at + 8] != bytes(4)) for at in range(32, len(content) - 24 - PAGE + 1, 24 + PAGE)]


def test_every_commit_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    killed_after(tmp_path / "a", tmp_path / "b", 5)
    assert len([record for record in load_records(tmp_path / "b") if type(record).__name__ == "Fact"]) == 5


def killed_in_commit(directory: Path, copy: Path, commits: int) -> Path:
    """As `killed_after`, but the last commit had not been acknowledged when the process was killed."""
    log = killed_after(directory, copy, commits)
    told = CommitFile(copy)
    told.set(commits - 1)
    told.close()
    return log


def test_a_torn_last_commit_is_cut_off_and_told(tmp_path: Path) -> None:
    log = killed_in_commit(tmp_path / "a", tmp_path / "b", 5)
    last = frames(log)[-1][0]
    damage(log, last + 24 + 50, b"torn")
    with opened(tmp_path / "b") as journal:
        assert journal.count() == 4
        assert journal.torn == 1
        assert "nobody had been told" in journal.remarks[0]


def flip_salt(log: Path, at: int) -> None:
    content = log.read_bytes()
    damage(log, at, bytes([content[at] ^ 1]))


def commit_starts(log: Path) -> list[int]:
    """Offset of the first frame of each commit."""
    ends = [at for at, ends in frames(log) if ends]
    return [32, *(at + 24 + PAGE for at in ends[:-1])]


LOSSES: dict[str, tuple[Callable[[Path], object], int]] = {
    "salt of the header": (lambda log: flip_salt(log, 16), 60),
    "magic of the header": (lambda log: damage(log, 0, b"????"), 60),
    "salt of the last commit": (lambda log: flip_salt(log, commit_starts(log)[-1] + 8), 1),
    "salt of the last commit but one": (lambda log: flip_salt(log, commit_starts(log)[-2] + 8), 2),
    "page of the last commit": (lambda log: damage(log, commit_starts(log)[-1] + 24 + 50, b"rot"), 1),
    "page of the last commit but two": (lambda log: damage(log, commit_starts(log)[-3] + 24 + 50, b"rot"), 3),
    "removed": (lambda log: log.unlink(), 60),
    "emptied": (lambda log: log.write_bytes(b""), 60),
    "cut by one commit": (lambda log: log.write_bytes(log.read_bytes()[: commit_starts(log)[-1]]), 1),
    "cut inside the last commit": (lambda log: log.write_bytes(log.read_bytes()[:-100]), 1),
    "cut in half": (lambda log: log.write_bytes(log.read_bytes()[: commit_starts(log)[30]]), 30),
}


@pytest.mark.parametrize(("change", "lost"), LOSSES.values(), ids=LOSSES)
def test_a_node_does_not_start_without_what_it_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], object], lost: int
) -> None:
    """Sixty facts that were acknowledged were gone after a flipped bit, without a word."""
    log = killed_after(tmp_path / "a", tmp_path / "b", 60)
    change(log)
    before = log.read_bytes() if log.exists() else b""
    message = refusal(tmp_path / "b")
    assert f"{lost} commit" in message
    assert f"it ends at commit {60 - lost}, and 60 had been stored" in message
    assert "stigmem recover --accept-loss" in message
    assert (log.read_bytes() if log.exists() else b"") == before, "what is left of the log is left as it is"
    assert refusal(tmp_path / "b") == message

    assert main(["doctor", "--json", "--data-dir", str(tmp_path / "b")]) == 1
    assert f"{lost} commit" in capsys.readouterr().out
    assert main(["recover", "--data-dir", str(tmp_path / "b")]) == 1
    assert "--accept-loss" in capsys.readouterr().err
    assert refusal(tmp_path / "b") == message
    assert main(["recover", "--accept-loss", "--data-dir", str(tmp_path / "b")]) == 0
    assert f"ends at commit {60 - lost}" in capsys.readouterr().err
    with opened(tmp_path / "b") as journal:
        assert (journal.count(), journal.remarks) == (60 - lost, [])
    if before:
        kept = list((tmp_path / "b").glob("stigmem.db-wal.damaged-*"))
        assert [path.read_bytes() for path in kept] == [before]


def test_a_journal_that_is_gone_with_its_log_is_not_begun_anew(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    (tmp_path / "stigmem.db").unlink()
    assert "1 commit that was acknowledged is gone: it ends at commit 0" in refusal(tmp_path)


@pytest.mark.parametrize("left", [None, b"", b"nonsense", bytes(30), b"0" * 20 + b" 00000000\n"])
def test_a_count_that_cannot_be_read_is_made_anew_and_told(tmp_path: Path, left: bytes | None) -> None:
    filled(tmp_path, 3)
    file = count_file(tmp_path)
    whole = file.read_bytes()
    if left is None:
        file.unlink()
    else:
        file.write_bytes(left)
    with opened(tmp_path) as journal:
        assert "whether acknowledged commits are missing cannot be told" in journal.remarks[0]
    assert file.read_bytes() == whole
    with opened(tmp_path) as journal:
        assert journal.remarks == []


def test_a_count_that_is_behind_is_no_loss(tmp_path: Path) -> None:
    """A power cut may leave the count, which is not synced, at an older number."""
    with opened(tmp_path) as journal:
        for one in numbered(3):
            journal.write([one])
    told = CommitFile(tmp_path)
    told.set(1)
    told.close()
    with opened(tmp_path) as journal:
        assert (journal.count(), journal.remarks) == (3, [])
    assert CommitFile(tmp_path).number == 3


def test_a_commit_that_failed_is_not_counted(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(numbered(1))
        with pytest.raises(sqlite3.IntegrityError):
            journal.write(numbered(1))
        assert CommitFile(tmp_path).number == 1
        journal.write(numbered(1, start=2))
    assert CommitFile(tmp_path).number == 2


def test_the_number_of_the_last_commit_has_a_checksum(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    sql(tmp_path / "stigmem.db", "UPDATE commits SET number = 7")
    assert "number of its last commit does not match its checksum" in refusal(tmp_path)


def test_damage_before_the_last_commits_is_refused_and_not_cut_off(tmp_path: Path) -> None:
    log = killed_after(tmp_path / "a", tmp_path / "b", 5)
    count_file(tmp_path / "b").unlink()
    ends = [at for at, ends in frames(log) if ends]
    damage(log, ends[-3] + 24 + 50, b"rot")
    assert "commits at the end of its write-ahead log cannot be read" in refusal(tmp_path / "b")


def test_a_log_with_a_damaged_header_is_refused(tmp_path: Path) -> None:
    log = killed_after(tmp_path / "a", tmp_path / "b", 5)
    count_file(tmp_path / "b").unlink()
    damage(log, 0, b"????????????????????????????????")
    assert "write-ahead log cannot be read" in refusal(tmp_path / "b")


def test_a_log_cut_short_is_like_a_crash_while_writing_it(tmp_path: Path) -> None:
    log = killed_in_commit(tmp_path / "a", tmp_path / "b", 5)
    log.write_bytes(log.read_bytes()[:-100])
    with opened(tmp_path / "b") as journal:
        assert journal.count() == 4


def test_frames_of_an_earlier_round_of_the_log_do_not_count(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as journal:
        for one in numbered(6):
            journal.write([one])
        journal._connection.execute("PRAGMA wal_checkpoint(RESTART)")
        journal.write([numbered(1, start=7)[0]])  # goes over the beginning; the rest of the log is old
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    with opened(tmp_path / "b") as journal:
        assert (journal.count(), journal.torn) == (7, 0)


def test_no_log_has_dropped_nothing(tmp_path: Path) -> None:
    assert dropped_commits(tmp_path / "none", 0) == 0
    (tmp_path / "short").write_bytes(b"x")
    assert dropped_commits(tmp_path / "short", 0) == 0


# --- versions ---


def test_an_old_journal_is_brought_forward_and_keeps_what_it_held(tmp_path: Path) -> None:
    facts = filled(tmp_path, 3)
    now = schema.VERSION
    steps = {now: "ALTER TABLE meta ADD COLUMN note TEXT;", now + 1: "CREATE TABLE later (x INTEGER) STRICT;"}
    with closing(sqlite3.connect(tmp_path / "stigmem.db", isolation_level=None)) as old:
        assert migrate(old, version=now + 2, steps=steps) == now
        assert old.execute("PRAGMA user_version").fetchone() == (now + 2,)
        assert old.execute("SELECT count(*), count(note) FROM meta").fetchone() == (0, 0)
        assert old.execute("SELECT count(*) FROM later").fetchone() == (0,)
        assert old.execute("SELECT count(*) FROM facts").fetchone() == (len(facts),)
        assert migrate(old, version=now + 2, steps=steps) == now + 2


def test_a_journal_from_before_commits_were_counted_is_brought_forward(tmp_path: Path) -> None:
    facts = filled(tmp_path, 3)
    first_format(tmp_path)
    later = (
        "subscriptions",
        "deliveries",
        "refused_deliveries",
        "gardens",
        "garden_facts",
        "swept_facts",
        "aliases",
    )
    for table in ("commits", *later, "quarantine"):
        sql(tmp_path / "stigmem.db", f"DROP TABLE {table}")
    sql(tmp_path / "stigmem.db", "PRAGMA user_version = 1")
    count_file(tmp_path).unlink()
    with opened(tmp_path) as journal:
        assert (journal.count(), journal.remarks) == (len(facts), [])
        journal.write(numbered(1, start=4))
    assert CommitFile(tmp_path).number == 1
    assert len(load_records(tmp_path)) == 5


def test_a_journal_of_schema_version_0_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was a traceback."""
    filled(tmp_path, 1)
    sql(tmp_path / "stigmem.db", "PRAGMA user_version = 0")
    assert main(["serve", "--port", "0", "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "schema version 0" in said
    assert said.count("\n") == 1


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    steps = {schema.VERSION: "CREATE TABLE later (x INTEGER) STRICT; CREATE TABLE facts (x INTEGER);"}
    with closing(sqlite3.connect(tmp_path / "stigmem.db", isolation_level=None)) as old:
        with pytest.raises(sqlite3.OperationalError):
            migrate(old, version=schema.VERSION + 1, steps=steps)
        assert old.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert old.execute("SELECT count(*) FROM sqlite_master WHERE name = 'later'").fetchone() == (0,)
    assert len(load_records(tmp_path)) == 2


def test_a_journal_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    sql(tmp_path / "stigmem.db", f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(ForeignJournal) as refused:
        SqliteJournal(tmp_path)
    assert f"schema {schema.VERSION + 1}, this one knows {schema.VERSION}" in refused.value.message
    assert "start that one instead" in refused.value.message


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "stigmem.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE cookies (name TEXT)")
    with pytest.raises(ForeignJournal) as refused:
        SqliteJournal(tmp_path)
    assert "a data directory of its own" in refused.value.message
