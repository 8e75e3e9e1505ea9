"""Inverted index from a key to its facts in stamp order, without a container for keys that have one fact.

Holds references only. Iteration is newest first and may start below a fact, which is what keyset pagination
needs (spec/queries.md).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from stigmem.core import sorted_facts
from stigmem.core.fact import Fact
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["FactIndex"]

K = TypeVar("K", bound=Hashable)


class FactIndex(Generic[K]):
    """Facts by key, in stamp order. A lone fact is stored bare, which halves the memory of a ledger with many entities.
    Iteration gives the keys."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[K, Fact | SortedFacts] = {}

    def add(self, key: K, fact: Fact) -> None:
        """File a fact under a key."""
        held = self._by_key.get(key)
        if held is None:
            self._by_key[key] = fact
        elif type(held) is list and held[-1] < fact:
            held.append(fact)  # as runs.add would: facts come nearly in order, and this is the hottest line of a write
        elif isinstance(held, Fact):
            self._by_key[key] = [held, fact] if held < fact else [fact, held]
        else:
            self._by_key[key] = sorted_facts.add(held, fact)

    def extend(self, pairs: Iterable[tuple[K, Fact]]) -> None:
        """File facts, each under its key."""
        by_key, add = self._by_key, self.add
        for key, fact in pairs:
            if key in by_key:
                add(key, fact)
            else:
                by_key[key] = fact

    def remove(self, key: K, fact: Fact) -> None:
        """Take a fact away from a key; raises ValueError when it is not there."""
        held = self.get(key)
        left = sorted_facts.remove(held, fact)
        if left:
            self._by_key[key] = left
        else:
            del self._by_key[key]

    def get(self, key: K) -> SortedFacts:
        """The facts under a key, oldest first; empty when there are none. Not to be changed by the caller."""
        held = self._by_key.get(key)
        if held is None:
            return []
        return [held] if isinstance(held, Fact) else held

    def count(self, key: K) -> int:
        """How many facts the key has."""
        held = self._by_key.get(key)
        if held is None:
            return 0
        return 1 if isinstance(held, Fact) else len(held)

    def __iter__(self) -> Iterator[K]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)
