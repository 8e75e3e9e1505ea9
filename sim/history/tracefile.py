"""Trace files: what happened when, in which organisation, one JSON object a line, gzip or plain.

Reading and checking only: every row is one that a node would accept, or the file is refused with the number of
the line. When a row happens in a run and on which node is `sim.workload.trace`'s to decide.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from sim.diagnostics.suggestions import alike, nearest_first, quoted
from stigmem.core import limits
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.uris import is_system, normalise, reserved_source
from stigmem.core.values import KINDS, parse_value

__all__ = ["MEMBERS", "BadTrace", "TraceRow", "TraceValue", "read_rows", "row_json"]

MEMBERS: Final = ("t", "org", "source", "entity", "relation", "value", "confidence")
"""What a row has: all of them, and nothing else."""
_GZIP: Final = b"\x1f\x8b"
_MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark that some editors put before a text."""
_T_MOST: Final = 2**63
"""Whatever scale it is on, a time is less: nanoseconds since 1970 are."""
_LINE_BYTES_MAX: Final = limits.FACT_BYTES_MAX


class BadTrace(Exception):
    """A trace that cannot be used: one sentence that names file and line."""


class TraceValue(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A typed value as a row carries it; null has no v."""

    type: str
    v: str | int | float | bool | None = None


class TraceRow(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One write. `t`: seconds, on any scale; only differences count."""

    t: int | float
    org: str
    source: str
    entity: str
    relation: str
    value: TraceValue
    confidence: float

    @property
    def t_ns(self) -> int:
        """`t` in nanoseconds."""
        return self.t * 1_000_000_000 if isinstance(self.t, int) else round(self.t * 1e9)


row_json: Final = msgspec.json.Encoder().encode
"""The line of a row, without its end."""
_decode: Final = msgspec.json.Decoder(TraceRow).decode


@lru_cache(maxsize=2)
def _rows(path: Path, _size: int, _changed_ns: int) -> list[TraceRow]:
    rows: list[TraceRow] = []
    ordered = True
    with _opened(path) as file:
        for number, line in _lines(path, file):
            row = _row(path, number, line)
            ordered = ordered and (not rows or rows[-1].t <= row.t)
            rows.append(row)
    if not rows:
        raise BadTrace(f"{path} holds no row; a trace has one JSON object per line with {_listed(MEMBERS)}")
    if not ordered:
        rows.sort(key=lambda row: row.t)
    return rows


def read_rows(path: Path) -> list[TraceRow]:
    """Every row, by time; rows of one time in the order of the file. Not to be changed: it is kept for the next caller.

    Raises BadTrace.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        names = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
        near = next((name for name in nearest_first(path.name, names)[:1] if alike(path.name, name)), None)
        raise BadTrace(f"there is no file {path}" + (f"; did you mean {quoted(near)}?" if near else "")) from None
    if not path.is_file():
        raise BadTrace(f"{path} is not a file; a trace is a file with one JSON object per line")
    return _rows(path, status.st_size, status.st_mtime_ns)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            if file.read(2) == _GZIP:
                file.seek(0)
                with gzip.open(file, "rb") as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                file.seek(0)
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise BadTrace(f"{path} is a damaged or cut off gzip file; pack it again") from None
    except OSError as error:
        raise BadTrace(f"{path} cannot be read: {error.strerror}") from None


def _lines(path: Path, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(_LINE_BYTES_MAX + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_MARK)
        if len(line) > _LINE_BYTES_MAX:
            raise BadTrace(f"{path}:{number}: the line has more than {_LINE_BYTES_MAX} bytes, which no fact may have")
        if line.strip():
            yield number, line


def _row(path: Path, number: int, line: bytes) -> TraceRow:
    try:
        row = _decode(line)
        wrong = _check(row)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        wrong = _diagnose(line)
    if wrong is not None:
        raise BadTrace(f"{path}:{number}: {wrong}")
    intern = sys.intern
    return TraceRow(
        row.t, intern(row.org), intern(row.source), intern(row.entity), intern(row.relation), row.value, row.confidence
    )


def _check(row: TraceRow) -> str | None:
    """What a node would refuse or keep for itself, or None."""
    if not abs(row.t) < _T_MOST:
        return f"t is {row.t:g}; it is a number of seconds below {_T_MOST:g}"
    if not row.org:
        return "org is empty; name the organisation that wrote this"
    if not 0.0 <= row.confidence <= 1.0:
        return f"confidence is {row.confidence:g}; it lies between 0 and 1"
    if not 0 < len(row.relation) <= limits.URI_CHARS_MAX:
        return f"relation needs 1 to {limits.URI_CHARS_MAX} characters"
    for name, text in (("entity", row.entity), ("source", row.source)):
        try:
            normalise(text)
        except Refusal as refusal:
            return f"{name} {text[:80]!r} is none: {refusal.message}"
    kept = _stays_at_home(row)
    if kept is not None:
        return kept
    try:
        parse_value(row.value.type, row.value.v)
    except Rejection as rejection:
        return f"value: {rejection.message}"
    return None


def _stays_at_home(row: TraceRow) -> str | None:
    """Names that a node keeps to itself or that its peers refuse from it: such a write could not be replicated."""
    for name, text, plain in (
        ("entity", row.entity, normalise(row.entity)), ("relation", row.relation, row.relation)
    ):  # fmt: skip
        if is_system(plain) or plain.startswith("instruction:"):
            return f"{name} {text[:80]!r} never leaves its node, because of how it begins; give it another name"
    if reserved_source(normalise(row.source)):
        return f"source {row.source[:80]!r} is for nodes themselves; a person or a program may be 'agent:name'"
    return None


def _diagnose(line: bytes) -> str:
    """What is wrong with a line that is no row, in words."""
    try:
        found: Any = msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _no_json(line)
    if not isinstance(found, dict):
        return f"a JSON {_sort(found)} where an object with {_listed(MEMBERS)} belongs"
    missing = [name for name in MEMBERS if name not in found]
    if missing:
        return f"{_listed(missing)} missing; a row has {_listed(MEMBERS)}"
    unknown = [name for name in found if name not in MEMBERS]
    if unknown:
        return f"unknown member {_listed([repr(name[:40]) for name in unknown])}; a row has {_listed(MEMBERS)}"
    for name in ("org", "source", "entity", "relation"):
        if not isinstance(found[name], str):
            return f"{name} is a {_sort(found[name])}; it is a text"
    for name in ("t", "confidence"):
        if isinstance(found[name], bool) or not isinstance(found[name], (int, float)):
            return f"{name} is a {_sort(found[name])}; it is a number" + (" of seconds" if name == "t" else "")
    return _diagnose_value(found["value"])


def _no_json(line: bytes) -> str:
    try:
        lenient = isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        lenient = False
    if lenient:
        return "not JSON: NaN, an infinite number or half a character stands in it, which JSON does not know"
    return "not a JSON object; a trace has one object per line, in UTF-8"


def _diagnose_value(value: Any) -> str:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return f'value is not {{"type": ..., "v": ...}} with a type of {_listed(KINDS)}'
    unknown = [name for name in value if name not in ("type", "v")]
    if unknown:
        return f"value has unknown member {_listed([repr(name[:40]) for name in unknown])}; it has type and v"
    return "a number is too large, or value.v is no plain value; it is a text, a number, true, false or null"


def _sort(value: Any) -> str:
    names = {str: "text", bool: "truth value", int: "number", float: "number", list: "list", dict: "object"}
    return names.get(type(value), "null")


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
