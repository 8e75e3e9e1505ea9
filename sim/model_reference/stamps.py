"""The reference's hybrid clock (contract, 4): `<ms>.<n>`, compared as numbers here and as text where pages are cut.

The text is not padded, so that `5.10` sorts before `5.9`; and nothing of the clock is kept over a restart. Both are the
published behaviour, and both lose facts (contract, 3.8).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Skewed", "StampClock"]

_FUTURE_MS: Final = 300_000
_PAST_MS: Final = 2_592_000_000


class Skewed(Exception):
    """A stamp that is too far ahead of the clock or behind it."""


class StampClock:
    """The clock of one life of a node."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._wall = 0
        self._count = 0

    def tick(self) -> str:
        """A stamp for something of our own."""
        now = self._now_ms()
        self._wall, self._count = (now, 0) if now > self._wall else (self._wall, self._count + 1)
        return f"{self._wall}.{self._count}"

    def receive(self, text: str) -> str:
        """The stamp under which a fact with that stamp is stored here. Raises Skewed, and ValueError for no stamp."""
        wall_text, _, count_text = text.partition(".")
        wall, count, now = int(wall_text), int(count_text), self._now_ms()
        if wall - now > _FUTURE_MS or now - wall > _PAST_MS:
            raise Skewed(f"{text} at {now}")
        top = max(now, self._wall, wall)
        if top == self._wall == wall:
            after = max(self._count, count) + 1
        elif top == self._wall:
            after = self._count + 1
        else:
            after = count + 1 if top == wall else 0
        self._wall, self._count = top, after
        return f"{top}.{after}"
