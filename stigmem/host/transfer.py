"""Facts as JSON lines, out of a data directory and into an empty one, exactly as they are.

A header line, then a fact a line in local order with every column that the journal keeps. What is written in belongs
to the node that wrote it out: facts are signed by the node that first asserted them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from stigmem.core.attestation import Attestation, verify_signature
from stigmem.core.audit import SALT_BYTES, ChainHead, append
from stigmem.core.erasure import Erasures, is_husk
from stigmem.core.errors import Rejection, StigmemError
from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp, format_stamp, parse_stamp
from stigmem.core.keys import ED25519, decode_base64, encode_base64
from stigmem.core.records import (
    AttestedFact,
    ClockMark,
    ClockReset,
    GardenFact,
    OriginRow,
    Record,
    RevocationRow,
    TombstoneRow,
)
from stigmem.core.uris import VOID_PREFIX
from stigmem.host.commit_count import count_file
from stigmem.host.context import HostEntropy
from stigmem.host.datadir import database_of, judged, lock_directory, read_only, sync_directory
from stigmem.host.files import write_private
from stigmem.host.identity import read_identity, settle_identity
from stigmem.host.inspection import read_facts, read_records
from stigmem.host.journal import SqliteJournal
from stigmem.host.schema import APPLICATION_ID
from stigmem.host.settings import HostSettings

__all__ = [
    "BadExport", "Exported", "Header", "back_up", "export_facts", "garden_facts_of", "import_facts", "read_header",
    "read_line", "restore",
]  # fmt: skip

_FORMAT: Final = 1
_BATCH: Final = 5_000
_IMPORTER: Final = "system:import"


class BadExport(StigmemError):
    """A file that cannot be taken in; the message names the line."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_export", message)


class Header(msgspec.Struct):
    """The first line."""

    stigmem_export: int
    node_id: str
    public_key: str
    clock: str
    origins: dict[str, str] = {}
    """Public keys of other nodes whose facts are in it, for who verifies them (`stigmem verify-fact`)."""


class Line(msgspec.Struct, kw_only=True):
    """A fact; members as in the journal's table, `hlc` and `seq` included."""

    seq: int
    id: str
    origin: str
    hlc: str
    entity: str
    relation: str
    scope: str
    source: str
    value_type: str
    value: str
    interpret_as: str
    confidence: float
    timestamp_us: int
    valid_until: str | None
    derived_from: str
    cid: str
    signature: str | None
    entity_uri: str
    origin_scopes: str
    received_from: str | None
    certified: bool
    quarantine: str | None
    attestation: Attestation | None = None
    """What stands beside the fact (spec/attestation.md)."""


def export_facts(directory: Path, out: IO[bytes]) -> int:
    """Write every fact that is not to be forgotten; how many. They are numbered anew, so that nobody sees that there
    were more. Raises JournalCorrupt."""
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        clock = _clock_of(connection)
    origins, attested = _beside(directory)
    header = Header(_FORMAT, meta.get("node_id", ""), meta.get("public_key", ""), clock, origins)
    out.write(msgspec.json.encode(header) + b"\n")
    count = 0
    erasures = _erasures(directory)
    for fact in read_facts(directory):
        if is_husk(fact) or erasures.covering(fact) is not None:
            continue
        count += 1
        beside = attested.get((fact.origin, fact.id))
        out.write(msgspec.json.encode(_line(msgspec.structs.replace(fact, seq=count), beside)) + b"\n")
    return count


def _beside(directory: Path) -> tuple[dict[str, str], dict[tuple[str, str], Attestation]]:
    """The keys of other nodes, and what agents signed by origin and id of the fact."""
    origins: dict[str, str] = {}
    attested: dict[tuple[str, str], Attestation] = {}
    for record in read_records(directory, ("origins", "attestations")):
        if isinstance(record, OriginRow) and record.is_bound:
            origins[record.node_id] = record.public_key
        elif isinstance(record, AttestedFact) and record.attestation is not None:
            attested[record.origin, record.fact_id] = record.attestation
    return origins, attested


