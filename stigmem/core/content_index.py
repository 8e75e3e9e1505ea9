"""From a content id to the facts that have it, in eight bytes a fact, hashed when somebody asks or when there is time.

Theory
------
A content id is a SHA-256 over a fact's members, and costs as much as all other indexes of a fact together. Few facts
are ever asked for by it. So a fact is only counted when it is added, and hashed later: all that are left when somebody
asks, some at a time by whoever has nothing better to do (`hash_some`). The log of the ledger is in the order of
arrival, so that "which ones are hashed" is one number.

What is kept of a hashed fact is one integer: 36 bits of its content id, then 28 of its place in the log. The newest of
them stand in a dictionary; whenever there are `_SEGMENT` of them they become a sorted array of their own. A question
looks into the dictionary and bisects each array.

    log              1 ............ 16,384 ............ 32,768 .... 40,000 ... 41,000
                     [ sorted array ]   [ sorted array ]   { newest }  not hashed yet

Thirty-six bits are not the id: what is found is a candidate, and the caller compares. Among a million facts one in
seventy thousand questions finds a fact too many.

Invariants: a fact is in exactly one of the three places; candidates are given in the order of the log.

A wart: the first question after a start from a long journal hashes all of it, two seconds for a million facts, unless
`hash_some` was there first.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from stigmem.core.fact import Fact

__all__ = ["ContentIndex"]

_PLACE_BITS: Final = 28
"""A quarter of a billion facts, which is more than any memory holds."""
_PLACE: Final = (1 << _PLACE_BITS) - 1
_SEGMENT: Final = 16_384
"""Facts in an array: sorted in three milliseconds, and a million facts are sixty arrays of a microsecond each."""


class ContentIndex:
    """The content ids of a log that only grows."""

    __slots__ = ("_hashed", "_log", "_newest", "_newest_count", "_segments")

    def __init__(self, log: Sequence[Fact]) -> None:
        self._log = log
        self._hashed = 0
        """How many facts of the log have been hashed, the oldest."""
        self._segments: list[array[int]] = []
        self._newest: dict[int, list[int]] = {}
        """Bits of the content id -> places in the log."""
        self._newest_count = 0

    @property
    def unhashed(self) -> int:
        """How many facts of the log are not hashed yet."""
        return len(self._log) - self._hashed

    def hash_some(self, most: int) -> int:
        """Hash so many facts at most, the oldest first; how many are left."""
        for place in range(self._hashed, min(self._hashed + most, len(self._log))):
            self._newest.setdefault(_bits(self._log[place].cid), []).append(place)
            self._hashed += 1
            self._newest_count += 1
            if self._newest_count == _SEGMENT:
                self._close_segment()
        return self.unhashed

    def candidates(self, cid: str) -> list[Fact]:
        """Every fact with this content id, and rarely one of another, in the order of the log. Hashes what is left."""
        self.hash_some(self.unhashed)
        bits = _bits(cid)
        first = bits << _PLACE_BITS
        found: list[Fact] = []
        for segment in self._segments:
            at = bisect_left(segment, first)
            while at < len(segment) and segment[at] >> _PLACE_BITS == bits:
                found.append(self._log[segment[at] & _PLACE])
                at += 1
        return found + [self._log[place] for place in self._newest.get(bits, ())]

    def returned(self, place: int) -> None:
        """A place of the log may have had another fact when it was hashed; now it has the one that belongs there."""
        fact = self._log[place]
        if place < self._hashed and fact not in self.candidates(fact.cid):
            self._newest.setdefault(_bits(fact.cid), []).append(place)

    def _close_segment(self) -> None:
        packed = [bits << _PLACE_BITS | place for bits, places in self._newest.items() for place in places]
        self._segments.append(array("Q", sorted(packed)))
        self._newest, self._newest_count = {}, 0


def _bits(cid: str) -> int:
    return int(cid[7:16], 16)
