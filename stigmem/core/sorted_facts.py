"""Facts in the order of their stamps: a plain list as long as facts come nearly in order, a SortedList after that.

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

__all__ = ["SortedFacts", "add", "contains", "descending", "rank", "remove", "since"]

MOVED_MAX: Final = 16_384
"""Facts that a change of a plain list may move (8 bytes each): a few microseconds."""

_RECENT: Final = 32

SortedFacts: TypeAlias = "list[Fact] | SortedList"


def add(facts: SortedFacts, fact: Fact) -> SortedFacts:
    """The run with the fact in its place."""
    if isinstance(facts, list):
        if not facts or facts[-1] < fact:
            facts.append(fact)
            return facts
        at = bisect_left(facts, fact, _recent(facts, fact))
        if len(facts) - at <= MOVED_MAX:
            facts.insert(at, fact)
            return facts
        facts = SortedList(facts)
    facts.add(fact)
    return facts


def _recent(facts: list[Fact], fact: Fact) -> int:
    """Where to begin a search: facts that are late are mostly late by a few places."""
    begin = len(facts) - _RECENT
    return begin if begin > 0 and facts[begin] < fact else 0


def remove(facts: SortedFacts, fact: Fact) -> SortedFacts:
    """The run without a fact that is in it; raises ValueError when it is not."""
    if isinstance(facts, list):
        at = bisect_left(facts, fact)
        if at == len(facts) or not _same(facts[at], fact):
            raise ValueError("the run does not hold this fact")
        if len(facts) - at <= MOVED_MAX:
            del facts[at]
            return facts
        facts = SortedList(facts)
    facts.remove(fact)
    return facts


def contains(facts: SortedFacts, fact: Fact) -> bool:
    """Whether the run holds a fact of this origin stamp, origin and id."""
    for found in since(facts, fact):
        return _same(found, fact)
    return False


def rank(facts: SortedFacts, fact: Fact) -> int:
    """How many facts of the run come before a fact."""
    return bisect_left(facts, fact) if isinstance(facts, list) else int(facts.bisect_left(fact))


def since(facts: SortedFacts, fact: Fact) -> Iterator[Fact]:
    """Facts from this place on, oldest first; tolerates no change meanwhile."""
    if isinstance(facts, list):
        for at in range(bisect_left(facts, fact), len(facts)):
            yield facts[at]
    else:
        # Not by position: the positional index of a SortedList is rebuilt after every change.
        yield from facts.irange(fact)


def descending(facts: SortedFacts, below: Fact | None = None) -> Iterator[Fact]:
    """Facts from the newest down, starting strictly below a given one; tolerates no change meanwhile."""
    if isinstance(facts, list):
        for at in range((len(facts) if below is None else bisect_left(facts, below)) - 1, -1, -1):
            yield facts[at]
    else:
        yield from facts.irange(None, below, (True, False), reverse=True)


def _same(found: Fact, fact: Fact) -> bool:
    return found.id == fact.id and found.origin == fact.origin
