"""Files that must be whole: what a power cut leaves is the old file or the new one, and the new one has its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stigmem.host import files
from stigmem.host.files import private_file, write_private


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, steps = tmp_path / "secret", []
    file.write_bytes(b"old")
    fsync = os.fsync

    def synced(handle: int) -> None:
        steps.append(("file", file.read_bytes()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(files, "sync_directory", lambda path: steps.append((path, file.read_bytes())))
    write_private(file, b"new")
    assert steps == [("file", b"old"), (tmp_path, b"new")]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_could_not_be_written_whole_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, b"old")

    def half() -> None:
        with private_file(file) as stream:
            stream.write(b"half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        half()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
