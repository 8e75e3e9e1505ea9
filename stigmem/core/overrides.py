"""What retractions and resolutions of one slot have said: whom they end, whom they deny, what they settle.

Kept by `stigmem.core.conflict_set` from the first retraction or resolution on; most slots never see one. Every
change costs O(log n), however many retractions and resolutions a hostile writer piles up.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, takewhile
from typing import TypeAlias

import msgspec

from stigmem.core import sorted_facts
from stigmem.core.fact import Fact
from stigmem.core.resolution import Resolution
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["Overrides", "Settlement", "authors"]

Author: TypeAlias = tuple[str, str]


def authors(fact: Fact) -> tuple[Author, Author]:
    """Whose facts a retraction may end: those of its source and those of its origin node."""
    return ("source", fact.source), ("origin", fact.origin)


class Settlement(msgspec.Struct, gc=False):
    """What became of a conflict: the latest resolution of it, and the ids of all facts that any of them covers."""

    latest: Resolution
    covers: dict[str, None]


class Overrides:
    """The retractions and resolutions of one slot, and the standing facts by whose they are."""

    __slots__ = (
        "_all", "_ends", "_expired", "_in_force", "_live", "_losses", "_names", "_waiting", "_wins", "_words",
        "denials", "last", "resolutions", "settlements", "superseded",
    )  # fmt: skip

    def __init__(self, assertions: Iterable[Fact], live: Iterable[Fact], first_conflict: str) -> None:
        """Begin with the assertions, oldest first, of a slot that had neither retraction nor resolution yet, and
        the id of its first conflict."""
        self._ends: dict[Author, Fact] = {}
        """Latest retraction."""
        self._words: dict[Author, SortedFacts] = {}
        """All that was said: the word before a retraction tells whether it withdraws something or denies it."""
        self._expired: dict[tuple[str, str], None] = {}
        """Retractions whose time has passed."""
        self._live: dict[Author, SortedFacts] = {}
        self.denials: SortedFacts = []
        """Retractions with nothing of their own to take back: they deny what others assert."""
        self._losses: dict[str, int] = {}
        """Fact id -> resolutions in force that cover it and name another winner."""
        self._wins: dict[str, int] = {}
        self.superseded: dict[str, None] = {}
        self.resolutions: dict[str, Resolution] = {}
        self.settlements: dict[str, Settlement] = {}
        """Conflict id -> what became of it."""
        self._names: dict[str, None] = {first_conflict: None}
        """Ids of the conflicts that the slot has or had."""
        self._waiting: dict[str, list[Resolution]] = {}
        """Conflict id or fact id -> resolutions that are inert until it is known here."""
        self._in_force: SortedFacts = []
        self._all: SortedFacts = []
        """The facts of the resolutions that nobody supersedes, and of all."""
        self.last = ""
        """Id of the latest resolution in force; when they supersede each other in a circle, of the latest at all."""
        for fact in assertions:
            self._say(fact)
        for fact in live:
            self.activate(fact)

    # --- who stands ---

    def blocks(self, fact: Fact) -> bool:
        """Whether an assertion was ended by a later retraction or settled against."""
        return self.settled(fact.id) or self.ended(fact)

    def ended(self, fact: Fact) -> bool:
        return any((last := self._ends.get(each)) is not None and fact < last for each in authors(fact))

    def settled(self, fact_id: str) -> bool:
        """Whether a resolution in force names another winner, and none names this one."""
        return self._losses.get(fact_id, 0) > 0 and self._wins.get(fact_id, 0) == 0

    def activate(self, fact: Fact) -> None:
        """The fact stands now."""
        for each in authors(fact):
            self._live[each] = sorted_facts.add(self._live.get(each, []), fact)

    def deactivate(self, fact: Fact) -> None:
        """The fact stands no longer."""
        for each in authors(fact):
            self._live[each] = sorted_facts.remove(self._live[each], fact)

    # --- retractions ---

    def note_assertion(self, fact: Fact) -> None:
        """A new assertion: come late, it turns its kin's next denial into a withdrawal."""
        for following in self._say(fact):
            self.review(following)

    def retract(self, fact: Fact, *, expired: bool) -> list[Fact]:
        """A new retraction; the standing facts that it ends."""
        if expired:
            self._expired[fact.origin, fact.id] = None
        ended: dict[tuple[str, str], Fact] = {}
        for each in authors(fact):
            last = self._ends.get(each)
            if last is None or last < fact:
                self._ends[each] = fact
                for standing in takewhile(lambda held: held < fact, self._live.get(each, ())):
                    ended[standing.origin, standing.id] = standing
        for following in self._say(fact):  # come late, it may have taken back what this one seemed to
            self.review(following)
        self.review(fact)
        return list(ended.values())

    def expire(self, fact: Fact) -> None:
        """A retraction's time has passed: it denies nothing any more; what it ended stays ended."""
        self._expired[fact.origin, fact.id] = None
        self.review(fact)

    def revive(self, fact: Fact) -> None:
        """The clock was set back to before a retraction's expiry."""
        self._expired.pop((fact.origin, fact.id), None)
        self.review(fact)

    def review(self, fact: Fact) -> None:
        """Count a retraction among the denials unless it withdraws something, has expired or was settled against."""
        over = (fact.origin, fact.id) in self._expired or self.settled(fact.id)
        if over or self._withdraws(fact):
            if sorted_facts.contains(self.denials, fact):
                self.denials = sorted_facts.remove(self.denials, fact)
        elif not sorted_facts.contains(self.denials, fact):
            self.denials = sorted_facts.add(self.denials, fact)

    def _withdraws(self, fact: Fact) -> bool:
        """Whether the last word of a retraction's source, or of its origin node, before it was an assertion."""
        before = (next(sorted_facts.descending(self._words[each], fact), None) for each in authors(fact))
        return any(word is not None and not word.is_retraction for word in before)

    def _say(self, fact: Fact) -> list[Fact]:
        """File a word; the retractions that it comes just before."""
        following = []
        for each in authors(fact):
            words = self._words[each] = sorted_facts.add(self._words.get(each, []), fact)
            if words[-1] is not fact:
                following += [word for word in islice(sorted_facts.since(words, fact), 1, 2) if word.is_retraction]
        return following

    # --- resolutions ---

    def named(self, conflict: str) -> list[Resolution]:
        """The slot has or had this conflict; the resolutions that waited for it."""
        self._names[conflict] = None
        return self._waiting.pop(conflict, [])

    def arrived(self, fact_id: str) -> list[Resolution]:
        """A fact is held now; the resolutions that waited for it."""
        return self._waiting.pop(fact_id, [])

    def waits(self, resolution: Resolution, *, winner_held: bool) -> bool:
        """Whether the resolution is inert for now; then it is kept until what it waits for is known.

        Otherwise anybody could settle against facts for a winner that nobody has ever seen, or under the name of a
        conflict where no one would look for it.
        """
        if resolution.resolves not in self._names:
            self._waiting.setdefault(resolution.resolves, []).append(resolution)
            return True
        if not winner_held:
            self._waiting.setdefault(resolution.winner, []).append(resolution)
        return not winner_held

    def resolve(self, resolution: Resolution) -> list[str]:
        """Give a resolution effect; the ids of the facts whose standing it may change."""
        name = resolution.fact.id
        if name in self.resolutions:
            return []
        self.resolutions[name] = resolution
        self._all = sorted_facts.add(self._all, resolution.fact)
        settlement = self.settlements.get(resolution.resolves)
        if settlement is None:
            settlement = self.settlements[resolution.resolves] = Settlement(resolution, {})
        elif settlement.latest.fact < resolution.fact:
            settlement.latest = resolution
        settlement.covers.update(dict.fromkeys(resolution.covers))
        touched: dict[str, None] = {}
        if name not in self.superseded:
            self._in_force = sorted_facts.add(self._in_force, resolution.fact)
            self._count(resolution, 1)
            touched.update(dict.fromkeys(resolution.covers))
        for older in resolution.supersedes:
            if older not in self.superseded and older in self.resolutions:
                self._in_force = sorted_facts.remove(self._in_force, self.resolutions[older].fact)
                self._count(self.resolutions[older], -1)
                touched.update(dict.fromkeys(self.resolutions[older].covers))
            self.superseded[older] = None
        self.last = (self._in_force or self._all)[-1].id
        return list(touched)

    def _count(self, resolution: Resolution, step: int) -> None:
        for fact_id in resolution.covers:
            tally = self._wins if fact_id == resolution.winner else self._losses
            tally[fact_id] = tally.get(fact_id, 0) + step
