"""Signatures that one simulation checks once, however many of its nodes receive them.

Whether a signature is valid is a pure function of key, message and signature, so remembering the answer changes
nothing but the time a run takes. Bounded; made anew for every laboratory.
"""

from __future__ import annotations

from typing import Final

from stigmem.core.keys import Signer, Suite

__all__ = ["Verified"]

_REMEMBERED_MAX: Final = 4_096


class Verified:
    """A signature scheme that remembers its latest answers."""

    def __init__(self, suite: Suite) -> None:
        self.name = suite.name
        self._suite = suite
        self._answers: dict[tuple[str, bytes, bytes], bool] = {}
        self._older: dict[tuple[str, bytes, bytes], bool] = {}

    def signer(self, seed: bytes) -> Signer:
        """A private key of the scheme."""
        return self._suite.signer(seed)

    def verify(self, public_key: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature is valid."""
        asked = (public_key, message, signature)
        answer = self._answers.get(asked)
        if answer is None:
            answer = self._older.get(asked)
        if answer is None:
            answer = self._answers[asked] = self._suite.verify(public_key, message, signature)
            if len(self._answers) > _REMEMBERED_MAX:  # all of the older half at once: one by one costs a search each
                self._answers, self._older = {}, self._answers
        return answer
