"""How many commits a journal has acknowledged, written down beside it.

SQLite's recovery takes from the write-ahead log whatever comes before the first frame that is not whole, and drops the
rest without a word. That is right for a commit that a crash tore and wrong for one that was synced and damaged later:
a flipped bit in the log's header makes the whole log look empty, a log that was removed or cut leaves no trace at all.
From the journal alone the two cannot be told apart. So each commit has a number, in two places:

    BEGIN; records; commits.number := n; COMMIT (synced)  ->  `stigmem.commits` := n  ->  apply  ->  replies
          (1)             (2)                  (3)                      (4)                (5)        (6)

A crash at (1) or (2) loses a commit that nobody was told of, and the file says n - 1. At (3) the journal is ahead of
the file, which is no loss. From (4) on both say n. So after any crash: journal >= file. A start finds

    journal >= file    nothing that was acknowledged is missing; the file is brought up to the journal
    journal <  file    file - journal commits were acknowledged and are gone: the node does not start
    no file, or one that is not whole    nothing can be said; it is made anew, and that is told

What is not promised: the file is written (pwrite) and not synced, because a sync of its own doubled what a durable
write costs (8 ms instead of 4 on the disk measured). After a power cut it may hold an older number than was
acknowledged, and then damage to the commits in between is not noticed by it. It never holds a newer one than the
journal, so a start is never refused without loss. A process that is killed loses nothing of it.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

from stigmem.host.rows import Damaged, checksum

__all__ = ["CommitFile", "CommitsLost", "commit_number", "compare", "count_file"]

_RECORD_BYTES: Final = 30
"""Number, blank, checksum, newline: within one sector, so that it is written whole or not at all."""


class CommitsLost(Damaged):
    """The journal ends before the last commit that was acknowledged."""

    def __init__(self, stored: int, acknowledged: int) -> None:
        lost = acknowledged - stored
        super().__init__(
            f"{lost} commit{'' if lost == 1 else 's'} that {'was' if lost == 1 else 'were'} acknowledged "
            f"{'is' if lost == 1 else 'are'} gone: it ends at commit {stored}, and {acknowledged} had been stored"
        )
        self.lost = lost


def count_file(directory: Path) -> Path:
    """Where the number is kept."""
    return directory / "stigmem.commits"


class CommitFile:
    """The file, open for as long as the journal is."""

    def __init__(self, directory: Path) -> None:
        """Read what it says. Raises OSError when it is there and cannot be read."""
        self.path = count_file(directory)
        self._descriptor: int | None = None
        self.number: int | None = None
        """What it said when it was opened, or says since it was set; None when there was none or it was not whole."""
        self.was_there = True
        try:
            self.number = _number(self.path.read_bytes())
        except FileNotFoundError:
            self.was_there = False

    def set(self, number: int) -> None:
        """Note that so many commits are durable. A file that cannot be written costs its protection and no commit:
        what it stands for has been stored."""
        with suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.pwrite(self._descriptor, _record(number), 0)
            self.number = number

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def compare(stored: int, acknowledged: int | None) -> None:
    """Raises CommitsLost when the journal holds fewer commits than were acknowledged."""
    if acknowledged is not None and stored < acknowledged:
        raise CommitsLost(stored, acknowledged)


def commit_number(connection: sqlite3.Connection) -> int | None:
    """The number of the last commit in a journal; None in one that was made before commits were counted. Raises
    Damaged."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'commits'").fetchone():
        return None
    row = connection.execute("SELECT number, checksum FROM commits").fetchone()
    if row is None or checksum(row[:1]) != row[1]:
        raise Damaged("the number of its last commit does not match its checksum")
    return int(row[0])


def _record(number: int) -> bytes:
    digits = b"%020d" % number
    return digits + b" %08x\n" % zlib.crc32(digits)


def _number(record: bytes) -> int | None:
    digits = record[:20]
    return int(digits) if digits.isdigit() and record == _record(int(digits)) else None
