"""Sorted runs: a plain list while short, a SortedList when long.

Most index entries of a ledger hold one to five facts, where a SortedList costs twenty times its content; the
few hot ones hold a million, where inserting into a list costs a megabyte of memmove. A function that may
change the container returns it: keep what it returns.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final

from sortedcontainers import SortedList

from stigmem.core.fact import Fact

__all__ = ["Run", "add", "contains", "descending", "position", "remove"]

LIST_MAX: Final = 1_024

Run = list[Fact] | SortedList


def add(run: Run, fact: Fact) -> Run:
    """The run with the fact in its place."""
    if isinstance(run, list):
        if len(run) < LIST_MAX:
            # Facts arrive nearly in order: the common case is an append.
            if not run or run[-1] < fact:
                run.append(fact)
            else:
                insort(run, fact)
            return run
        run = SortedList(run)
    run.add(fact)
    return run


def position(run: Run, fact: Fact) -> int:
    """How many facts of the run sort before this one."""
    return bisect_left(run, fact) if isinstance(run, list) else int(run.bisect_left(fact))


def contains(run: Run, fact: Fact) -> bool:
    """Whether the run holds a fact of this origin stamp, origin and id."""
    at = position(run, fact)
    return at < len(run) and bool(run[at].id == fact.id and run[at].origin == fact.origin)


def remove(run: Run, fact: Fact) -> None:
    """Take out a fact that is in the run."""
    del run[position(run, fact)]


def descending(run: Run, below: Fact | None = None) -> Iterator[Fact]:
    """Facts from the newest down, starting strictly below a given one; tolerates no change meanwhile."""
    at = len(run) if below is None else position(run, below)
    while at > 0:
        at -= 1
        yield run[at]
