"""Signatures that one simulation works out once, however many of its nodes look at them.

Whether a signature is valid is a pure function of key, message and signature: one that was made here for these very
bytes is valid, and a check that was made once need not be made again. What was never seen, a forgery or a flipped
bit, is verified in earnest. So remembering changes nothing but the time a run takes. Bounded; made anew for every
simulation.
"""

from __future__ import annotations

from typing import Final

from stigmem.core.keys import Signer, Suite

__all__ = ["SignatureCache"]

_REMEMBERED_MAX: Final = 8_192
_Asked = tuple[str, bytes, bytes]


class _Memory:
    """The latest answers, in two halves: the older one is forgotten at once, since one by one costs a search each."""

    __slots__ = ("_older", "_younger")

    def __init__(self) -> None:
        self._younger: dict[_Asked, bool] = {}
        self._older: dict[_Asked, bool] = {}

    def get(self, asked: _Asked) -> bool | None:
        answer = self._younger.get(asked)
        return self._older.get(asked) if answer is None else answer

    def put(self, asked: _Asked, answer: bool) -> None:  # noqa: FBT001
        self._younger[asked] = answer
        if len(self._younger) > _REMEMBERED_MAX // 2:
            self._younger, self._older = {}, self._younger


class _Remembered:
    """A private key whose signatures are known to be valid."""

    __slots__ = ("_memory", "_signer", "public_key")

    def __init__(self, signer: Signer, memory: _Memory) -> None:
        self._signer = signer
        self._memory = memory
        self.public_key = signer.public_key

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""
        signature = self._signer.sign(message)
        self._memory.put((self.public_key, message, signature), True)
        return signature


class SignatureCache:
    """A signature scheme that remembers its latest answers."""

    def __init__(self, suite: Suite) -> None:
        self.name = suite.name
        self._suite = suite
        self._memory = _Memory()

    def signer(self, seed: bytes) -> Signer:
        """A private key of the scheme."""
        return _Remembered(self._suite.signer(seed), self._memory)

    def verify(self, public_key: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature is valid."""
        asked = (public_key, message, signature)
        answer = self._memory.get(asked)
        if answer is None:
            answer = self._suite.verify(public_key, message, signature)
            self._memory.put(asked, answer)
        return answer
