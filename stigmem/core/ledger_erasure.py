"""The half of a ledger that lets go: facts leave every index and every slot, and husks take their places.

Why, and what a husk is, is `stigmem.core.erasure`. This is a part of `stigmem.core.ledger.Ledger` in a file of its own:
it reads and changes the ledger's tables, which are named at the head of the class, and has none but the husks itself.

A slot whose words are not all erased is derived again from what is left of it, in the turn in which it happens, since
nothing of an erased word may show from then on; that costs what its words cost when they came. A slot of which nothing
but husks is left is forgotten with its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Sequence

from sortedcontainers import SortedList

from stigmem.core import sorted_facts
from stigmem.core.conflict_set import ConflictLog, ConflictSet
from stigmem.core.content_index import ContentIndex
from stigmem.core.erasure import Erasures, effective_slot, husk_of, is_husk, resolution_of_husk
from stigmem.core.export_index import ExportIndex
from stigmem.core.fact import Fact, Slot
from stigmem.core.fact_index import FactIndex
from stigmem.core.husks import Husks
from stigmem.core.rederivation import Rederivations
from stigmem.core.resolution import Resolution
from stigmem.core.sorted_facts import SortedFacts
from stigmem.core.tombstone import Tombstone
from stigmem.core.uris import normalise_filter

__all__ = ["LedgerErasure"]


class LedgerErasure(ABC):
    """What a ledger does about tombstones."""

    log: list[Fact]
    by_stamp: SortedFacts
    by_entity: FactIndex[str]
    by_relation: FactIndex[str]
    by_source: FactIndex[str]
    by_scope: FactIndex[str]
    by_reference: FactIndex[str]
    horizon_us: int
    contested: dict[Slot, ConflictSet]
    conflict_log: ConflictLog
    _by_id: FactIndex[str]
    _contents: ContentIndex
    _slots: dict[Slot, Fact | ConflictSet]
    _expiring: SortedList
    _exports: ExportIndex
    _swept: dict[int, tuple[int, int]]
    _rederivations: Rederivations

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures
        self._husks = Husks(erasures)
        self.erased = 0
        """Grows when facts leave the indexes: indexes of readers that have followed them are then out of date."""
        self.unwritten: dict[int, Fact] = {}
        """Local sequence numbers of facts that are erased here and not yet in the journal, with their husks."""
        self._kept: dict[int, Fact] = {}
        """What a legal hold keeps, by local sequence number."""

    # --- of the ledger ---

    @abstractmethod
    def _file(self, fact: Fact) -> None: ...

    @abstractmethod
    def _opened(self, key: Slot) -> ConflictSet: ...

    @abstractmethod
    def _new_set(self, slot: Slot) -> ConflictSet: ...

    @abstractmethod
    def _applies(self, resolution: Resolution) -> bool: ...

    @abstractmethod
    def _note(self, conflict_set: ConflictSet) -> None: ...

    @abstractmethod
    def voided(self, fact: Fact) -> bool: ...

    @abstractmethod
    def counts(self, fact: Fact) -> bool: ...

    # --- erasing ---

    @property
    def tombstones_known(self) -> int:
        """How many tombstones and revocations this node has."""
        return len(self._erasures.rows)

    def is_erased(self, origin: str, fact_id: str) -> bool:
        """Whether the fact that this origin gave this id was erased here."""
        return self._husks.has(origin, fact_id)

    def is_id_of_husk(self, fact_id: str) -> bool:
        """Whether a fact with this id was erased here, whoever gave it."""
        return self._husks.has_id(fact_id)

    def match_husks(self) -> None:
        """The key of the hashes is known only now, where a journal has tombstones behind their husks: find the slots of
        those that were read before it."""
        if len(self._husks):
            for slot in list(self._slots):
                if self._husks.opened(slot):
                    self._derive_beside_husks(slot)

    def covered(self, entity_uri: str) -> list[Fact]:
        """The facts that a tombstone of an entity would cover in every scope, by local sequence number."""
        name = normalise_filter(entity_uri)
        found = [*self.by_entity.get(name), *self.by_source.get(name), *self.by_reference.get(name)]
        for slot in self.conflict_log.about(name):
            held = self._slots.get(slot)
            if isinstance(held, ConflictSet):
                found += (each.fact for each in held.resolutions() if not is_husk(each.fact))
        return list({fact.seq: fact for fact in sorted(found, key=lambda fact: fact.seq)}.values())

    def erase(self, tombstone: Tombstone) -> list[Fact]:
        """Replace every fact that a tombstone covers by its husk, at once; the facts. Under a legal hold they are kept
        where only `restore` finds them."""
        gone = [fact for fact in self.covered(tombstone.entity_uri) if tombstone.covers_scope(fact.scope)]
        slots: dict[Slot, None] = {}
        for fact in gone:
            self._unfile(fact)
            self._let_go(fact, tombstone)
            slot = effective_slot(fact)
            self._husks.add(self.log[fact.seq - 1], slot)
            if slot is not None and slot in self._slots:
                slots[slot] = None
        self._without({(fact.origin, fact.id): None for fact in gone}, slots)
        return gone

    def husk_written(self, husk: Fact) -> None:
        """The journal has a husk in the place of its fact."""
        self.unwritten.pop(husk.seq, None)
        self._kept.pop(husk.seq, None)

    def restore(self) -> list[Fact]:
        """Take back in what was kept and is covered by nothing any more; the facts."""
        back = [fact for fact in self._kept.values() if self._erasures.covering(fact) is None]
        for fact in back:
            del self._kept[fact.seq]
            self.log[fact.seq - 1] = fact
            self._contents.returned(fact.seq - 1)
            self._husks.returned(fact)
            self._file(fact)
            slot = effective_slot(fact)
            if slot is not None and slot in self._slots:
                self._derive_beside_husks(slot)
        self.erased += bool(back)
        return back

    def _arrived_too_late(self, fact: Fact, tombstone: Tombstone) -> None:
        """The newest fact of the log is covered already: its husk takes its place at once."""
        self._let_go(fact, tombstone)
        slot = effective_slot(fact)
        if slot is not None and self._husks.add(self.log[-1], slot if slot in self._slots else None) is not None:
            self._derive_beside_husks(slot)
        elif slot is None:
            self._husks.add(self.log[-1])

    def _begin_slot(self, slot: Slot) -> None:
        """The first word or resolution of a slot comes: husks may have waited for it."""
        if slot not in self._slots and self._husks.opened(slot):
            self._opened(slot)

    def _let_go(self, fact: Fact, tombstone: Tombstone) -> None:
        """A fact of the log is known no more."""
        husk = husk_of(fact, self._erasures.husk_key)
        self.log[fact.seq - 1] = husk
        self.erased += 1
        if tombstone.legal_hold:
            self._kept[fact.seq] = fact
        else:
            self.unwritten[fact.seq] = husk

    def _unfile(self, fact: Fact) -> None:
        """Take a fact out of every index but that of slots."""
        self._by_id.remove(fact.id, fact)
        self.by_stamp = sorted_facts.remove(self.by_stamp, fact)
        self.by_entity.remove(fact.entity, fact)
        self.by_relation.remove(fact.relation, fact)
        self.by_source.remove(fact.source, fact)
        self.by_scope.remove(fact.scope, fact)
        if fact.kind == "ref":
            self.by_reference.remove(normalise_filter(fact.text), fact)
        if fact.valid_until is not None:
            self._expiring.discard((fact.expires_us, fact))
        self._exports.remove(fact)
        self._swept.pop(fact.seq, None)

    def _without(self, gone: Container[tuple[str, str]], slots: Iterable[Slot]) -> None:
        """Derive slots without facts that were erased; one without anything else is forgotten, name and all."""
        emptied: dict[Slot, None] = {}
        for slot in slots:
            held = self._opened(slot)
            words = [word for word in held.facts if not is_husk(word) and (word.origin, word.id) not in gone]
            heard = [each for each in held.resolutions() if (each.fact.origin, each.fact.id) not in gone]
            if words or heard:
                self._derive_beside_husks(slot, words, heard)
                continue
            self._rederivations.drop(slot)
            del self._slots[slot]
            self.contested.pop(slot, None)
            self._husks.emptied(slot)
            emptied[slot] = None
        if emptied:
            self.conflict_log.forget(emptied)

    def _derive_beside_husks(
        self, slot: Slot, words: Sequence[Fact] | None = None, heard: Sequence[Resolution] | None = None
    ) -> None:
        """Derive a slot from words and husks; `words` and `heard`: those and the resolutions of it that are not erased,
        when they are not all that the slot has."""
        held = self._opened(slot)
        if words is None or heard is None:
            words = [word for word in held.facts if not is_husk(word)]
            heard = [each for each in held.resolutions() if not is_husk(each.fact)]
        fresh = self._new_set(slot)
        for word in words:
            if self.counts(word):
                fresh.add(word, horizon_us=self.horizon_us)
            else:
                fresh.add_voided(word)
        for word in self._husks.words(slot, words):
            if self.voided(word):
                continue  # it counted for nothing, and its husk ends nothing
            fresh.add(word, horizon_us=self.horizon_us)
            if word.valid_until is not None and (word.expires_us, word) not in self._expiring:
                self._expiring.add((word.expires_us, word))
        erased = (resolution_of_husk(husk, slot) for husk in self._husks.of(slot))
        for resolution in (*heard, *(each for each in erased if each is not None)):
            if self._applies(resolution):
                fresh.resolve(resolution, horizon_us=self.horizon_us)
            else:
                fresh.mention(resolution, horizon_us=self.horizon_us)
        self._rederivations.drop(slot)
        self._slots[slot] = fresh
        self._note(fresh)
