"""Cursors that show nothing: places in what the node holds, made unreadable before a caller gets them.

A place is a fact's stamp and id, or a number that counts what is before it; either would tell a caller about facts
that it may not read (leak L1). Both codecs are deterministic, so that the same place is the same text before and after
a restart, and keyed with this node's seed, so that nobody else can read one or make one up:

* `CursorCodec` for local callers: any text, sealed with a mark that is also its proof;
* `PageCursorCodec` for peers: a 64-bit number, permuted. Their cursors are short, as peers send them with every pull,
  and need no proof: what opens to no place that the ledger has is read from the beginning.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from stigmem.core.errors import Refusal
from stigmem.core.keys import decode_base64, encode_base64

__all__ = ["CursorCodec", "PageCursorCodec"]

_MARK_BYTES: Final = 12
_HYPHEN: Final = "."
"""What stands for a hyphen at the beginning of a cursor: `--cursor -xyz` would be read as two options."""
_BLOCK_BYTES: Final = 64
_OURS: Final = re.compile(r"s:([0-9]{1,20})")
_CURSORS_KEPT: Final = 1_024


class CursorCodec:
    """Seals texts under a key that only this node has; the mark that opens one is also the proof that we made it."""

    def __init__(self, seed: bytes) -> None:
        self._marks = hashlib.blake2b(seed, digest_size=32, person=b"cursor marks").digest()
        self._stream = hashlib.blake2b(seed, digest_size=32, person=b"cursor stream").digest()

    def close(self, place: str) -> str:
        """The cursor that stands for a place. It does not begin like an option of a command line."""
        data = place.encode("utf-8", "surrogatepass")
        mark = self._mark(data)
        text = encode_base64(mark + self._crossed(mark, data))
        return f"{_HYPHEN}{text[1:]}" if text.startswith("-") else text

    def open(self, cursor: str) -> str:
        """The place that a cursor stands for; raises Refusal 400 `invalid_cursor`."""
        try:
            sealed = decode_base64(f"-{cursor[1:]}" if cursor.startswith(_HYPHEN) else cursor)
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


class PageCursorCodec:
    """A keyed permutation of 64-bit numbers (four Feistel rounds), so that cursors show no counts."""

    def __init__(self, seed: bytes) -> None:
        self._key = hashlib.blake2b(seed, digest_size=32, person=b"cursor blinding").digest()
        self._made: dict[str, int] = {}
        """The latest cursors and their numbers: peers poll with the same one over and over."""
        self._known = lru_cache(maxsize=_CURSORS_KEPT)(self._blind)

    def blind(self, seq: int) -> str:
        """The cursor text of a local sequence number."""
        text = self._known(seq)
        if text not in self._made:
            self._keep(text, seq)
        return text

    def seq(self, text: str) -> int | None:
        """The local sequence number of a cursor, or None when this node did not make it."""
        number = self._made.get(text)
        if number is None:
            number = self._seq(text)
            if number is not None:
                self._keep(text, number)
        return number

    def _keep(self, text: str, seq: int) -> None:
        if len(self._made) >= _CURSORS_KEPT:  # all at once: one by one costs a search through what was deleted
            self._made = {}
        self._made[text] = seq

    def _round(self, number: int, half: int) -> int:
        data = number.to_bytes(1, "big") + half.to_bytes(4, "big")
        return int.from_bytes(hashlib.blake2b(data, digest_size=4, key=self._key).digest(), "big")

    def _blind(self, seq: int) -> str:
        left, right = seq >> 32, seq & 0xFFFFFFFF
        for number in range(4):
            left, right = right, left ^ self._round(number, right)
        return f"s:{(left << 32) | right}"

    def _seq(self, text: str) -> int | None:
        match = _OURS.fullmatch(text)
        if match is None or int(match[1]) >= 1 << 64:
            return None
        left, right = int(match[1]) >> 32, int(match[1]) & 0xFFFFFFFF
        for number in reversed(range(4)):
            left, right = right ^ self._round(number, left), left
        return (left << 32) | right
