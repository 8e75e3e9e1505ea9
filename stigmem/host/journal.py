"""The journal port over SQLite: write-ahead log, full sync, one connection that writes.

Commits run in a worker thread so that the node goes on gathering its next batch; a batch is one transaction.
The file is locked by its process, checked when it is opened, and refused with a sentence when it is damaged.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from stigmem.core import limits
from stigmem.core.audit import AuditRow, ChainHead
from stigmem.core.fact import Fact
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import Record
from stigmem.host.commit_count import CommitFile, commit_number, compare
from stigmem.host.datadir import (
    IN_USE,
    NO_ROOM,
    create_journal,
    database_of,
    error_kind,
    judged,
    judged_write,
    lock_directory,
    read_only,
    read_unchanging,
)
from stigmem.host.rows import AUDIT_COLUMNS, LOADERS, REPLACE_AUDIT, WRITERS, Damaged, checksum, fact_reader, read_fact
from stigmem.host.schema import migrate
from stigmem.host.wal import dropped_commits, frames_recovered
from stigmem.node.ports import JournalFull

__all__ = ["SqliteJournal"]

_ROWS_PER_BATCH: Final = 2_000
_RECEIPTS_KEPT: Final = 10_000
_NONCE_LIFE_NS: Final = (2 * limits.TOKEN_LIFE_MS + 600_000) * 1_000_000
"""No nonce is needed for longer (stigmem.core.nonces), measured on the monotonic clock: a wall clock that jumps
ahead must not let one go early."""
_NONCE_MARK_NS: Final = 60_000_000_000
_AUDIT: Final = f"SELECT {AUDIT_COLUMNS} FROM audit"  # noqa: S608 - a constant of ours


class SqliteJournal:
    """One node's journal in `directory/stigmem.db`."""

    def __init__(self, directory: Path, *, integrity: bool = True, accept_loss: bool = False) -> None:
        """Open and lock the data directory. Raises DataDirectoryBusy, DataDirectoryUnusable or JournalCorrupt.

        `integrity`: look through the whole file now; without it `verify` must be called before it is trusted.
        `accept_loss`: go on without commits that were acknowledged and are gone.
        """
        self.path = database_of(directory)
        self.torn = 0
        """Commits that a crash tore and that are gone: at most one, which nobody was told of."""
        self.remarks: list[str] = []
        """What the operator should know about what was found."""
        self._commits = 0
        self._writing = trio.Lock()
        self._room = True
        """Whether it is open for writing."""
        self._nonce_marks: deque[tuple[int, int]] = deque()
        with ExitStack() as opened:
            self._lock = opened.enter_context(lock_directory(directory))
            self._count = CommitFile(directory)
            opened.callback(self._count.close)
            with judged(self.path):
                if not create_journal(self.path, 0 if accept_loss else self._count.number or 0):
                    self._judge(accept_loss=accept_loss)
                self._open()
                opened.callback(self._close_connection)
            if integrity:
                self.verify()
            opened.pop_all()

    def _judge(self, *, accept_loss: bool) -> None:
        """Whether everything that was acknowledged is there, before anything is changed: on a connection that only
        reads, so that a damaged log is left as it is for whoever can save more. Raises Damaged."""
        log = self.path.with_name(self.path.name + "-wal")
        try:
            with closing(read_only(self.path)) as connection:
                held = commit_number(connection)
                self.torn = dropped_commits(log, frames_recovered(self.path.with_name(self.path.name + "-shm")))
        except sqlite3.OperationalError as error:
            if error_kind(error) not in NO_ROOM:
                raise
            return  # without room even for the log's index there is nothing to judge by; opening tells how far it goes
        try:
            compare(held or 0, self._count.number)
            if self.torn > 1:
                raise Damaged(f"{self.torn} commits at the end of its write-ahead log cannot be read")
        except Damaged as damage:
            if not accept_loss:
                raise
            self.remarks.append(f"went on although {damage}")
            if log.exists():
                kept = log.with_name(f"{log.name}.damaged-{time.time_ns()}")
                shutil.copy2(log, kept)
                self.remarks.append(f"the damaged write-ahead log was kept as {kept}")
            return
        if self.torn:
            self.remarks.append(
                "the last write was torn by a crash and is gone; nobody had been told that it was stored"
            )
        if held and self._count.number is None:
            state = "was not whole" if self._count.was_there else "was not there"
            self.remarks.append(
                f"{self._count.path} {state} and is made anew; whether acknowledged commits are missing cannot be told"
            )

    def _open(self) -> None:
        """Open it for writing, or, on a disk without room for even the index of a log, for reading. Raises Damaged and
        sqlite3.Error."""
        try:
            self._connection = self._prepared()
            self._room = True
        except sqlite3.OperationalError as error:
            log = self.path.with_name(self.path.name + "-wal")
            if error_kind(error) not in NO_ROOM or (log.exists() and log.stat().st_size):
                raise
            # Everything is in the one file, which nobody changes while this process holds the lock.
            self._connection = read_unchanging(self.path)
            self._commits = commit_number(self._connection) or 0
            compare(self._commits, self._count.number)
            self._room = False
            self.remarks.append(f"{self.path} can be read and not written ({error}); writes are tried again and again")

    def _prepared(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        run = connection.execute
        with _as_far_as_there_is_room():
            run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("SELECT count(*) FROM sqlite_master").fetchone()  # the first read recovers the log
        migrate(connection)
        self._commits = commit_number(connection) or 0
        self._count.set(self._commits)
        with _as_far_as_there_is_room():
            run("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            run("DELETE FROM receipts WHERE row <= (SELECT max(row) FROM receipts) - ?", (_RECEIPTS_KEPT,))

    def verify(self) -> None:
        """Look through the whole file, on a connection of its own, so from any thread; raises JournalCorrupt."""
        with judged(self.path), closing(self._reader()) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
            if found != ["ok"]:
                raise Damaged("; ".join(found))

    def _close_connection(self) -> None:
        self._connection.close()  # whichever it is by then

    def _reader(self) -> sqlite3.Connection:
        return read_only(self.path) if self._room else read_unchanging(self.path)

    # --- writing ---

    async def commit(self, records: Sequence[Record]) -> None:
        """Make a batch durable as a whole; raises JournalFull."""
        async with self._writing:
            await trio.to_thread.run_sync(self.write, records, abandon_on_cancel=False)

    async def compact(self) -> None:
        """Rewrite the file, so that nothing of what was deleted or replaced can be read from it or from its log; raises
        JournalFull. Commits wait meanwhile."""
        async with self._writing:
            await trio.to_thread.run_sync(self.rewrite, abandon_on_cancel=False)

    def rewrite(self) -> None:
        """As `compact`, for callers that have no event loop to hold up. Facts of gardens that were deleted go as well:
        nobody can say any more whether some of them are to be forgotten."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM garden_facts WHERE garden_id NOT IN (SELECT garden_id FROM gardens)")
        with judged_write(self.path), _room():
            self._connection.execute("VACUUM")
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise JournalFull("journal_in_use", "somebody reads the journal; what was replaced is still in its log")

    def write(self, records: Sequence[Record]) -> None:
        """As `commit`, for callers that have no event loop to hold up."""
        with self._transaction() as connection:
            for sql, rows in _statements(records):
                connection.executemany(sql, rows)
            if any(isinstance(record, SpentNonce) for record in records):
                self._forget_nonces()

    def write_all(self, batches: Iterable[Sequence[Record]]) -> int:
        """Write batches in one transaction; how many facts they held. Raises JournalFull, and whatever the batches
        raise, with nothing stored."""
        count = 0
        with self._transaction() as connection:
            for records in batches:
                count += sum(isinstance(record, Fact) for record in records)
                for sql, rows in _statements(records):
                    connection.executemany(sql, rows)
        return count

    def replace_audit(self, rows: Iterable[AuditRow]) -> None:
        """Store audit rows over those with their numbers, as a whole; raises JournalFull."""
        with self._transaction() as connection:
            connection.executemany(REPLACE_AUDIT, map(msgspec.structs.astuple, rows))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, also when COMMIT itself fails. Raises JournalFull, JournalCorrupt when the file broke
        meanwhile."""
        with judged_write(self.path), _room():
            if not self._room:
                reading, self._connection = self._connection, self._prepared()
                reading.close()
                self._room = True
        connection = self._connection
        try:
            with judged_write(self.path), _room():
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                number = self._commits + 1
                connection.execute("UPDATE commits SET number = ?, checksum = ?", (number, checksum((number,))))
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._commits = number
        self._count.set(number)

    def _forget_nonces(self) -> None:
        """Delete those whose life is over, seen from now on and back to when this process first saw them."""
        now_ns, marks = time.monotonic_ns(), self._nonce_marks
        if not marks or now_ns - marks[-1][0] >= _NONCE_MARK_NS:
            newest = self._connection.execute("SELECT max(row) FROM nonces").fetchone()[0]
            marks.append((now_ns, newest))
        while now_ns - marks[0][0] > _NONCE_LIFE_NS:
            self._connection.execute("DELETE FROM nonces WHERE row <= ?", (marks.popleft()[1],))

    # --- reading ---

    def load(self) -> AsyncIterator[Sequence[Record]]:
        """Every record, in the order in which a state is rebuilt; raises JournalCorrupt."""
        return _Loading(self.path, self._connection)

    def count(self) -> int:
        """How many facts there are to load."""
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM facts").fetchone()[0])

    def audit_head(self) -> ChainHead:
        """Where the audit log stands."""
        row = self._connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        return ChainHead() if row is None else ChainHead(*row)

    def audit_rows(self, after: int, limit: int) -> list[AuditRow]:
        """Audit rows beyond a sequence number, as this connection sees them, for callers that have no event loop."""
        rows = self._connection.execute(f"{_AUDIT} WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
        return [AuditRow(*row) for row in rows]

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        """Audit rows beyond a sequence number."""
        if newest_first:
            query = f"{_AUDIT} WHERE ? = 0 OR seq < ? ORDER BY seq DESC LIMIT ?"
            arguments: tuple[int, ...] = (after, after, limit)
        else:
            query, arguments = f"{_AUDIT} WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        return [AuditRow(*row) for row in await trio.to_thread.run_sync(self._read, query, arguments)]

    def _read(self, query: str, arguments: tuple[Any, ...]) -> list[Any]:
        with closing(self._reader()) as connection:
            return connection.execute(query, arguments).fetchall()

    def meta(self, name: str) -> str | None:
        """A note about this data directory, such as the node's identity."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, notes: dict[str, str]) -> None:
        """Keep notes; durable when this returns. Raises JournalFull."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(notes.items()))

    def close(self) -> None:
        """Close the file and let others have it."""
        self._connection.close()
        self._count.close()
        self._lock.close()


class _Loading:
    """Batches of records, table by table. No generator: whoever reads may stop anywhere without tidying up."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._tables = iter(LOADERS)
        self._cursor: sqlite3.Cursor | None = None
        self._read: Callable[[tuple[Any, ...]], Record]

    def __aiter__(self) -> _Loading:
        return self

    async def __anext__(self) -> Sequence[Record]:
        await trio.lowlevel.checkpoint()
        with judged(self._path):
            while True:
                if self._cursor is None:
                    loader = next(self._tables, None)
                    if loader is None:
                        raise StopAsyncIteration
                    self._cursor = self._connection.execute(loader.query)
                    self._read = fact_reader() if loader.read is read_fact else loader.read
                batch = [self._read(row) for row in self._cursor.fetchmany(_ROWS_PER_BATCH)]
                if batch:
                    return batch
                self._cursor = None


@contextmanager
def _room() -> Iterator[None]:
    """Turn "this cannot be written now" into JournalFull."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if (kind := error_kind(error)) in NO_ROOM:
            raise JournalFull("disk_full", f"the disk takes no writes ({error}); nothing was stored") from error
        if kind in IN_USE:
            raise JournalFull("journal_in_use", "another program holds the journal; nothing was stored") from error
        raise


@contextmanager
def _as_far_as_there_is_room() -> Iterator[None]:
    """Housekeeping at a start: a disk without room must not keep reads away."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error_kind(error) not in NO_ROOM:
            raise


def _statements(records: Sequence[Record]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Statements with their rows: types apart, and within a type in the order of the records."""
    runs: dict[type, list[tuple[str, list[tuple[Any, ...]]]]] = {}
    for record in records:
        held = runs.setdefault(type(record), [])
        for sql, row in WRITERS[type(record)](record):
            if held and held[-1][0] == sql:
                held[-1][1].append(row)
            else:
                held.append((sql, [row]))
    for held in runs.values():
        yield from held
