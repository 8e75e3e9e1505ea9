"""Reading bodies: from the bytes behind a head to the body, whose end its head announced. No I/O.

A body has a length, or comes in chunks: `size in hexadecimal CR LF, so many bytes, CR LF`, again and again, until a
chunk of size 0 and an empty line end it. Example: `5 CR LF hello CR LF 0 CR LF CR LF`. Chunk extensions and trailers
are refused: nobody here reads them, and what one reader skips and another reads is how requests are smuggled.

Sources: RFC 9112 sections 6 and 7.
"""

from __future__ import annotations

import re
from typing import Final

from stigmem.core.wire import BodyBound
from stigmem.host.http import limits
from stigmem.host.http.refusals import Refused, refusal

__all__ = ["BodyReader"]

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,%d})\r\n" % limits.CHUNK_DIGITS_MAX)
_SIZE_BEGUN: Final = re.compile(rb"[0-9A-Fa-f]{0,%d}\r?" % limits.CHUNK_DIGITS_MAX)


class BodyReader:
    """Reads one body from the front of a buffer."""

    def __init__(self, length: int | None, bound: BodyBound) -> None:
        """`length`: bytes announced, None for chunks. Raises Refused when they are too many."""
        self._length = length
        self._bound = bound
        self._parts = bytearray()
        self._chunks = 0
        self._left: int | None = None
        """Bytes of the present chunk still to come; None between chunks."""
        self._has_ended = False
        if length is not None and length > bound.bytes_max:
            raise Refused("body_too_large", bound.above)

    @property
    def size(self) -> int:
        """Bytes of the body taken out of the buffer so far."""
        return len(self._parts)

    def take(self, buffer: bytearray) -> bytes | None:
        """The whole body, removed from the buffer, or None when more must come. Raises Refused."""
        if self._length is not None:
            if len(buffer) < self._length:
                return None
            body = bytes(buffer[: self._length])
            del buffer[: self._length]
            return body
        at = 0
        while not self._has_ended:
            step = self._step(buffer, at)
            if not step:
                break
            at += step
        del buffer[:at]
        return bytes(self._parts) if self._has_ended else None

    def _step(self, buffer: bytearray, at: int) -> int:
        """Read one piece from `at`: how many bytes it had, 0 when more must come."""
        if self._left is None:
            return self._size(buffer, at)
        if self._left:
            part = buffer[at : at + self._left]
            self._parts += part
            self._left -= len(part)
            return len(part)
        ending = buffer[at : at + 2]
        if ending != b"\r\n":
            if b"\r\n".startswith(ending):
                return 0
            raise _bad_chunk()
        self._left = None
        return 2

    def _size(self, buffer: bytearray, at: int) -> int:
        found = _SIZE_LINE.match(buffer, at)
        if found is None:
            if _SIZE_BEGUN.fullmatch(buffer, at):
                return 0
            raise _bad_chunk()
        size = int(found[1], 16)
        line = found.end() - at
        if size == 0:
            ending = buffer[at + line : at + line + 2]
            if ending == b"\r\n":
                self._has_ended = True
                return line + 2
            if b"\r\n".startswith(ending):
                return 0
            raise Refused("trailers", refusal(400, "trailers", "this node takes no trailers after a body"))
        self._chunks += 1
        if len(self._parts) + size > self._bound.bytes_max:
            raise Refused("body_too_large", self._bound.above)
        if self._chunks > limits.CHUNKS_MAX:
            message = f"a body comes in at most {limits.CHUNKS_MAX} chunks"
            raise Refused("too_many_chunks", refusal(413, "too_many_chunks", message))
        self._left = size
        return line


def _bad_chunk() -> Refused:
    message = "a chunk is its size in hexadecimal, CR LF, so many bytes, CR LF; extensions are not taken"
    return Refused("bad_chunk", refusal(400, "bad_chunk", message))
