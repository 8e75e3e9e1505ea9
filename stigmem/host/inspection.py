"""Looking through a data directory from outside: structure, checksums, the audit chain, and whether they agree.

Read-only, on a connection of its own, so it works beside a running node. Findings are values; the command line says
them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from stigmem.core.audit import AuditRow, ChainHead, verify
from stigmem.core.errors import JournalCorrupt, StigmemError
from stigmem.core.fact import Fact
from stigmem.core.records import Record
from stigmem.host import schema
from stigmem.host.commit_count import CommitFile, commit_number, compare
from stigmem.host.datadir import database_of, judged, read_only
from stigmem.host.rows import FACTS, LOADERS, Damaged, read_fact

__all__ = ["AuditFindings", "parse_head", "read_facts", "read_records", "verify_audit", "verify_journal"]

_BATCH: Final = 2_000
_AUDIT: Final = "SELECT seq, event, subject, fact_id, detail, ts_us, previous, hash FROM audit ORDER BY seq"
_SENTENCES: Final = {
    "seq_gap": "a row is missing after row {}",
    "previous_hash_mismatch": "row {} does not follow from the one before it",
    "hash_mismatch": "row {} was changed after it was written",
}
_BROKEN_MAX: Final = 20


class AuditFindings(msgspec.Struct):
    """What a walk over the audit log found; `head` is SEQ:HASH, to be kept elsewhere."""

    rows: int
    head: str | None
    writes: int
    matching: int
    broken: list[str]


def parse_head(text: str) -> ChainHead | None:
    """A head from SEQ:HASH; None when it is none."""
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdigit() and digest.startswith("sha256:")):
        return None
    return ChainHead(int(number), digest)


def verify_audit(directory: Path, expected: ChainHead | None = None) -> AuditFindings:
    """Walk the chain, look for `expected` in it, and compare the writes it tells of with the facts."""
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN")  # one view of both tables, whatever a running node adds
        seen = _Walk(expected)
        reached, reason = verify(seen.watch(AuditRow(*row) for row in _rows(connection, _AUDIT)))
        findings = AuditFindings(reached.seq, f"{reached.seq}:{reached.hash}" if reached.hash else None, 0, 0, [])
        if reason is not None:
            at = reached.seq + (reason != "seq_gap")
            findings.broken.append(_SENTENCES[reason].format(at))
        if expected is not None and not seen.met:
            findings.broken.append(f"row {expected.seq} with that hash is not in the log: it was cut off or replaced")
        _compare(connection, seen.writes, findings)
        _compare_gardens(connection, seen.garden_writes, findings)
    return findings


class _Walk:
    """Notes, while rows go by, which facts they say were written."""

    def __init__(self, expected: ChainHead | None) -> None:
        self._expected = expected
        self.met = False
        self.writes: dict[str, str] = {}
        self.garden_writes: dict[str, None] = {}

    def watch(self, rows: Iterator[AuditRow]) -> Iterator[AuditRow]:
        for row in rows:
            if self._expected is not None and (row.seq, row.hash) == tuple(msgspec.structs.astuple(self._expected)):
                self.met = True
            if row.event == "fact_write" and row.fact_id is not None:
                self.writes[row.fact_id] = str(msgspec.json.decode(row.detail).get("cid", ""))
            elif row.event == "garden_write" and row.fact_id is not None:
                self.garden_writes[row.fact_id] = None
            yield row


def _compare(connection: sqlite3.Connection, writes: dict[str, str], findings: AuditFindings) -> None:
    findings.writes = len(writes)
    for row in _rows(connection, FACTS + " WHERE received_from IS NULL ORDER BY seq"):
        try:
            fact = read_fact(row)
        except Damaged as error:
            _note(findings, str(error))
            continue
        told = writes.pop(fact.id, None)
        if told is None:
            _note(findings, f"fact {fact.id} is in the journal and no row tells of it")
        elif told != fact.cid or (fact.certified and fact.id != fact.certified_id()):
            _note(findings, f"fact {fact.id} is not what the log says was written")
        else:
            findings.matching += 1
    for fact_id in writes:
        _note(findings, f"fact {fact_id} was written, says the log, and is gone")


def _compare_gardens(connection: sqlite3.Connection, writes: dict[str, None], findings: AuditFindings) -> None:
    """By their ids alone: the log does not say what was written into a garden."""
    findings.writes += len(writes)
    query = "SELECT id FROM garden_facts ORDER BY row"
    for (fact_id,) in _rows(connection, query) if _is_expected(connection, "garden_facts") else ():
        if fact_id in writes:
            del writes[fact_id]
            findings.matching += 1
        else:
            _note(findings, f"fact {fact_id} is in a garden and no row tells of it")
    for fact_id in writes:
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


def read_records(directory: Path) -> Iterator[Record]:
    """Every record that a state is made of; raises JournalCorrupt."""
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        for loader in LOADERS:
            if _is_expected(connection, loader.what):
                for row in _rows(connection, loader.query):
                    yield loader.read(row)


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
