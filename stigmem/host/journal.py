"""The journal seam over SQLite: write-ahead log, full sync, one connection that writes.

Commits run in a worker thread so that the node goes on gathering its next batch; a batch is one transaction.
The file is locked by its process, checked when it is opened, and refused with a sentence when it is damaged.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import trio

from stigmem.core import limits
from stigmem.core.audit import AuditRow, ChainHead
from stigmem.core.fact import Fact
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import Record
from stigmem.host.datadir import (
    IN_USE,
    NO_ROOM,
    create_journal,
    database_of,
    error_kind,
    judged,
    lock_directory,
    read_only,
)
from stigmem.host.rows import LOADERS, WRITERS, Damaged
from stigmem.host.schema import migrate
from stigmem.host.wal import dropped_commits
from stigmem.node.ports import JournalFull

__all__ = ["SqliteJournal"]

_ROWS_PER_BATCH: Final = 2_000
_RECEIPTS_KEPT: Final = 10_000
_NONCE_LIFE_NS: Final = (2 * limits.TOKEN_LIFE_MS + 600_000) * 1_000_000
"""No nonce is needed for longer (stigmem.core.nonces), measured on the monotonic clock: a wall clock that jumps
ahead must not let one go early."""
_NONCE_MARK_NS: Final = 60_000_000_000
_AUDIT: Final = "SELECT seq, event, subject, fact_id, detail, ts_us, previous, hash FROM audit"


class SqliteJournal:
    """One node's journal in `directory/stigmem.db`."""

    def __init__(self, directory: Path, *, integrity: bool = True) -> None:
        """Open and lock the data directory. Raises DataDirectoryBusy, DataDirectoryUnusable or JournalCorrupt.

        `integrity`: look through the whole file now; without it `verify` must be called before it is trusted.
        """
        self.path = database_of(directory)
        self.torn = 0
        """Commits that a crash tore and that are gone: at most one, which nobody was told of."""
        self._nonce_marks: deque[tuple[int, int]] = deque()
        with ExitStack() as opened:
            self._lock = opened.enter_context(lock_directory(directory))
            with judged(self.path):
                create_journal(self.path)
                self._connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
                opened.callback(self._connection.close)
                self._prepare()
            if integrity:
                self.verify()
            opened.pop_all()

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("SELECT count(*) FROM sqlite_master").fetchone()  # the first read recovers the log
        _, recovered, _ = run("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self.torn = dropped_commits(self.path.with_name(self.path.name + "-wal"), max(recovered, 0))
        if self.torn > 1:
            raise Damaged(f"{self.torn} commits at the end of its write-ahead log cannot be read")
        migrate(self._connection)
        run("DELETE FROM receipts WHERE row <= (SELECT max(row) FROM receipts) - ?", (_RECEIPTS_KEPT,))

    def verify(self) -> None:
        """Look through the whole file, on a connection of its own, so from any thread; raises JournalCorrupt."""
        with judged(self.path), closing(read_only(self.path)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
            if found != ["ok"]:
                raise Damaged("; ".join(found))

    # --- writing ---

    async def commit(self, records: Sequence[Record]) -> None:
        """Make a batch durable as a whole; raises JournalFull."""
        await trio.to_thread.run_sync(self.write, records, abandon_on_cancel=False)

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

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, also when COMMIT itself fails. Raises JournalFull."""
        connection = self._connection
        try:
            with _room():
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

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

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        """Audit rows beyond a sequence number."""
        if newest_first:
            query = f"{_AUDIT} WHERE ? = 0 OR seq < ? ORDER BY seq DESC LIMIT ?"
            arguments: tuple[int, ...] = (after, after, limit)
        else:
            query, arguments = f"{_AUDIT} WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        return [AuditRow(*row) for row in await trio.to_thread.run_sync(self._read, query, arguments)]

    def _read(self, query: str, arguments: tuple[Any, ...]) -> list[Any]:
        with closing(read_only(self.path)) as connection:
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
                    self._cursor, self._read = self._connection.execute(loader.query), loader.read
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
