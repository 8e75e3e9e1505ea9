"""By which instant this node judged expiry when it stored each fact: what `known_at` needs beside the facts themselves.

A fact carries its origin's stamp, and says nothing of when it came here. A batch that stores facts leaves one record
(`stigmem.core.records.HorizonMark`) for all of them. Facts that came into the journal in another way, by an import or
under a program that did not record it, have none, and are not made up for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

from stigmem.core.records import HorizonMark

__all__ = ["Horizons"]


class Horizons:
    """The marks of a node in the order of its facts: 32 bytes a batch."""

    def __init__(self) -> None:
        self._last = array("q")
        self._before = array("q")
        self._horizon_us = array("q")
        self._sweeps = array("q")

    def add(self, mark: HorizonMark) -> None:
        """Take in the mark of the newest batch."""
        self._last.append(mark.seq)
        self._before.append(mark.after)
        self._horizon_us.append(mark.horizon_us)
        self._sweeps.append(mark.sweeps)

    def at(self, seq: int) -> HorizonMark | None:
        """The mark of the batch that stored the fact with this local sequence number, or None when nothing was
        recorded."""
        place = bisect_left(self._last, seq)
        if place == len(self._last) or self._before[place] >= seq:
            return None
        return HorizonMark(self._before[place], self._last[place], self._horizon_us[place], self._sweeps[place])

    def last_before(self, instant_us: int, last_seq: int) -> int:
        """The newest of the facts up to `last_seq` that was stored before an instant, as its local sequence number; 0
        when there is none. What was recorded is looked through from its end, up to the first batch that is older."""
        seq = last_seq
        for place in range(len(self._last) - 1, -1, -1):
            if self._horizon_us[place] < instant_us:
                return seq
            seq = self._before[place]
        return seq
