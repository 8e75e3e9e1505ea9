"""Cursors that show nothing: places in what the node holds, sealed before a caller gets them.

A place is a fact's stamp and id, or a number that counts what is before it; either would tell a caller about facts
that it may not read. Sealing is deterministic, so that the same place is the same text before and after a restart.
"""

from __future__ import annotations

import hashlib
from typing import Final

from stigmem.core.errors import Refusal
from stigmem.core.keys import decode_base64, encode_base64

__all__ = ["CursorCodec"]

_MARK_BYTES: Final = 12
_BLOCK_BYTES: Final = 64


class CursorCodec:
    """Seals texts under a key that only this node has; the mark that opens one is also the proof that we made it."""

    def __init__(self, seed: bytes) -> None:
        self._marks = hashlib.blake2b(seed, digest_size=32, person=b"cursor marks").digest()
        self._stream = hashlib.blake2b(seed, digest_size=32, person=b"cursor stream").digest()

    def close(self, place: str) -> str:
        """The cursor that stands for a place."""
        data = place.encode("utf-8", "surrogatepass")
        mark = self._mark(data)
        return encode_base64(mark + self._crossed(mark, data))

    def open(self, cursor: str) -> str:
        """The place that a cursor stands for; raises Refusal 400 `invalid_cursor`."""
        try:
            sealed = decode_base64(cursor)
        except ValueError:
            sealed = b""
        mark, data = sealed[:_MARK_BYTES], self._crossed(sealed[:_MARK_BYTES], sealed[_MARK_BYTES:])
        if not data or mark != self._mark(data):
            raise Refusal(400, "invalid_cursor", "the cursor is not one that this node gave out", field="cursor")
        return data.decode("utf-8", "surrogatepass")

    def _mark(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=_MARK_BYTES, key=self._marks).digest()

    def _crossed(self, mark: bytes, data: bytes) -> bytes:
        blocks = range(-(-len(data) // _BLOCK_BYTES))
        stream = b"".join(
            hashlib.blake2b(mark + number.to_bytes(4, "big"), digest_size=_BLOCK_BYTES, key=self._stream).digest()
            for number in blocks
        )
        return bytes(one ^ other for one, other in zip(data, stream, strict=False))
