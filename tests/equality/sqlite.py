"""The rows of a journal as the SQLite journal of `stigmem.host` keeps them: schema, tables and columns."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from stigmem.core.records import decode_record
from stigmem.host.journal import SqliteJournal

__all__ = ["sqlite_lines"]

_BATCH_ROWS = 100


def sqlite_lines(rows: Sequence[bytes]) -> Iterator[bytes]:
    """The statements that make the database again, in order."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        journal = SqliteJournal(directory)
        try:
            for start in range(0, len(rows), _BATCH_ROWS):
                journal.write([decode_record(row) for row in rows[start : start + _BATCH_ROWS]])
        finally:
            journal.close()
        with closing(sqlite3.connect(journal.path)) as connection:
            for line in connection.iterdump():
                yield line.encode("utf-8", "surrogatepass")