def _clock_of(connection: sqlite3.Connection) -> str:
    """Where the hybrid clock stands: its mark, or where it was set back to when nothing was stamped since."""
    mark = connection.execute("SELECT hlc FROM clock").fetchone()
    if mark is not None:
        return str(mark[0])
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    reset = connection.execute("SELECT stamp FROM clock_resets").fetchone() if "clock_resets" in tables else None
    return "0.0" if reset is None else format_stamp(reset[0])


def _erasures(directory: Path) -> Erasures:
    """The tombstones of a node: some may not be carried out yet."""
    found = Erasures()
    for record in read_records(directory, ("tombstones", "tombstone_revocations")):
        if isinstance(record, TombstoneRow):
            found.apply_tombstone(record)
        elif isinstance(record, RevocationRow):
            found.apply_revocation(record)
    return found


def garden_facts_of(directory: Path) -> int:
    """How many facts are in gardens, and so in no export. Raises JournalCorrupt."""
    return sum(isinstance(record, GardenFact) for record in read_records(directory))


def _line(fact: Fact, beside: Attestation | None) -> Line:
    return Line(
        seq=fact.seq, id=fact.id, origin=fact.origin, hlc=format_stamp(fact.stamp), entity=fact.entity,
        relation=fact.relation, scope=fact.scope, source=fact.source, value_type=fact.kind, value=fact.text,
        interpret_as=fact.interpret_as, confidence=fact.confidence, timestamp_us=fact.timestamp_us,
        valid_until=fact.valid_until, derived_from=fact.derived_from, cid=fact.cid,
        signature=None if fact.signature is None else encode_base64(fact.signature), entity_uri=fact.entity_uri,
        origin_scopes=fact.grant, received_from=fact.received_from, certified=fact.certified,
        quarantine=fact.quarantine, attestation=beside,
    )  # fmt: skip


def import_facts(settings: HostSettings, lines: Iterator[bytes]) -> int:
    """Take every fact into a data directory that has none; how many. All of them or none.

    Raises BadExport, BadSettings, DataDirectoryBusy, JournalFull.
    """
    directory = settings.data_dir
    header = _header(next(lines, b""))
    # Before anything is made: a key made here would then stand in the way of the one that belongs to the facts.
    identity = read_identity(settings)
    if identity is None or header.node_id != identity.node_id:
        owner = "has no key yet" if identity is None else f"belongs to {identity.node_id}"
        raise BadExport(
            f"these are the facts of {header.node_id}, and {directory} {owner}: bring its federation.key along (and "
            "node_id, if it was set) before importing"
        )
    journal = SqliteJournal(directory)
    try:
        if journal.count():
            raise BadExport(f"{directory} holds facts already; an export goes into an empty data directory")
        settle_identity(settings, journal)
        return journal.write_all(_batches(lines, header, journal.audit_head()))
    finally:
        journal.close()


def _header(line: bytes) -> Header:
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadExport(f"line 1: this is no export of a node ({error})") from error
    if header.stigmem_export != _FORMAT:
        raise BadExport(f"line 1: this export has format {header.stigmem_export}, and format {_FORMAT} can be read")
    return header


def _batches(lines: Iterator[bytes], header: Header, head: ChainHead) -> Iterator[list[Record]]:
    clock, now_us = _stamp(header.clock, 1), time.time_ns() // 1_000
    stamp, has_voided = clock, False
    salt = partial(HostEntropy().token, SALT_BYTES)
    batch: list[Record] = []
    expected = 1
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        fact, beside = _fact(line, number)
        if fact.seq != expected:
            raise BadExport(
                f"line {number}: fact {fact.seq} follows fact {expected - 1}; lines are missing or out of order"
            )
        expected += 1
        batch.append(fact)
        if beside is not None:
            batch.append(AttestedFact(fact.origin, fact.id, fact.stamp, beside))
        if fact.received_from is None:
            stamp = max(stamp, fact.stamp)
            has_voided = has_voided or fact.entity.startswith(VOID_PREFIX)
            detail: dict[str, object] = {"cid": fact.cid, "scope": fact.scope}
            row = append(head, "fact_write", _IMPORTER, fact.id, detail, now_us, salt=salt())
            head = ChainHead(row.seq, row.hash)
            batch.append(row)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    # Stamps ahead of the clock are of facts that were voided, if any were.
    yield [*batch, ClockReset(clock, stamp) if has_voided and clock < stamp else ClockMark(stamp)]


