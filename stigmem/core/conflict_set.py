"""What is said about one slot and what follows from it, kept up to date word by word.

`stigmem.core.contradiction.evaluate` says what the answer is, by looking at everything each time. A `ConflictSet` gives
the same answer at every moment for O(log n) a word, and property tests hold the two equal. Here is what every set has:
its facts, its voided words, its resolutions, and the questions that may be asked of it. How words end and deny each
other depends on how many values a slot holds: `stigmem.core.one_value` and `stigmem.core.many_values`. What resolutions
count for is `stigmem.core.slot_resolutions`; how a conflict is listed is `stigmem.core.conflicts`. `ConflictLog`, at
the end, remembers in which order this node met the conflicts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import ClassVar

from stigmem.core import sorted_facts
from stigmem.core.contradiction import Cardinality, author_of, sweeps, value_of
from stigmem.core.fact import Fact, Slot
from stigmem.core.resolution import Resolution, conflict_id
from stigmem.core.slot_resolutions import Settlement, SlotResolutions
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["ConflictLog", "ConflictSet"]


class ConflictSet(ABC):
    """The words of one slot and their derived state. Only the ledger changes it, in the writer's batch; quarantined
    and reserved facts never come here."""

    __slots__ = ("_identity", "_resolutions", "_voided", "facts", "key", "live")

    cardinality: ClassVar[Cardinality]

    def __init__(self, key: Slot) -> None:
        self.key = key
        self.facts: SortedFacts = []
        """Every word, also those that were voided."""
        self.live: SortedFacts = []
        self._resolutions: SlotResolutions | None = None
        self._voided: dict[tuple[str, str], Fact] = {}
        """(origin, id) of words that count for nothing."""
        self._identity = ("", "")
        """The latest resolution and the conflict id that follows from it, once asked for."""

    # --- reading ---

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether live facts contradict each other, or one is denied."""

    @property
    def conflict(self) -> str | None:
        """Id of the open conflict, or None."""
        if not self.is_open:
            return None
        last = self._resolutions.last if self._resolutions else ""
        if self._identity[0] != last or not self._identity[1]:
            self._identity = (last, conflict_id(self.key, last))
        return self._identity[1]

    @abstractmethod
    def denials(self) -> list[Fact]:
        """Retractions that deny a live fact of another author, oldest first."""

    def members(self) -> list[Fact]:
        """The conflict set, by origin stamp; meaningful while the conflict is open."""
        return sorted([*self.live, *self.denials()])

    def settlement(self, conflict: str) -> Settlement | None:
        """What resolutions made of a conflict, or None when there is no resolution of it."""
        return self._resolutions.settlements.get(conflict) if self._resolutions else None

    def settlements(self) -> list[tuple[str, Settlement]]:
        """The conflicts that there are resolutions of, by their ids, the one that was resolved last first."""
        made = self._resolutions.settlements.items() if self._resolutions else ()
        return sorted(made, key=lambda each: each[1].latest.fact, reverse=True)

    def covered(self, winner: Fact, members: Iterable[Fact]) -> list[str]:
        """Ids of what a resolution for a winner covers of these members, the winner first: in a slot of many values
        what is about its value."""
        about = (
            fact
            for fact in members
            if self.cardinality == "one" or sweeps(winner) or sweeps(fact) or value_of(fact) == value_of(winner)
        )
        return list(dict.fromkeys([winner.id, *(fact.id for fact in about)]))

    def resolutions_to_supersede(self, covered: Iterable[str]) -> list[str]:
        """Ids of the resolutions that nobody supersedes and that the next one, which covers these facts, supersedes: in
        a slot of many values those about some of them, since one about another value still holds."""
        resolutions = self._resolutions
        if resolutions is None:
            return []
        in_force = [each for name, each in resolutions.effective.items() if name not in resolutions.superseded]
        names = frozenset(covered)
        return [each.fact.id for each in in_force if self.cardinality == "one" or not names.isdisjoint(each.covers)]

    @abstractmethod
    def ended_by(self, fact: Fact) -> Fact | None:
        """The first word that ended a word of this slot, or None."""

    @abstractmethod
    def before(self, fact: Fact) -> Fact | None:
        """The word just before a word that the same author said about the same thing (in a slot of many: about the
        same value), or None."""

    @abstractmethod
    def words_of(self, fact: Fact) -> SortedFacts:
        """Every word of a fact's author that is about the same thing, by origin stamp, also those that were voided."""

    @abstractmethod
    def last_word(self, draft: Fact) -> Fact | None:
        """The last word of a draft's author that concerns what the draft is about, or None."""

    @abstractmethod
    def stands(self, fact: Fact) -> bool:
        """Whether the word is live, or a denial that counts."""

    @abstractmethod
    def stands_since(self, fact: Fact) -> Fact | None:
        """The first live fact with a greater stamp than a retraction that it concerns, or None: retracting once more
        would be aimed at it."""

    @abstractmethod
    def contradicted(self, fact: Fact) -> bool:
        """Whether the fact takes part in the open conflict."""

    def resolutions(self) -> list[Resolution]:
        """Every resolution of the slot that came, in the order of arrival."""
        return [] if self._resolutions is None else list(self._resolutions.heard)

    def overruled(self, fact: Fact) -> bool:
        """Whether a resolution has settled against the fact."""
        return self._resolutions is not None and self._resolutions.settled(fact.id)

    # --- growing ---

    def add(self, fact: Fact, *, horizon_us: int) -> None:
        """Take in a word of this slot that is not in it yet. `horizon_us`: the instant up to which expiry is applied,
        in microseconds since the epoch."""
        self.facts = sorted_facts.add(self.facts, fact)
        self._take_in(fact, horizon_us)
        resolutions = self._resolutions
        if resolutions is not None:
            resolutions.by_id.add(fact.id, fact)
            self._reconsider(resolutions.spend(fact, spent=self._is_spent(fact)), horizon_us)
            self._apply(resolutions.arrived(fact.id), horizon_us)

    @abstractmethod
    def expiry_passed(self, fact: Fact, *, horizon_us: int) -> None:
        """The fact's time has passed, or the clock was set back to before its expiry; `horizon_us` as in `add`."""

    def add_voided(self, fact: Fact) -> None:
        """Take in a word of this slot that counts for nothing: it is kept for who reads what was said."""
        self.facts = sorted_facts.add(self.facts, fact)
        self._voided[fact.origin, fact.id] = fact

    def resolve(self, resolution: Resolution, *, horizon_us: int) -> None:
        """Take in a resolution of this slot; `horizon_us` as in `add`."""
        self._apply([resolution, *self._heard(resolution)], horizon_us)

    def mention(self, resolution: Resolution, *, horizon_us: int) -> None:
        """A resolution is held that has no effect on this node: others may build on the conflict that follows from
        it."""
        self._apply(self._heard(resolution), horizon_us)

    # --- keeping ---

    @abstractmethod
    def _take_in(self, word: Fact, horizon_us: int) -> None:
        """A word is in `facts`; what it does to others."""

    @abstractmethod
    def _refresh_word(self, word: Fact, horizon_us: int) -> None:
        """A word may stand from now on, or stand no longer."""

    @abstractmethod
    def _is_spent(self, winner: Fact) -> bool:
        """Whether a word that says something else has ended a word."""

    def _with_voided(self, fact: Fact, words: SortedFacts) -> SortedFacts:
        if not self._voided:
            return words
        voided = [word for word in self._voided.values() if author_of(word) == author_of(fact)]
        return sorted([*words, *voided])

    def _with_resolutions(self) -> SlotResolutions:
        if self._resolutions is None:
            self._resolutions = SlotResolutions(self._words(), conflict_id(self.key), self.cardinality)
        return self._resolutions

    def _heard(self, resolution: Resolution) -> list[Resolution]:
        """A resolution is held; those that waited for the conflict that follows from it."""
        resolutions = self._with_resolutions()
        resolutions.heard.append(resolution)
        return resolutions.conflict_known(conflict_id(self.key, resolution.fact.id))

    def _words(self) -> Iterator[Fact]:
        """The words that count, by origin stamp."""
        return (word for word in self.facts if (word.origin, word.id) not in self._voided)

    def _apply(self, waiting: list[Resolution], horizon_us: int) -> None:
        if not waiting:
            return
        resolutions = self._with_resolutions()
        for resolution in waiting:
            if not resolutions.waits(resolution):
                winners = resolutions.by_id.get(resolution.winner)
                for winner in winners:
                    resolutions.watch(winner, spent=self._is_spent(winner))
                self._reconsider(resolutions.resolve(resolution), horizon_us)

    def _reconsider(self, fact_ids: Iterable[str], horizon_us: int) -> None:
        """The resolutions for or against these facts have changed."""
        if self._resolutions is None:
            return
        for fact_id in fact_ids:
            for fact in self._resolutions.by_id.get(fact_id):
                self._refresh_word(fact, horizon_us)


