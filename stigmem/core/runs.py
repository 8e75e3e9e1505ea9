"""Sorted runs of facts: a plain list as long as facts come nearly in order, a SortedList after that.

Most index entries of a ledger hold one to five facts and the hot ones hold a million, nearly all of them
appended: a list does both at a quarter of the cost. Only an insertion or removal far from the end of a long
list, which moves megabytes, turns it into a SortedList, once. A function that may change the container returns
it: keep what it returns.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, TypeAlias

from sortedcontainers import SortedList

from stigmem.core.fact import Fact

__all__ = ["Run", "add", "contains", "descending", "remove", "since"]

MOVED_MAX: Final = 16_384
"""Facts that a change of a plain list may move (8 bytes each): a few microseconds."""

_RECENT: Final = 32

Run: TypeAlias = "list[Fact] | SortedList"


def add(run: Run, fact: Fact) -> Run:
    """The run with the fact in its place."""
    if isinstance(run, list):
        if not run or run[-1] < fact:
            run.append(fact)
            return run
        at = bisect_left(run, fact, _recent(run, fact))
        if len(run) - at <= MOVED_MAX:
            run.insert(at, fact)
            return run
        run = SortedList(run)
    run.add(fact)
    return run


def _recent(run: list[Fact], fact: Fact) -> int:
    """Where to begin a search: facts that are late are mostly late by a few places."""
    begin = len(run) - _RECENT
    return begin if begin > 0 and run[begin] < fact else 0


def remove(run: Run, fact: Fact) -> Run:
    """The run without a fact that is in it; raises ValueError when it is not."""
    if isinstance(run, list):
        at = bisect_left(run, fact)
        if at == len(run) or not _same(run[at], fact):
            raise ValueError("the run does not hold this fact")
        if len(run) - at <= MOVED_MAX:
            del run[at]
            return run
        run = SortedList(run)
    run.remove(fact)
    return run


def contains(run: Run, fact: Fact) -> bool:
    """Whether the run holds a fact of this origin stamp, origin and id."""
    for found in since(run, fact):
        return _same(found, fact)
    return False


def since(run: Run, fact: Fact) -> Iterator[Fact]:
    """Facts from this place on, oldest first; tolerates no change meanwhile."""
    if isinstance(run, list):
        for at in range(bisect_left(run, fact), len(run)):
            yield run[at]
    else:
        # Not by position: the positional index of a SortedList is rebuilt after every change.
        yield from run.irange(fact)


def descending(run: Run, below: Fact | None = None) -> Iterator[Fact]:
    """Facts from the newest down, starting strictly below a given one; tolerates no change meanwhile."""
    if isinstance(run, list):
        for at in range((len(run) if below is None else bisect_left(run, below)) - 1, -1, -1):
            yield run[at]
    else:
        yield from run.irange(None, below, (True, False), reverse=True)


def _same(found: Fact, fact: Fact) -> bool:
    return found.id == fact.id and found.origin == fact.origin
