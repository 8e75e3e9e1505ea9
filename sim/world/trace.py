"""The trace: every event of a run in order, its digest, and the last ones for a failure report.

The digest is over one line of JSON per event, `[t_ns, kind, ...]`, so two runs with the same digest did the same things
in the same order. Writing to a file is optional and never changes a run; there each event is an object with named
members (`sim.world.trace_lines`). Comparing two written traces is here too, because it is the same lines that are
compared.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from sim.world.trace_lines import event_of, line_of
from sim.world.world import World

__all__ = ["Difference", "Stop", "Trace", "TraceUnreadable", "first_difference", "read_trace"]

_TAIL: Final = 400
_BUFFER_BYTES: Final = 1 << 20
_STOPS: Final = ("dropped", "held")
_encode: Final = msgspec.json.Encoder().encode
_NOTHING: Final[Mapping[str, Any]] = {}


class Stop(NamedTuple):
    """A kind of packet that did not get through: from whom, to whom, and the rule that stopped it."""

    source: str
    target: str
    rule: str


class Trace:
    """Collects events of one world."""

    def __init__(self, world: World, path: Path | None = None) -> None:
        self._world = world
        self._digest = hashlib.blake2b(digest_size=16)
        self._tail: deque[bytes] = deque(maxlen=_TAIL)
        self._buffer = bytearray()
        self._written = bytearray()
        """Lines for the file that are not in it yet."""
        self._file = gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) if path is not None else None
        self.count = 0
        self.stops: dict[Stop, int] = {}
        """How many packets each rule stopped on each link, for the map."""

    def event(self, kind: str, *details: Any) -> None:
        """Record an event at the present instant."""
        self._record((self._world.now, kind, *details))
        if kind in _STOPS:
            source, target, _, rule = details
            stop = Stop(source, target, rule)
            self.stops[stop] = self.stops.get(stop, 0) + 1

    def packet(self, source: str, target: str, kind: str, data: bytes, delay_ns: int) -> None:
        """Record a packet that was put on the wire: who, what, how many bytes with which checksum, how long."""
        self._record((self._world.now, "sent", source, target, kind, len(data), zlib.crc32(data), delay_ns))

    def commit(self, node: str, records: int, payload: bytes, more: Mapping[str, Any] = _NOTHING) -> None:
        """Record a batch that became durable; `more` is what only the file says of it."""
        self._record((self._world.now, "committed", node, records, len(payload), zlib.crc32(payload)), more)

    def _record(self, event: Sequence[Any], more: Mapping[str, Any] = _NOTHING) -> None:
        line = _encode(event)
        self.count += 1
        if self._file is not None:
            self._written += line_of(event, more)
            self._written += b"\n"
        self._tail.append(line)
        buffer = self._buffer
        buffer += line
        buffer += b"\n"
        if len(buffer) >= _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._digest.update(self._buffer)
        if self._file is not None:
            self._file.write(self._written)
            self._written.clear()
        self._buffer.clear()

    def tail(self, most: int) -> list[list[Any]]:
        """The last events, oldest first."""
        return [msgspec.json.decode(line) for line in list(self._tail)[-most:]]

    def close(self) -> str:
        """Finish the file; the digest of everything recorded."""
        self._flush()
        if self._file is not None:
            self._file.close()
            self._file = None
        return self._digest.hexdigest()


class TraceUnreadable(Exception):
    """A file that is no trace: one sentence that names it."""


class Difference(NamedTuple):
    """Where two traces part: the number of the event (from 1), its line in each (None where one has ended),
    and the lines before it that both have."""

    number: int
    first: str | None
    second: str | None
    before: tuple[str, ...]


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as file:
            yield from file
    except FileNotFoundError as error:
        raise TraceUnreadable(f"{path} does not exist; was the run made with --trace full?") from error
    except gzip.BadGzipFile as error:
        raise TraceUnreadable(f"{path} is not a trace file: traces are compressed with gzip") from error
    except (EOFError, zlib.error) as error:
        raise TraceUnreadable(f"{path} is not a whole trace file: it is damaged, or ends before its end") from error
    except OSError as error:
        raise TraceUnreadable(f"{path} cannot be read: {error.strerror or 'the disk says no'}") from error


def read_trace(path: Path) -> list[list[Any]]:
    """The events of a trace file. Raises TraceUnreadable."""
    try:
        return [event_of(line) for line in _lines(path)]
    except ValueError as error:
        raise TraceUnreadable(f"{path} holds a line that is not an event: {error}") from error


def first_difference(first: Path, second: Path, *, context: int = 3) -> Difference | None:
    """The first event in which two traces differ, or None when they are equal. Raises TraceUnreadable."""
    before: deque[bytes] = deque(maxlen=context)
    for number, (one, other) in enumerate(zip_longest(_lines(first), _lines(second)), start=1):
        if one != other:
            return Difference(number, _text(one), _text(other), tuple(_known(line) for line in before))
        before.append(one)
    return None


def _known(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\n")


def _text(line: bytes | None) -> str | None:
    return None if line is None else _known(line)
