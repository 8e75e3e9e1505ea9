"""Looking through a data directory from outside: structure, checksums, the audit chain, and whether they agree.

Read-only, on a connection of its own, so it works beside a running node. Findings are values; the command line says
them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from stigmem.core.audit import AuditRow, ChainHead, verify
from stigmem.core.erasure import is_husk
from stigmem.core.errors import JournalCorrupt, StigmemError
from stigmem.core.fact import Fact
from stigmem.core.keys import ED25519
from stigmem.core.rechain import EVENT as RECHAINED
from stigmem.core.rechain import OldChain, read_rechaining
from stigmem.core.records import Record
from stigmem.host import schema
from stigmem.host.commit_count import CommitFile, commit_number, compare
from stigmem.host.datadir import database_of, judged, read_only
from stigmem.host.rows import AUDIT_COLUMNS, FACTS, LOADERS, Damaged, Loader, read_fact

__all__ = ["AuditFindings", "parse_head", "read_facts", "read_records", "verify_audit", "verify_journal"]

_BATCH: Final = 2_000
_AUDIT: Final = f"SELECT {AUDIT_COLUMNS} FROM audit ORDER BY seq"  # noqa: S608 - a constant of ours
_UNSALTED: Final = "SELECT seq, event, subject, fact_id, detail, ts_us, previous, hash, '', '' FROM audit ORDER BY seq"
_SENTENCES: Final = {
    "seq_gap": "a row is missing after row {}",
    "previous_hash_mismatch": "row {} does not follow from the one before it",
    "hash_mismatch": "row {} was changed after it was written",
}
_BROKEN_MAX: Final = 20


class AuditFindings(msgspec.Struct):
    """What a walk over the audit log found; `head` is SEQ:HASH, to be kept elsewhere. `erased`: rows whose content is
    gone. `rechained`: how many rows were chained anew when the format changed."""

    rows: int
    head: str | None
    writes: int
    matching: int
    broken: list[str]
    erased: int = 0
    rechained: int = 0


def parse_head(text: str) -> ChainHead | None:
    """A head from SEQ:HASH; None when it is none."""
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdigit() and digest.startswith("sha256:")):
        return None
    return ChainHead(int(number), digest)


def verify_audit(directory: Path, expected: ChainHead | None = None) -> AuditFindings:
    """Walk the chain, look for `expected` in it, and compare the writes it tells of with the facts.

    A head that was noted before the log was chained anew is found as well, as long as no row before it was erased.
    """
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN")  # one view of both tables, whatever a running node adds
        seen = _Walk(expected, _rechaining(connection))
        findings = AuditFindings(0, None, 0, 0, [])
        if _is_salted(connection):
            reached, reason = verify(seen.watch(AuditRow(*row) for row in _rows(connection, _AUDIT)))
            if reason is not None:
                at = reached.seq + (reason != "seq_gap")
                findings.broken.append(_SENTENCES[reason].format(at))
        else:
            old = OldChain()
            for row in seen.watch(AuditRow(*row) for row in _rows(connection, _UNSALTED)):
                old.judge(row)
            reached = old.head
            findings.broken += [old.finding] if old.finding else []
        findings.rows, findings.head = reached.seq, f"{reached.seq}:{reached.hash}" if reached.hash else None
        findings.erased = seen.erased
        if seen.rechaining is not None:
            findings.rechained = seen.rechaining.seq - 1
            findings.broken += seen.judge_rechaining(_meta(connection, "public_key"))
        if expected is not None and not seen.met:
            findings.broken.append(f"row {expected.seq} with that hash is not in the log: it was cut off or replaced")
        _compare(connection, seen.writes, findings)
        _compare_gardens(connection, seen, findings)
    return findings


def _is_salted(connection: sqlite3.Connection) -> bool:
    """Whether the rows have salts: not in a file of an older program, nor in one that was opened since and not yet by
    its node."""
    if connection.execute("PRAGMA user_version").fetchone()[0] < schema.SALTED_AUDIT_SINCE:
        return False
    return connection.execute("SELECT 1 FROM audit WHERE seq = 1 AND salt = '' AND commitment = ''").fetchone() is None


def _rechaining(connection: sqlite3.Connection) -> AuditRow | None:
    """The signed row under which the rows before it were chained anew, or None."""
    if not _is_salted(connection):
        return None
    query = f"SELECT {AUDIT_COLUMNS} FROM audit WHERE event = ? LIMIT 1"  # noqa: S608 - a constant of ours
    found = connection.execute(query, (RECHAINED,)).fetchone()
    return None if found is None else AuditRow(*found)


def _meta(connection: sqlite3.Connection, name: str) -> str | None:
    found = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])


class _Walk:
    """Notes, while rows go by, which facts they say were written, and where the chain of the first format would be."""

    def __init__(self, expected: ChainHead | None, rechaining: AuditRow | None) -> None:
        self._expected = expected
        self.rechaining = rechaining
        self._old = OldChain()
        self._old_is_known = True
        """Whether no row that was chained anew has been erased so far."""
        self._before = ChainHead()
        self.met = False
        self.erased = 0
        self.writes: dict[str, str | None] = {}
        """By the id of a fact its content id, or None where the row was erased."""
        self.garden_writes: dict[str, str | None] = {}
        """By the id of a fact its garden, or None where the row was erased."""
        self.deleted_gardens: dict[str, None] = {}

    def watch(self, rows: Iterator[AuditRow]) -> Iterator[AuditRow]:
        for row in rows:
            self.met = self.met or self._expected == ChainHead(row.seq, row.hash)
            self.erased += row.is_erased
            if self.rechaining is not None and row.seq < self.rechaining.seq:
                self._old_is_known = self._old_is_known and not row.is_erased
                if self._old_is_known:
                    self._old.follow(row)
                    self.met = self.met or self._expected == self._old.head
                self._before = ChainHead(row.seq, row.hash)
            if row.event == "fact_write" and row.fact_id is not None:
                told = None if row.is_erased else msgspec.json.decode(row.detail).get("cid", "")
                self.writes[row.fact_id] = told
            elif row.event == "garden_write" and row.fact_id is not None:
                told = None if row.is_erased else msgspec.json.decode(row.detail).get("garden", "")
                self.garden_writes[row.fact_id] = told
            elif row.event == "garden_deleted":
                self.deleted_gardens[msgspec.json.decode(row.detail).get("garden", "")] = None
            yield row

    def judge_rechaining(self, public_key: str | None) -> list[str]:
        """What is wrong with the signed row, once all rows before it went by; `public_key`: this node's."""
        row = self.rechaining
        if row is None:
            return []
        said = read_rechaining(row)
        if said is None or not said.is_signed(ED25519, row.subject):
            return [f"row {row.seq} says that the log was chained anew, and its signature is not valid"]
        found = []
        if public_key is not None and said.public_key != public_key:
            found.append(f"row {row.seq} is signed with another key than this node's")
        if said.rows != self._before.seq or said.new_head != f"{self._before.seq}:{self._before.hash}":
            found.append(f"row {row.seq} vouches for other rows than those before it")
        if self._old_is_known and said.old_head != f"{self._old.head.seq}:{self._old.head.hash}":
            found.append(f"the rows before row {row.seq} do not lead to the head that the log had before")
        if said.finding:
            found.append(f"before the log was chained anew, {said.finding}")
        if self._expected is not None and said.old_head == f"{self._expected.seq}:{self._expected.hash}":
            self.met = True
        return found


