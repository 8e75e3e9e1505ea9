"""The husks of one ledger: which slots they belong to, as far as anybody can tell.

A husk names its slot by a keyed hash (`stigmem.core.erasure`). When a fact is erased its slot is known; after a start
it is found again as soon as another word of the slot is here, whichever of the two is read first. A husk of a slot of
which nothing else is here is a *stray*: it waits for a word on which it could have an effect.
"""

from __future__ import annotations

from collections.abc import Iterable

from stigmem.core.contradiction import author_of
from stigmem.core.erasure import Erasures, author_digest, husk_note, slot_digest, value_digest, word_of_husk
from stigmem.core.fact import Fact, Slot

__all__ = ["Husks"]


class Husks:
    """Husks by origin and id, and by slot."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures
        self._all: dict[tuple[str, str], Fact] = {}
        self._ids: dict[str, None] = {}
        self._of_slot: dict[Slot, list[Fact]] = {}
        self._strays: dict[str, list[Fact]] = {}
        """By the hash of their slot."""
        self._slots: dict[str, Slot] = {}
        """The slots that were opened since there is a key to hash them with."""

    def __len__(self) -> int:
        return len(self._all)

    def has(self, origin: str, fact_id: str) -> bool:
        """Whether the fact that this origin gave this id was erased here."""
        return (origin, fact_id) in self._all

    def has_id(self, fact_id: str) -> bool:
        """Whether a fact with this id was erased here, whoever gave it."""
        return fact_id in self._ids

    def of(self, slot: Slot) -> list[Fact]:
        """The husks in a slot, in no order that matters."""
        return self._of_slot.get(slot, [])

    def add(self, husk: Fact, slot: Slot | None = None) -> Slot | None:
        """Take in a husk; the slot in which it has effects, if it has any and that is known."""
        key = (husk.origin, husk.id)
        name = husk_note(husk).slot
        self._ids[husk.id] = None
        if key in self._all or not name:
            self._all.setdefault(key, husk)
            return None
        self._all[key] = husk
        slot = slot or self._slots.get(name)
        if slot is None:
            self._strays.setdefault(name, []).append(husk)
        else:
            self._of_slot.setdefault(slot, []).append(husk)
        return slot

    def opened(self, slot: Slot) -> bool:
        """The first word of a slot is here; whether there are husks for it."""
        if not self._erasures.husk_key:
            return False
        name = slot_digest(self._erasures.husk_key, slot)
        self._slots[name] = slot
        strays = self._strays.pop(name, None)
        if strays is not None:
            self._of_slot.setdefault(slot, []).extend(strays)
        return strays is not None

    def emptied(self, slot: Slot) -> None:
        """Nothing but husks is left in a slot: its name is forgotten."""
        name = slot_digest(self._erasures.husk_key, slot)
        self._slots.pop(name, None)
        left = self._of_slot.pop(slot, [])
        if left:
            self._strays.setdefault(name, []).extend(left)

    def words(self, slot: Slot, others: Iterable[Fact]) -> list[Fact]:
        """The husks of a slot as words, by their authors and about their values where the `others` show which these
        are."""
        key, others = self._erasures.husk_key, list(others)
        authors = {author_digest(key, *author_of(word)): word.source for word in others}
        values = {value_digest(key, word): word for word in others}
        found = []
        for husk in self.of(slot):
            note = husk_note(husk)
            if note.author:
                value = values.get(note.about or note.claim)
                found.append(word_of_husk(husk, slot, authors.get(note.author), value))
        return found

    def returned(self, fact: Fact) -> None:
        """A fact is back whose husk is therefore none."""
        husk = self._all.pop((fact.origin, fact.id), None)
        if husk is None:
            return
        for held in (self._of_slot.get(fact.slot, []), self._strays.get(husk_note(husk).slot, [])):
            if husk in held:
                held.remove(husk)
