"""A look at SQLite's write-ahead log, for what its recovery does not say.

Recovery takes whatever comes before the first frame that is not whole and drops the rest without a word. That is
right for a commit torn by a crash and wrong for one that was synced long ago and damaged since; only the frame
headers beyond tell the two apart. The format is that of sqlite.org/fileformat2.html, section 4.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

__all__ = ["dropped_commits", "frames_recovered"]

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = (0x377F0682, 0x377F0683)


_FRAMES_AT: Final = 16
"""Where the index of the log keeps the number of valid frames (sqlite.org/walformat.html, section 2.3)."""


def frames_recovered(index: Path) -> int:
    """How many frames SQLite took from a log, by its index (-shm) while a connection is open; 0 without one."""
    try:
        with index.open("rb") as file:
            file.seek(_FRAMES_AT)
            found = file.read(4)
    except FileNotFoundError:
        return 0
    return struct.unpack("=I", found)[0] if len(found) == 4 else 0


def dropped_commits(path: Path, recovered: int) -> int:
    """How many commits the log at `path` holds beyond the `recovered` frames that SQLite took from it.

    One may be a commit that was being written when the power went. Two cannot: a commit begins after the one
    before it was synced. Zero when there is no log.
    """
    try:
        with path.open("rb") as log:
            header = log.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return 0
            magic, _, page_size, _, salt_1, salt_2, *_ = _HEADER.unpack(header)
            if magic not in _MAGIC or page_size not in (512 << shift for shift in range(8)):
                # Not even the header is whole. It is synced before the first commit behind it, so what follows
                # counts, by the page size that every journal of ours has and the salts of its first frame.
                page_size, salts = 4096, None
            else:
                salts = (salt_1, salt_2)
            length = _FRAME.size + page_size
            count = 0
            log.seek(_HEADER.size + recovered * length)
            while len(frame := log.read(length)) == length:
                _, pages_after_commit, frame_1, frame_2, _, _ = _FRAME.unpack_from(frame)
                salts = salts or (frame_1, frame_2)
                count += pages_after_commit != 0 and (frame_1, frame_2) == salts
            return count
    except FileNotFoundError:
        return 0
