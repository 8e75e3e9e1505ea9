"""The trace: every event of a run in order, its digest, and the last ones for a failure report.

One line of JSON per event, `[t_ns, kind, ...]`. The digest is over those bytes, so two runs with the same
digest did the same things in the same order. Writing to a file is optional and never changes a run.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from sim.network import Parcel
    from sim.world import World

__all__ = ["Trace", "read_trace"]

_TAIL: Final = 400
_BUFFER_BYTES: Final = 1 << 20
_encode: Final = msgspec.json.Encoder().encode


class Trace:
    """Collects events of one world."""

    def __init__(self, world: World, path: Path | None = None) -> None:
        self._world = world
        self._digest = hashlib.blake2b(digest_size=16)
        self._tail: deque[bytes] = deque(maxlen=_TAIL)
        self._buffer = bytearray()
        self._file = gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) if path is not None else None
        self.count = 0

    def event(self, kind: str, *details: Any) -> None:
        """Record an event at the present instant."""
        self._line(_encode((self._world.now, kind, *details)))

    def parcel(self, now: int, parcel: Parcel, data: bytes, delay: int) -> None:
        """Record a parcel that was put on the wire: who, what, how many bytes with which checksum, how long."""
        self._line(
            _encode((now, "sent", parcel.source, parcel.target, parcel.kind, len(data), zlib.crc32(data), delay))
        )

    def commit(self, node: str, records: int, payload: bytes) -> None:
        """Record a batch that became durable."""
        self._line(_encode((self._world.now, "committed", node, records, len(payload), zlib.crc32(payload))))

    def _line(self, line: bytes) -> None:
        self.count += 1
        self._tail.append(line)
        buffer = self._buffer
        buffer += line
        buffer += b"\n"
        if len(buffer) >= _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._digest.update(self._buffer)
        if self._file is not None:
            self._file.write(self._buffer)
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


def read_trace(path: Path) -> list[list[Any]]:
    """The events of a trace file."""
    with gzip.open(path, "rb") as file:
        return [msgspec.json.decode(line) for line in file]
