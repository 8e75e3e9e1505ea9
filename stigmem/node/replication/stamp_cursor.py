"""Where the next page of a peer begins whose cursors are stamps compared as text (federation 3.8).

Such a peer skips facts. It compares `<wall ms>.<counter>` as text, so that a counter of two digits sorts below one of
one digit, and it stamps by its own clock, which a restart puts back: facts come into being behind the cursor, and a
reader that only goes on never sees them. So this one is read on from its last cursor most of the time, and again from
minutes before it now and then. Arithmetic only.

Two cursors are therefore kept apart: `stored`, in the journal, lies `_BACK_MS` behind what was read, so that a
restart of ours reads those minutes again too; and in memory the place where reading goes on instead of there
(`_ahead`).

    stored 1000_000          what the journal has
    ahead  1310_000.4        where the next page begins, as long as the journal's is still 1000_000
    a drain that is due      begins at the stored one, or once a day at the very beginning

How often: reading back takes at most a tenth of the time (`_SHARE`), and rests ten seconds at least. After silence the
next drain reads back, since the peer may have started anew.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["StampCursor"]

_STAMPED: Final = re.compile(r"([0-9]{1,16})\.[0-9]{1,9}")
_WALL: Final = re.compile(r"[0-9]{1,16}")
_BACK_MS: Final = 310_000
"""The reference's bound on clocks that are ahead, and ten seconds."""
_REST_NS_MIN: Final = 10_000_000_000
_SHARE: Final = 10
"""Reading again takes at most so small a part of the time."""
_WHOLE_NS: Final = 86_400_000_000_000


class StampCursor:
    """The memory of one puller. Times are nanoseconds on the monotonic clock.

    What is stored as the peer's cursor lies minutes back, so that a restart of ours reads again too; `begin` is asked
    once a drain, `start` once a page.
    """

    def __init__(self, now_ns: int) -> None:
        self._ahead: tuple[str | None, str | None] | None = None
        """The stored cursor, and where reading goes on instead of there."""
        self._due_ns = now_ns
        self._whole_ns = now_ns + _WHOLE_NS
        self._begun_ns: int | None = now_ns
        """When the reading under way that goes back began, which may take many drains; None while only news is read."""
        self._again = False
        self.whole = False
        """Whether this is a reading from the very beginning of what was read before."""

    def begin(self, stored: str | None, now_ns: int) -> None:
        """A drain begins: decide whether it reads again."""
        if self._begun_ns is not None or now_ns < self._due_ns:
            return
        if stored is None or _WALL.fullmatch(stored) is None:
            return
        self._begun_ns = now_ns
        self.whole = now_ns >= self._whole_ns
        self._ahead = (stored, None) if self.whole else None

    def interrupted(self) -> None:
        """The peer was silent: it may have started anew, so the next drain reads again, or the one after what is
        being read."""
        if self._begun_ns is None:
            self._due_ns = 0
        else:
            self._again = True

    def start(self, stored: str | None) -> str | None:
        """The cursor to ask with."""
        return self._ahead[1] if self._ahead is not None and self._ahead[0] == stored else stored

    def store(self, stored: str | None, cursor: str | None, now_ms: int, *, drained: bool) -> str | None:
        """The cursor to store for a page that ended at `cursor`; anything that is no stamp, as it is."""
        match = _STAMPED.fullmatch(cursor or "")
        if match is None:
            return cursor
        wall = max(min(int(match[1]), now_ms) - _BACK_MS, 0)
        if not drained and stored is not None and _WALL.fullmatch(stored):
            wall = max(wall, int(stored))
        return str(wall)

    def arrived(self, stored: str | None, cursor: str | None, now_ns: int, *, drained: bool) -> None:
        """A page is stored, or had nothing to store: reading goes on after it."""
        self._ahead = (stored, cursor)
        if not drained:
            return
        if self._begun_ns is not None:
            rest_ns = max(_REST_NS_MIN, _SHARE * (now_ns - self._begun_ns))
            self._due_ns = 0 if self._again else now_ns + rest_ns
            self._whole_ns = now_ns + _WHOLE_NS if self.whole else self._whole_ns
        self._begun_ns, self._again, self.whole = None, False, False