def _compare(connection: sqlite3.Connection, writes: dict[str, str | None], findings: AuditFindings) -> None:
    findings.writes = len(writes)
    for row in _rows(connection, FACTS + " WHERE received_from IS NULL ORDER BY seq"):
        try:
            fact = read_fact(row)
        except Damaged as error:
            _note(findings, str(error))
            continue
        if fact.id not in writes:
            _note(findings, f"fact {fact.id} is in the journal and no row tells of it")
            continue
        told = writes.pop(fact.id)
        if is_husk(fact):  # its row is erased, or will be when the erasure is through
            findings.matching += 1
        elif (told is not None and told != fact.cid) or (fact.certified and fact.id != fact.certified_id()):
            _note(findings, f"fact {fact.id} is not what the log says was written")
        else:
            findings.matching += 1
    for fact_id in writes:
        _note(findings, f"fact {fact_id} was written, says the log, and is gone")


def _compare_gardens(connection: sqlite3.Connection, seen: _Walk, findings: AuditFindings) -> None:
    """By their ids alone: the log does not say what was written into a garden. What was written into one that was
    deleted may be gone, since an erasure takes it along."""
    writes = seen.garden_writes
    findings.writes += len(writes)
    query = "SELECT id FROM garden_facts ORDER BY row"
    for (fact_id,) in _rows(connection, query) if _is_expected(connection, "garden_facts") else ():
        if fact_id in writes:
            del writes[fact_id]
            findings.matching += 1
        else:
            _note(findings, f"fact {fact_id} is in a garden and no row tells of it")
    for fact_id, garden_id in writes.items():
        if garden_id in seen.deleted_gardens:
            findings.matching += 1
        else:
            _note(findings, f"fact {fact_id} was written into a garden, says the log, and is gone")


def _note(findings: AuditFindings, sentence: str) -> None:
    if len(findings.broken) < _BROKEN_MAX:
        findings.broken.append(sentence)
    elif len(findings.broken) == _BROKEN_MAX:
        findings.broken.append("and more")


def verify_journal(directory: Path) -> str | None:
    """What is wrong with the journal's file or rows, as a sentence; None when nothing is."""
    path = database_of(directory)
    try:
        with judged(path), closing(read_only(path)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
        if found != ["ok"]:
            return f"{path} is damaged: {'; '.join(found)}"
        acknowledged = CommitFile(directory).number  # read first: a node that runs goes on counting
        with judged(path), closing(read_only(path)) as connection:
            compare(commit_number(connection) or 0, acknowledged)
        for _ in read_records(directory):
            continue
    except (JournalCorrupt, StigmemError) as error:
        return error.message
    return None


def read_records(directory: Path, tables: Collection[str] | None = None) -> Iterator[Record]:
    """Every record that a state is made of, or those of some tables; raises JournalCorrupt."""
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        for loader in LOADERS:
            if (tables is None or loader.what in tables) and _is_expected(connection, loader.what):
                for row in _rows(connection, _query(connection, loader)):
                    yield loader.read(row)


def _query(connection: sqlite3.Connection, loader: Loader) -> str:
    if loader.what == "audit" and not _is_salted(connection):
        return f"{_UNSALTED} DESC LIMIT 1"
    return loader.query


def read_facts(directory: Path, after: int = 0) -> Iterator[Fact]:
    """Facts in local order after a sequence number; raises JournalCorrupt."""
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        for row in _rows(connection, FACTS + " WHERE seq > ? ORDER BY seq", (after,)):
            yield read_fact(row)


def _is_expected(connection: sqlite3.Connection, table: str) -> bool:
    """Whether a table must be there: a file of an older program, which no node of this one has opened yet, may lack
    some."""
    if connection.execute("PRAGMA user_version").fetchone()[0] >= schema.VERSION:
        return True
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    return found is not None


def _rows(connection: sqlite3.Connection, query: str, arguments: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    cursor = connection.execute(query, arguments)
    while rows := cursor.fetchmany(_BATCH):
        yield from rows
