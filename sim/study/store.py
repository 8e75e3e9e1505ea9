"""The folder of a study: a line for every run that is done, written when it is done.

    study.jsonl      the head, then a row per run in the order in which they ended; a torn last line is cut off
    runs.parquet     the rows as a frame, a row a run, when the study is over
    *.png            a figure with bands over seeds for each key that has several values

Taking a study up again is reading which runs there are; one that was an error is done again. A folder knows which
scenario it is of, and which source its runs were made by: rows of another scenario, or of another version of the
packages, are never mixed in. Shards are folders of their own, with rows that the others lack; merging is putting them
together.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import sim
import stigmem
from sim.report.folder import BadFolder
from sim.scenario.reading import plain_values
from sim.scenario.tables import Scenario

__all__ = ["ROWS", "Store", "identity_of", "merge_rows", "source_identity"]

ROWS: Final = "study.jsonl"


def identity_of(scenario: Scenario, cells: Sequence[dict[str, Any]]) -> str:
    """Tells one scenario, with the values that are varied, from another; its seed does not count."""
    plain = plain_values(scenario)
    plain["scenario"] = {key: value for key, value in plain["scenario"].items() if key != "seed"}
    return hashlib.blake2b(repr((plain, cells)).encode(), digest_size=16).hexdigest()


@cache
def source_identity() -> str:
    """Tells the source of the packages here, and the version of Python, from others."""
    told = hashlib.blake2b(repr(sys.version_info[:2]).encode(), digest_size=8)
    for package in (stigmem, sim):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*.py")):
            told.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return told.hexdigest()


class Store:
    """The rows of one folder; `None` for a study that is kept nowhere."""

    def __init__(self, folder: Path | None, *, name: str, identity: str) -> None:
        """Raises BadFolder when the folder cannot be made, or is that of another study."""
        self.rows: list[dict[str, Any]] = []
        self._done: dict[tuple[int, int], None] = {}
        self._path = None if folder is None else folder / ROWS
        if folder is None or self._path is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadFolder(f"{folder} cannot be made into the folder of a study: {error.strerror}") from error
        if self._path.exists():
            head, rows = _read(self._path)
            self.rows = [row for row in rows if row["verdict"] != "error"]  # which may go better another time
            if head["identity"] != identity:
                raise BadFolder(f"{folder} holds a study of another scenario ({head['name']}); give another folder")
            if self.rows and head.get("source") != source_identity():
                raise BadFolder(f"{folder} holds runs of another version of stigmem-trio or Python; give another one")
        self._done = {(row["cell"], row["seed"]): None for row in self.rows}
        _write(self._path, {"name": name, "identity": identity, "source": source_identity()}, self.rows)

    def has(self, cell: int, seed: int) -> bool:
        """Whether this run is done."""
        return (cell, seed) in self._done

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row: on the disk before anything else is done."""
        self.rows.append(row)
        self._done[row["cell"], row["seed"]] = None
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def merge_rows(folders: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """The rows of several folders in one; a run that is in two of them is there once. Raises BadFolder when they are
    not of one study."""
    heads, merged = [], {}
    for folder in folders:
        if not (folder / ROWS).is_file():
            raise BadFolder(f"{folder} is not the folder of a study: it has no {ROWS}")
        head, rows = _read(folder / ROWS)
        heads.append(head)
        merged.update({(row["cell"], row["seed"]): row for row in rows})
        if head["identity"] != heads[0]["identity"]:
            raise BadFolder(f"{folder} and {folders[0]} are not of one study: their scenarios differ")
        if head.get("source") != heads[0].get("source"):
            raise BadFolder(f"{folder} and {folders[0]} were run by different versions of stigmem-trio or Python")
    out.mkdir(parents=True, exist_ok=True)
    ordered = [merged[key] for key in sorted(merged)]
    _write(out / ROWS, heads[0], ordered)
    return ordered


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line's end was being written
    try:
        head, *rows = (json.loads(line) for line in lines)
        if not isinstance(head["identity"], str):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise BadFolder(f"{path} is not the record of a study") from error
    return head, rows


def _write(path: Path, head: dict[str, Any], rows: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(each) + "\n" for each in (head, *rows))
    scratch = path.with_suffix(".part")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
