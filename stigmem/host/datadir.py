"""A data directory: who holds it, what lies in it, and whether its journal can be what a node left there.

Files, locks and verdicts. What is in the journal is `stigmem.host.journal`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from stigmem.core.errors import JournalCorrupt, StigmemError
from stigmem.host.commit_count import CommitsLost
from stigmem.host.rows import Damaged
from stigmem.host.schema import migrate

__all__ = [
    "IN_USE", "NO_ROOM", "DataDirectoryBusy", "DataDirectoryUnusable", "create_journal", "database_of", "error_kind",
    "judged", "judged_write", "lock_directory", "read_only", "read_unchanging", "sync_directory",
]  # fmt: skip

NO_ROOM: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
IN_USE: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class DataDirectoryBusy(StigmemError):
    """Another process has this data directory open."""


class DataDirectoryUnusable(StigmemError):
    """The data directory cannot be read or written."""


def database_of(directory: Path) -> Path:
    """Where the journal of a data directory is."""
    return directory / "stigmem.db"


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that reads, while a node runs or not: readers of a write-ahead log wait for nobody."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def read_unchanging(path: Path) -> sqlite3.Connection:
    """As `read_only`, for a file that nobody writes to: needs no file beside it, and sees no write-ahead log."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True, check_same_thread=False)


def create_journal(path: Path, acknowledged: int = 0) -> bool:
    """An empty journal, if there is none: made under another name, so that a half-made one is never seen. Whether it
    was made. Raises Damaged when there was one, which had `acknowledged` commits."""
    if path.exists():
        if path.stat().st_size == 0:
            raise Damaged("it is empty, and no journal ever is")
        return False
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > 0:
        raise Damaged("it is gone, and its write-ahead log is still there")
    if acknowledged:
        raise CommitsLost(0, acknowledged)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        migrate(connection)
    new.rename(path)
    sync_directory(path.parent)
    return True


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_directory(directory: Path) -> TextIOWrapper:
    """Make the directory if need be and hold it until the file is closed. Raises DataDirectoryUnusable and
    DataDirectoryBusy."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (directory / "lock").open("a")
    except OSError as error:
        raise DataDirectoryUnusable(
            "data_directory_unusable",
            f"{directory} cannot be a data directory ({error.strerror}); name one that can be written with --data-dir",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise DataDirectoryBusy(
            "data_directory_busy",
            f"another process has the data directory {directory} open; stop it first or choose another directory",
        ) from error
    return lock


@contextmanager
def judged(path: Path) -> Iterator[None]:
    """Turn what SQLite and the rows say into one sentence: JournalCorrupt, or DataDirectoryUnusable when the file
    may be whole and cannot be worked on."""
    try:
        yield
    except (sqlite3.DatabaseError, Damaged) as error:
        if isinstance(error, sqlite3.OperationalError) and error_kind(error) in (
            *NO_ROOM,
            *IN_USE,
            sqlite3.SQLITE_PERM,
        ):
            raise DataDirectoryUnusable("data_directory_unusable", f"{path} cannot be opened: {error}") from error
        if isinstance(error, CommitsLost):
            raise JournalCorrupt(
                f"{path} is not whole: {error}. Restore a newer copy where there is one; to go on without what is "
                f"gone: stigmem recover --accept-loss --data-dir {path.parent}"
            ) from error
        raise JournalCorrupt(
            f"{path} is damaged ({error}), and a node does not start on part of its past. Restore the last backup, "
            f"or recover what can be read with: sqlite3 {path.name} .recover"
        ) from error


@contextmanager
def judged_write(path: Path) -> Iterator[None]:
    """As `judged`, for writes: only what says that the file itself is damaged; everything else is as it was raised."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if error_kind(error) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        with judged(path):
            raise


def error_kind(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 when the error is the Python module's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
