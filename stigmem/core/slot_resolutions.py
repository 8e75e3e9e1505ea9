"""The resolutions of one slot: which have effect, which are superseded or spent, and whom they settle against.

Counters, beside the words of `stigmem.core.conflict_set`, which asks about single facts and is told whose standing has
changed. Reading and writing resolution facts is `stigmem.core.resolution`; the rules are those of
`stigmem.core.contradiction`.

Invariants
----------
1. `_losses` counts for each fact id the resolutions that have effect, that nobody supersedes, that are not spent, and
   that cover it for another winner; `_wins` those that have effect, that nobody supersedes, and that name it winner.
2. A resolution that waits (its winner is not held, or the conflict it names is not known) is filed under the one
   thing that it waits for first, and counts for nothing.
3. `_unspent` has each winner of a resolution with effect until it is spent, under everything by which a later word can
   spend it: its author and what the word is about, its node for the operator's retraction. All of one author about one
   thing have one claim: were there two, the later word would have spent the earlier. So a word spends none of them, or
   a prefix.
4. A resolution is counted once and discounted once: superseding and spending it cost at most RESOLUTION_COVERS_MAX
   steps, which its arrival cost as well.

A wart: resolutions that supersede each other in a circle, which takes two dishonest writers, are none of them in force.
The latest of all of them then names the conflict.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import TypeAlias

import msgspec

from stigmem.core import sorted_facts
from stigmem.core.contradiction import Cardinality, claim, is_operators_retraction, sweeps, value_of
from stigmem.core.fact import Fact
from stigmem.core.fact_index import FactIndex
from stigmem.core.resolution import Resolution
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["Settlement", "SlotResolutions"]

_Group: TypeAlias = tuple[str, ...]


class Settlement(msgspec.Struct, gc=False):
    """What became of a conflict: the latest resolution of it, and the ids of all facts that any of them covers (the
    keys of `covers`, in order of arrival)."""

    latest: Resolution
    covers: dict[str, None]


class SlotResolutions:
    """Kept for a slot from its first resolution on; only its conflict set changes it."""

    __slots__ = (
        "_all", "_by_winner", "_cardinality", "_in_force", "_known_conflicts", "_losses", "_spent", "_unspent",
        "_waiting", "_wins", "by_id", "effective", "heard", "last", "settlements", "superseded",
    )  # fmt: skip

    def __init__(self, facts: Iterable[Fact], first_conflict: str, cardinality: Cardinality) -> None:
        """Begin with the words of a slot that had no resolution yet, and the id of its first conflict."""
        self._cardinality: Cardinality = cardinality
        self.by_id: FactIndex[str] = FactIndex()
        """The words of the slot; several of one id only if an origin used another's."""
        self.heard: list[Resolution] = []
        """Every resolution that came, also without effect."""
        self._losses: dict[str, int] = {}
        self._wins: dict[str, int] = {}
        self.superseded: dict[str, None] = {}
        """Ids of resolutions that another one supersedes, also of those not held yet."""
        self.effective: dict[str, Resolution] = {}
        """Resolutions that have or had effect, by the id of their fact."""
        self.settlements: dict[str, Settlement] = {}
        """Conflict id -> what became of it."""
        self._known_conflicts: dict[str, None] = {first_conflict: None}
        """Ids of the conflicts that the slot has or had."""
        self._waiting: dict[str, list[Resolution]] = {}
        """Conflict id or fact id -> resolutions that are inert until it is known here."""
        self._in_force: SortedFacts = []
        self._all: SortedFacts = []
        """The facts of the resolutions that nobody supersedes, and of all."""
        self.last = ""
        """Id of the latest resolution in force; when they supersede each other in a circle, of the latest at all;
        empty while there is none."""
        self._by_winner: dict[str, list[Resolution]] = {}
        self._spent: dict[str, None] = {}
        """Ids of winners that a word which says something else has ended."""
        self._unspent: dict[_Group, SortedFacts] = {}
        """The winners that are not spent."""
        for fact in facts:
            self.by_id.add(fact.id, fact)

    def settled(self, fact_id: str) -> bool:
        """Whether an unspent resolution in force names another winner, and none in force names this one."""
        return self._losses.get(fact_id, 0) > 0 and self._wins.get(fact_id, 0) == 0

    # --- spending ---

    def watch(self, winner: Fact, *, spent: bool) -> None:
        """A word is the winner of some resolution from now on."""
        if winner.id in self._spent:
            return
        if spent:
            self._spend(winner.id)
            return
        for group in self._groups(winner):
            unspent = self._unspent.get(group, [])
            if not sorted_facts.contains(unspent, winner):
                self._unspent[group] = sorted_facts.add(unspent, winner)

    def spend(self, word: Fact, *, spent: bool) -> list[str]:
        """A new word; the ids of the facts that were settled against for a winner which it ends. `spent`: whether the
        word itself is ended by one that says something else."""
        touched: list[str] = []
        for group in self._spent_by(word):
            unspent = self._unspent.get(group)
            if unspent and claim(unspent[0]) != claim(word):  # all unspent winners of a group have one claim, or differ
                touched += self._spend_before(word, unspent)
        if word.id in self._by_winner:
            if spent and word.id not in self._spent:
                touched += self._spend(word.id)
            self.watch(word, spent=spent)
        return touched

    def _spend_before(self, word: Fact, winners: SortedFacts) -> list[str]:
        touched: list[str] = []
        for winner in list(takewhile(lambda each: each < word, winners)):
            for group in self._groups(winner):
                self._unspent[group] = sorted_facts.remove(self._unspent[group], winner)
            if winner.id not in self._spent:
                touched += self._spend(winner.id)
        return touched

    def _groups(self, winner: Fact) -> list[_Group]:
        """Everything by which a later word can spend a winner. Retractions spend assertions alone."""
        author = ("author", winner.source, winner.origin)
        origin = ("origin", winner.origin)
        if self._cardinality == "one":
            return [author] if winner.is_retraction else [author, origin]
        if sweeps(winner):
            return []
        value = value_of(winner)
        return [(*author, *value)] if winner.is_retraction else [(*author, *value), author, (*origin, *value), origin]

    def _spent_by(self, word: Fact) -> list[_Group]:
        """Whose winners a word spends, as far as they claim something else."""
        author = ("author", word.source, word.origin)
        origins = [("origin", word.origin)] if is_operators_retraction(word) else []
        if self._cardinality == "one" or sweeps(word):
            return [author, *origins]
        return [(*group, *value_of(word)) for group in (author, *origins)]

    def _spend(self, winner_id: str) -> list[str]:
        self._spent[winner_id] = None
        touched: dict[str, None] = {}
        for resolution in self._by_winner.get(winner_id, ()):
            if resolution.fact.id not in self.superseded:
                self._count_losses(resolution, -1)
                touched.update(dict.fromkeys(resolution.covers))
        return list(touched)

    # --- effect ---

    def conflict_known(self, conflict: str) -> list[Resolution]:
        """The slot has or had this conflict; the resolutions that waited for it."""
        self._known_conflicts[conflict] = None
        return self._waiting.pop(conflict, [])

    def arrived(self, fact_id: str) -> list[Resolution]:
        """A word is held now; the resolutions that waited for it."""
        return self._waiting.pop(fact_id, [])

    def waits(self, resolution: Resolution) -> bool:
        """Whether the resolution is inert for now; then it is kept until what it waits for is known.

        Otherwise anybody could settle against facts for a winner that nobody has ever seen, or under the name of a
        conflict where no one would look for it.
        """
        if resolution.resolves not in self._known_conflicts:
            self._waiting.setdefault(resolution.resolves, []).append(resolution)
            return True
        if not self.by_id.count(resolution.winner):
            self._waiting.setdefault(resolution.winner, []).append(resolution)
            return True
        return False

    def resolve(self, resolution: Resolution) -> list[str]:
        """Give a resolution effect; the ids of the facts whose standing it may change. None of them if it has effect
        already."""
        name = resolution.fact.id
        if name in self.effective:
            return []
        self.effective[name] = resolution
        self._by_winner.setdefault(resolution.winner, []).append(resolution)
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
            touched.update(dict.fromkeys(self._count(resolution, 1)))
        for older in resolution.supersedes:
            if older not in self.superseded and older in self.effective:
                self._in_force = sorted_facts.remove(self._in_force, self.effective[older].fact)
                touched.update(dict.fromkeys(self._count(self.effective[older], -1)))
            self.superseded[older] = None
        self.last = (self._in_force or self._all)[-1].id
        return list(touched)

    def _count(self, resolution: Resolution, step: int) -> tuple[str, ...]:
        winner = resolution.winner
        self._wins[winner] = self._wins.get(winner, 0) + step
        if winner not in self._spent:
            self._count_losses(resolution, step)
        return resolution.covers

    def _count_losses(self, resolution: Resolution, step: int) -> None:
        for fact_id in resolution.covers:
            if fact_id != resolution.winner:
                self._losses[fact_id] = self._losses.get(fact_id, 0) + step