class Exported(NamedTuple):
    """One fact of an export, as its line says; nothing of it is checked."""

    line: int
    fact: Fact
    cid: str
    attestation: Attestation | None


def read_header(line: bytes) -> Header:
    """The first line of an export. Raises BadExport."""
    return _header(line)


def read_line(line: bytes, number: int) -> Exported:
    """Another line of an export. Raises BadExport for what is none."""
    try:
        row = msgspec.json.decode(line, type=Line)
        signature = None if row.signature is None else decode_base64(row.signature)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadExport(f"line {number}: this is no exported fact ({error})") from error
    fact = Fact(
        _stamp(row.hlc, number), row.origin, row.id, row.entity, row.relation, row.scope, row.source, row.value_type,
        row.value, row.interpret_as, row.confidence, row.timestamp_us, row.valid_until, row.derived_from, signature,
        row.entity_uri, row.origin_scopes, row.seq, row.received_from, row.certified, row.quarantine,
    )  # fmt: skip
    return Exported(number, fact, row.cid, row.attestation)


def _fact(line: bytes, number: int) -> tuple[Fact, Attestation | None]:
    """The fact of a line, and what stands beside it. Raises BadExport."""
    _, fact, cid, beside = read_line(line, number)
    if fact.cid != cid or (fact.certified and fact.id != fact.certified_id()):
        raise BadExport(
            f"line {number}: fact {fact.id} was changed after it was exported; its ids do not fit its content"
        )
    if beside is not None and beside.form == "whole":
        try:
            verify_signature(beside, fact, ED25519)
        except Rejection as error:
            message = f"line {number}: the attestation of fact {fact.id} does not hold: {error.message}"
            raise BadExport(message) from error
    return fact, beside


def _stamp(text: str, number: int) -> Stamp:
    try:
        return parse_stamp(text)
    except Rejection as error:
        raise BadExport(f"line {number}: {text!r} is no stamp: {error.message}") from error


def back_up(directory: Path, target: Path) -> int:
    """A consistent copy of the journal, also while a node runs on it; its size in bytes.

    Raises FileExistsError when `target` exists, JournalCorrupt.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists; a backup does not overwrite")
    new = target.with_name(target.name + ".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    path = database_of(directory)
    try:
        with judged(path), closing(read_only(path)) as source, closing(sqlite3.connect(new)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file
        new.rename(target)
    finally:
        new.unlink(missing_ok=True)
    sync_directory(target.parent)
    return target.stat().st_size


def restore(source: Path, directory: Path) -> int:
    """Put a backup into a data directory that has no journal; how many facts it holds.

    Raises StigmemError when it is no journal or there is one already, DataDirectoryBusy, JournalCorrupt.
    """
    path = database_of(directory)
    with judged(source), closing(read_only(source)) as connection:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StigmemError("no_backup", f"{source} is no backup of a node")
    lock = lock_directory(directory)
    try:
        if path.exists():
            raise StigmemError("journal_exists", f"{directory} has a journal already; restore into an empty directory")
        new = path.with_name(path.name + ".new")
        write_private(new, source.read_bytes())
        count_file(directory).unlink(missing_ok=True)  # it counts the commits of another past
        new.rename(path)
        sync_directory(directory)
    finally:
        lock.close()
    journal = SqliteJournal(directory)  # looks through all of it, and counts from here on
    try:
        return journal.count()
    finally:
        journal.close()
