"""Writing files that must be whole and private: beside their place first, then into it."""

from __future__ import annotations

import os
from pathlib import Path

from stigmem.host.datadir import sync_directory

__all__ = ["write_private"]


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, durably and as a whole; replaces what is there. Raises OSError."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_directory(path.parent)
