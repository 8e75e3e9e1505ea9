"""Short names for what has long ones: facts are letters, conflicts, cursors and tokens have numbers, nodes their names.

A name is given when something is seen first, so the names of a story depend on nothing but its order.
"""

from __future__ import annotations

import re
from string import ascii_uppercase

__all__ = ["Names"]

_UUID = re.compile(r"(stigmem:conflict:)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_STAMP = re.compile(r"(\d{13})(?:\.(\d{1,9}))?")


class Names:
    """Long name -> short name."""

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms
        self._short: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def give(self, long: str, short: str) -> None:
        """Call something by a name from now on."""
        self._short[long] = short

    def __contains__(self, long: str) -> bool:
        return long in self._short

    def fact(self, fact_id: str) -> str:
        """A letter; after Z come A1, B1 and so on."""
        if fact_id not in self._short:
            number = self._count("fact") - 1
            letter = ascii_uppercase[number % len(ascii_uppercase)]
            self._short[fact_id] = letter + (
                str(number // len(ascii_uppercase)) if number >= len(ascii_uppercase) else ""
            )
        return self._short[fact_id]

    def long(self, short: str) -> str:
        """What has this short name; raises KeyError."""
        for long, each in self._short.items():
            if each == short:
                return long
        raise KeyError(short)

    def conflict(self, conflict_id: str) -> str:
        return self._numbered("conflict", conflict_id)

    def cursor(self, text: str | None) -> str:
        """`the start`, `cursor 1`, or, for a publisher whose cursors are stamps, the instant of the stamp."""
        if text is None:
            return "the start"
        stamp = _STAMP.fullmatch(text)
        if stamp is not None:
            return f"stamp {self.instant(int(stamp[1]))}" + (f"+{int(stamp[2])}" if int(stamp[2] or 0) else "")
        return self._numbered("cursor", text)

    def instant(self, wall_ms: int) -> str:
        """Minutes and seconds since the story began, by the clock that showed `wall_ms`."""
        ms = wall_ms - self._start_ms
        sign, ms = ("-", -ms) if ms < 0 else ("", ms)
        seconds = f"{ms // 60_000}:{ms // 1_000 % 60:02}"
        return sign + seconds + (f".{ms % 1_000:03}" if ms % 1_000 else "")

    def shorten(self, text: str) -> str:
        """A text with every long name that is known replaced."""
        for long, short in self._short.items():
            text = text.replace(long, short)
        return _UUID.sub("(an id)", text)

    def _numbered(self, kind: str, long: str) -> str:
        if long not in self._short:
            self._short[long] = f"{kind} {self._count(kind)}"
        return self._short[long]

    def _count(self, kind: str) -> int:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind]