class ConflictLog:
    """Conflict ids in the order in which this node first met them, each with its slot: what a listing of conflicts
    pages through.

    Local and append-only, so that a conflict keeps its place when it is settled or when an older fact moves the moment
    of its detection: a page that is asked for afterwards can neither repeat nor lose it (spec/queries.md).
    """

    __slots__ = ("_find", "_ids", "_slots")

    def __init__(self, find: Callable[[Slot], ConflictSet | None]) -> None:
        """`find`: the set of a slot, or None when it has none."""
        self._find = find
        self._ids: list[str] = []
        self._slots: dict[str, Slot] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, conflict: str, slot: Slot) -> None:
        """Note the id of a conflict that a slot has or had; nothing happens if it is known."""
        if conflict not in self._slots:
            self._slots[conflict] = slot
            self._ids.append(conflict)

    def forget(self, slots: Collection[Slot]) -> None:
        """Slots were erased: their conflicts are listed no more, and the others keep their places."""
        gone = {conflict: None for conflict, slot in self._slots.items() if slot in slots}
        for conflict in gone:
            del self._slots[conflict]
        if gone:
            self._ids = ["" if conflict in gone else conflict for conflict in self._ids]

    def about(self, entity: str) -> list[Slot]:
        """The slots of conflicts about an entity; looks through all that this node ever met."""
        return list(dict.fromkeys(slot for slot in self._slots.values() if slot[0] == entity))

    def set_of(self, conflict: str) -> ConflictSet | None:
        """The set of a conflict, or None when this node never met it."""
        slot = self._slots.get(conflict)
        return None if slot is None else self._find(slot)

    def newest_first(self, below: int) -> Iterator[tuple[int, str, ConflictSet]]:
        """Place (0 is the first), id and set, from the place before `below` down to the first."""
        for place in range(min(below, len(self._ids)) - 1, -1, -1):
            conflict = self._ids[place]
            if not conflict:
                continue  # its slot was erased
            conflict_set = self._find(self._slots[conflict])
            if conflict_set is not None:
                yield place, conflict, conflict_set
