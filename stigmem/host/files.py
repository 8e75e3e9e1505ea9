"""Writing files that must be whole and private: beside their place first, then into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stigmem.host.datadir import sync_directory

__all__ = ["private_file", "write_private"]


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, durably and as a whole; replaces what is there. Raises OSError."""
    with private_file(path) as file:
        file.write(data)


@contextmanager
def private_file(path: Path) -> Iterator[IO[bytes]]:
    """As `write_private`, piece by piece: what stood there before stays until the block has ended well. A device or a
    pipe is written to as it is."""
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)
