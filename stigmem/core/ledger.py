"""The ledger: every fact a node holds, its indexes, and the derived state that follows from them.

Append-only and synchronous. Facts are added in the order of local sequence numbers by the one writer;
everything else (conflicts, winners, what may be served) is a pure function of the facts, so two ledgers that
hold the same facts agree whatever the order of arrival. Nothing here knows peers, tokens or the time of day.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final

from sortedcontainers import SortedList

from stigmem.core import sorted_facts
from stigmem.core.cardinality import cardinality_of
from stigmem.core.conflict_set import ConflictLog, ConflictSet
from stigmem.core.content_index import ContentIndex
from stigmem.core.contradiction import Cardinality, author_of, sweeps, value_of
from stigmem.core.erasure import ERASED, Erasures, without_husks
from stigmem.core.errors import Rejection
from stigmem.core.export_index import ExportIndex, is_exportable
from stigmem.core.fact import Fact, Slot, place, same_content, says_the_same
from stigmem.core.fact_index import FactIndex
from stigmem.core.hlc import Stamp, stamp_wall_ms
from stigmem.core.ledger_erasure import LedgerErasure
from stigmem.core.many_values import ManyValuesSet
from stigmem.core.one_value import OneValueSet
from stigmem.core.rederivation import Rederivation, Rederivations
from stigmem.core.resolution import Resolution, conflict_id, read_resolution
from stigmem.core.sorted_facts import SortedFacts
from stigmem.core.uris import normalise_filter
from stigmem.core.voiding import Voiding, Voids, read_voiding

__all__ = ["UNHASHED_MAX", "Ledger"]

_LONG_AGO: Final = -(1 << 62)
UNHASHED_MAX: Final = 2_048
"""How many facts wait to be hashed at most. Peers' facts come by the thousand and are seldom asked for by their content
id, whose hash is a tenth of what it costs to take one in; whoever asks waits for so many hashes at most, some 20 ms."""
_WORDS_PER_STEP: Final = 200
"""Words of a slot that are looked at again before somebody else has a turn: some milliseconds."""


def _anyone(_origin: str) -> bool:
    return True


def _anything(_fact: Fact) -> bool:
    return True


class Ledger(LedgerErasure):
    """Sorted store of facts with O(log n) writes and point queries.

    `horizon_us` is the instant up to which expiry has been applied, in microseconds since the epoch.
    """

    def __init__(
        self,
        *,
        relay: bool = True,
        resolvers: Callable[[str], bool] = _anyone,
        cardinality: Callable[[str], Cardinality] = cardinality_of,
        fits: Callable[[Fact], bool] = _anything,
        erasures: Erasures | None = None,
    ) -> None:
        """`relay`: whether received facts may be served on. `resolvers`: whose resolutions take effect here.
        `cardinality`: how many values a relation holds. `fits`: whether a fact fits the schema of its relation.
        `erasures`: what is not to be known here."""
        self._fits = fits
        self._cardinality = cardinality
        self._relay = relay
        self._resolvers = resolvers
        super().__init__(Erasures() if erasures is None else erasures)
        self.log: list[Fact] = []
        self.by_stamp: SortedFacts = []
        self.by_entity: FactIndex[str] = FactIndex()
        self.by_relation: FactIndex[str] = FactIndex()
        self.by_source: FactIndex[str] = FactIndex()
        self.by_scope: FactIndex[str] = FactIndex()
        self.by_reference: FactIndex[str] = FactIndex()
        """By the entity that a fact has as its value."""
        self.horizon_us = _LONG_AGO
        self.contested: dict[Slot, ConflictSet] = {}
        self.conflict_log = ConflictLog(self.slot)
        self.conflicts_opened = 0
        self.timestamp_lead_us = 0
        """The most by which a fact's write time runs ahead of its stamp's millisecond, in microseconds."""
        self._by_id: FactIndex[str] = FactIndex()
        self._contents = ContentIndex(self.log)
        self._slots: dict[Slot, Fact | ConflictSet] = {}
        self._expiring: SortedList = SortedList()
        self._exports = ExportIndex()
        self._swept: dict[int, tuple[int, int]] = {}
        """Local sequence numbers of facts that a sweep ended here: when, and how many it had ended before."""
        self._voids = Voids()
        """What its origin voided, also of what is not held yet."""
        self._misfits: dict[tuple[str, str], None] = {}
        """(origin, id) of what does not fit the schema of its relation."""
        self._rederivations = Rederivations(self._begin_rederivation)
        self.long_slots: dict[Slot, None] = {}
        """Slots that have more words than are looked at again at once."""

    def __len__(self) -> int:
        return len(self.log)

    # --- reading ---

    @property
    def last_seq(self) -> int:
        """Local sequence number of the newest fact; 0 when empty."""
        return len(self.log)

    def holds(self, fact: Fact) -> bool:
        """Whether a fact of the indexes belongs to what is known: of now, all do."""
        return True

    def find(self, fact_id: str) -> SortedFacts:
        """Facts with this id; more than one only if an origin claimed another's id."""
        return self._by_id.get(fact_id)

    def get(self, fact_id: str) -> Fact | None:
        """The fact with this id; a certified one first, since only its origin can have made it."""
        held = self._by_id.get(fact_id)
        return max(held, key=lambda fact: fact.certified, default=None)

    def held(self, origin: str, fact_id: str) -> Fact | None:
        """The fact that this origin gave this id."""
        for fact in self._by_id.get(fact_id):
            if fact.origin == origin:
                return fact
        return None

    def with_cid(self, cid: str) -> list[Fact]:
        """Facts with this seven-field content id, oldest first."""
        found: list[Fact] = []
        for fact in self._contents.candidates(cid):
            # Hashing is what costs; whatever says the same as one that was hashed has its id.
            if (found and same_content(fact, found[0])) or fact.cid == cid:
                found.append(fact)
        found.sort()
        return found

    @property
    def unhashed(self) -> int:
        """How many facts could not be found by their content id yet without hashing them first."""
        return self._contents.unhashed

    def hash_some(self, most: int) -> int:
        """Hash so many of them at most, two microseconds each; how many are left."""
        return self._contents.hash_some(most)

    def repeated(self, draft: Fact, cid: str) -> Fact | None:
        """The fact that answers a draft instead of a new one: the last word of its author that concerns it, if it says
        the same until the same instant and counts. Otherwise saying it is a new word. `cid`: the draft's content id.
        Reserved facts, which nothing ends, answer as long as they have not expired."""
        held = self._slots.get(draft.slot)
        if draft.is_system:
            same = (fact for fact in reversed(self.with_cid(cid)) if says_the_same(fact, draft))
            standing = (fact for fact in same if fact.quarantine is None and not self.expired(fact))
            return next((fact for fact in standing if not self.voided(fact)), None)
        if isinstance(held, Fact):
            counts = says_the_same(held, draft) and not self.expired(held) and not self.voided(held)
            return held if counts else None
        last = None if held is None else held.last_word(draft)
        if last is None or not says_the_same(last, draft) or self.expired(last) or self.overridden(last):
            return None
        return last

    def last_word(self, draft: Fact) -> Fact | None:
        """The last word of a draft's author that concerns what the draft is about, or None; reserved facts have
        none."""
        held = self._slots.get(draft.slot)
        if isinstance(held, ConflictSet):
            return held.last_word(draft)
        if held is None or author_of(held) != author_of(draft):
            return None
        met = self.cardinality(draft.relation) == "one" or sweeps(draft) or value_of(draft) == value_of(held)
        return held if met else None

    def slot(self, key: Slot) -> ConflictSet | None:
        """The derived state of a slot, or None when it never had two facts, a retraction or a resolution: then its one
        fact is all there is."""
        held = self._slots.get(key)
        return held if isinstance(held, ConflictSet) else None

    def cardinality(self, relation: str) -> Cardinality:
        """How many values a relation holds."""
        return self._cardinality(relation)

    def facts_of(self, key: Slot) -> SortedFacts:
        """Every fact of a slot that is not erased, by origin stamp."""
        held = self._slots.get(key)
        if held is None:
            return []
        return without_husks(held.facts) if isinstance(held, ConflictSet) else [held]

    def contradicted(self, fact: Fact) -> bool:
        """Whether the fact takes part in an open conflict."""
        conflict_set = self.contested.get(fact.slot)
        return conflict_set is not None and conflict_set.contradicted(fact)

    def ended_by(self, fact: Fact) -> Fact | None:
        """The first word that ended a fact, or None: an assertion supersedes it, a retraction retracts it."""
        held = self._slots.get(fact.slot)
        if not isinstance(held, ConflictSet) or fact.quarantine is not None or not self.counts(fact):
            return None
        return held.ended_by(fact)

    def superseded(self, fact: Fact) -> Fact | None:
        """The word of its author that an assertion took the place of: the one just before it, unless an operator's
        retraction had ended that before; else None."""
        held = self._slots.get(fact.slot)
        if fact.is_retraction or fact.quarantine is not None or not isinstance(held, ConflictSet):
            return None
        if not self.counts(fact):
            return None
        before = held.before(fact)
        return before if before is not None and held.ended_by(before) == fact else None

    def words_of(self, fact: Fact) -> SortedFacts:
        """What the author of a fact said in its slot (where the relation holds many values: about the same value), by
        origin stamp; of a reserved fact itself alone."""
        held = self._slots.get(fact.slot)
        return without_husks(held.words_of(fact)) if isinstance(held, ConflictSet) else [fact]

    def overruled(self, fact: Fact) -> bool:
        """Whether a resolution that holds settled against the fact."""
        held = self._slots.get(fact.slot)
        return isinstance(held, ConflictSet) and held.overruled(fact)

    def voided(self, fact: Fact) -> bool:
        """Whether the origin of the fact voided it: it stays readable, and counts for nothing."""
        return bool(self._voids) and self._voids.by(fact) is not None

    def voided_by(self, fact: Fact) -> Fact | None:
        """The record by which the origin of the fact voided it, or None."""
        return self._voids.by(fact) if self._voids else None

    def fits(self, fact: Fact) -> bool:
        """Whether a fact fits the schema of its relation, as of when its slot was derived last."""
        return not self._misfits or (fact.origin, fact.id) not in self._misfits

    def counts(self, fact: Fact) -> bool:
        """Whether a fact is neither voided nor a misfit, and so a word of its slot."""
        return not self.voided(fact) and self.fits(fact)

    def overridden(self, fact: Fact) -> bool:
        """Whether the fact is superseded, retracted, overruled or voided, or does not fit its relation."""
        if not self.counts(fact):
            return True
        held = self._slots.get(fact.slot)
        return isinstance(held, ConflictSet) and (held.overruled(fact) or held.ended_by(fact) is not None)

    def expired(self, fact: Fact) -> bool:
        """Whether the fact's time has passed, as of the horizon."""
        if fact.valid_until is None and not self._swept:
            return False
        expires_us = self.expires_us(fact)
        return expires_us is not None and expires_us <= self.horizon_us

    def expires_us(self, fact: Fact) -> int | None:
        """When the fact ends for the readers of this node, in microseconds since the epoch: its own expiry, or the
        sweep that ended it before. Conflicts go by the fact's own, as on every other node."""
        own_us, swept = fact.expires_us, self._swept.get(fact.seq)
        return own_us if swept is None or (own_us is not None and own_us < swept[0]) else swept[0]

    @property
    def sweeps(self) -> int:
        """How many facts sweeps have ended here."""
        return len(self._swept)

    def swept(self, fact: Fact) -> tuple[int, int] | None:
        """When a sweep ended the fact, in microseconds since the epoch, and how many it had ended before; None when
        none did."""
        return self._swept.get(fact.seq)

    def live(self, fact: Fact) -> bool:
        """Whether the fact is an assertion that stands."""
        return not (fact.is_retraction or fact.quarantine or self.expired(fact) or self.overridden(fact))

    def next_expiry_us(self) -> int | None:
        """The first expiry after the horizon, or None."""
        at = self._expiring.bisect_left((self.horizon_us + 1,))
        return self._expiring[at][0] if at < len(self._expiring) else None

    def has_stamp(self, stamp: Stamp) -> bool:
        """Whether a fact is held that has this stamp, of whatever origin."""
        found = next(sorted_facts.since(self.by_stamp, place(stamp)), None)
        return found is not None and found.stamp == stamp

    def exported(self, scopes: tuple[str, ...], after_seq: int) -> Iterator[Fact]:
        """Facts that may leave in these scopes, in local order, after a sequence number."""
        return (self.log[seq - 1] for seq in self._exports.after(scopes, after_seq))

    def last_exported(self, scopes: tuple[str, ...]) -> int:
        """Local sequence number of the newest fact that may leave in these scopes; 0 when there is none."""
        return self._exports.last(scopes)

    def first_after_stamp(self, scopes: tuple[str, ...], stamp: Stamp) -> int:
        """Sequence number before the first exported fact whose origin stamp is greater than `stamp`."""
        return self._exports.before(scopes, stamp, self.log)

    def derived(
        self,
        key: Slot,
        holds: Callable[[Fact], bool],
        counts: Callable[[Fact], bool],
        horizon_us: int,
        *,
        cardinality: Cardinality,
    ) -> Generator[None, None, ConflictSet | None]:
        """The derived state of a slot, made anew of those words and resolutions that `holds` takes, at an instant; None
        where it says nothing of a single word. `counts`: whether one of them was neither voided nor a misfit then.
        Yields after every few hundred words. What is held is that of the beginning, whatever is added meanwhile."""
        held = self._slots.get(key)
        if not isinstance(held, ConflictSet):
            return None
        conflict_set = self._new_set(key, cardinality)
        settling = held.resolutions()
        for number, word in enumerate(list(held.facts), 1):
            if holds(word):
                if counts(word):
                    conflict_set.add(word, horizon_us=horizon_us)
                else:
                    conflict_set.add_voided(word)
            if number % _WORDS_PER_STEP == 0:
                yield
        for resolution in settling:
            if holds(resolution.fact):
                if self._resolvers(resolution.fact.origin) and counts(resolution.fact):
                    conflict_set.resolve(resolution, horizon_us=horizon_us)
                else:
                    conflict_set.mention(resolution, horizon_us=horizon_us)
                yield
        return conflict_set

    # --- growing ---

    def add(self, fact: Fact) -> None:
        """Take in a fact, or its husk when it is not to be known here; raises ValueError when its `seq` is not the next
        one."""
        if fact.seq != len(self.log) + 1:
            raise ValueError(f"sequence number {fact.seq} does not follow {len(self.log)}")
        if fact.quarantine == ERASED:
            self.log.append(fact)
            slot = self._husks.add(fact)
            if slot is not None:
                self._derive_beside_husks(slot)
            return
        self.log.append(fact)
        if self._erasures and (tombstone := self._erasures.covering(fact)) is not None:
            self._arrived_too_late(fact, tombstone)
        else:
            self._file(fact)

    def _file(self, fact: Fact) -> None:
        """Put a fact of the log into every index, and derive what follows from it."""
        lead_us = fact.timestamp_us - 1000 * stamp_wall_ms(fact.stamp)
        if lead_us > self.timestamp_lead_us:
            self.timestamp_lead_us = lead_us
        self._by_id.add(fact.id, fact)
        if self._contents.unhashed > UNHASHED_MAX:
            self._contents.hash_some(1)
        self.by_stamp = sorted_facts.add(self.by_stamp, fact)
        self.by_entity.add(fact.entity, fact)
        self.by_relation.add(fact.relation, fact)
        self.by_source.add(fact.source, fact)
        self.by_scope.add(fact.scope, fact)
        self._follow(fact)

    def extend(self, facts: Sequence[Fact]) -> None:
        """What adding each of them does, in two thirds of the time and without a hash: for a start. Raises ValueError,
        with nothing taken in, when their numbers do not go on from the last one."""
        for number, fact in enumerate(facts, len(self.log) + 1):
            if fact.seq != number:
                raise ValueError(f"sequence number {fact.seq} does not follow {number - 1}")
        if self._erasures or any(fact.quarantine == ERASED for fact in facts):
            for fact in facts:
                self.add(fact)
            return
        leads = (fact.timestamp_us - 1000 * stamp_wall_ms(fact.stamp) for fact in facts)
        self.timestamp_lead_us = max(self.timestamp_lead_us, max(leads, default=0))
        self.log.extend(facts)
        self._by_id.extend((fact.id, fact) for fact in facts)
        for fact in facts:
            self.by_stamp = sorted_facts.add(self.by_stamp, fact)
        self.by_entity.extend((fact.entity, fact) for fact in facts)
        self.by_relation.extend((fact.relation, fact) for fact in facts)
        self.by_source.extend((fact.source, fact) for fact in facts)
        self.by_scope.extend((fact.scope, fact) for fact in facts)
        for fact in facts:
            self._follow(fact)

    def _follow(self, fact: Fact) -> None:
        """What follows from a fact that stands in the indexes now."""
        if fact.kind == "ref":
            self.by_reference.add(normalise_filter(fact.text), fact)
        if fact.valid_until is not None:
            self._expiring.add((fact.expires_us, fact))
        reserved = fact.is_system
        resolution = _resolution(fact) if fact.derived_from else None
        voiding = _voiding(fact) if reserved else None
        bookkeeping = resolution is None and voiding is None and (reserved or fact.derived_from != "")
        if is_exportable(fact, relay=self._relay, bookkeeping=bookkeeping):
            self._exports.add(fact)
        if fact.quarantine is not None:
            return
        if resolution is not None:
            self._settle(resolution)
        elif voiding is not None:
            self.void(voiding)
        elif not reserved:
            self._derive(fact)

    def sweep(self, seq: int, at_us: int) -> None:
        """End a fact for readers, by its local sequence number; of two sweeps the earlier counts."""
        before_us, number = self._swept.get(seq, (at_us, len(self._swept)))
        self._swept[seq] = (min(at_us, before_us), number)

    def void(self, voiding: Voiding) -> None:
        """Facts of an origin, held or still to come, count for nothing from now on. What follows for slots is shown
        once `rederive` has come to them; that the facts themselves do not stand, at once."""
        origin, voids = voiding.fact.origin, self._voids
        named = (self.held(origin, name) for name in voiding.names)
        held = [fact for fact in named if fact is not None and fact.quarantine is None and voids.by(fact) is None]
        voids.add(voiding)
        for fact in held:
            if voids.by(fact) is not None:
                self._ask_to_rederive(fact)

    def reinterpret(self, relation: str) -> None:
        """A relation has another schema, or holds another number of values, than its facts were derived by. What
        follows is shown slot by slot, once `rederive` has come to each."""
        self._rederivations.ask_many(self._slots_of(relation))

    @property
    def slots_to_rederive(self) -> int:
        """How many slots (at least) do not show yet what follows from the present meaning of their words."""
        return len(self._rederivations)

    def rederive(self, words_max: int) -> None:
        """Go on deriving the slots anew that need it, by at most so many words; a microsecond or ten each."""
        for conflict_set in self._rederivations.step(words_max, horizon_us=self.horizon_us):
            self._slots[conflict_set.key] = conflict_set
            self._note(conflict_set)

    def advance(self, now_us: int) -> None:
        """Apply expiry as of an instant, which may lie before the last one when a clock was set back."""
        old, self.horizon_us = self.horizon_us, now_us
        if not self._expiring:
            return
        for _, fact in list(self._expiring.irange((min(old, now_us) + 1,), (max(old, now_us) + 1,), (True, False))):
            if fact.quarantine is None and not fact.is_system:
                self._apply_expiry(fact)

    def as_of(self, now_us: int) -> Ledger:
        """What this ledger would be if expiry had been applied as of `now_us`, and no slot waited to be derived anew:
        itself when nothing expires between there and the horizon, else a copy with that horizon. This ledger stays as
        it is; a copy costs as much as adding every fact again."""
        old = self.horizon_us
        expiring = self._expiring.irange((min(old, now_us) + 1,), (max(old, now_us) + 1,), (True, False))
        if not self._rederivations and not any(expiring):
            return self
        copy = Ledger(
            relay=self._relay,
            resolvers=self._resolvers,
            cardinality=self._cardinality,
            fits=self._fits,
            erasures=self._erasures,
        )
        copy._voids = self._voids.copy()  # known from the start, so that no slot of the copy has to be derived twice
        for fact in self.log:
            copy.add(fact)
        copy._swept = dict(self._swept)
        copy.advance(now_us)
        return copy

    # --- keeping ---

    def _derive(self, fact: Fact) -> None:
        key = fact.slot
        self._begin_slot(key)
        if not self._judge(fact):
            self._opened(key).add_voided(fact)
            if self._rederivations and (under_way := self._rederivations.of(key)) is not None:
                under_way.arrived(fact)
            return
        if not fact.is_retraction and self._slots.setdefault(key, fact) is fact:
            return  # a lone assertion contradicts nobody
        conflict_set = self._opened(key)
        conflict_set.add(fact, horizon_us=self.horizon_us)
        if self._husks.of(key):
            self._derive_beside_husks(key)  # the word may tell whose a husk is
        if self._rederivations and (under_way := self._rederivations.of(key)) is not None:
            under_way.arrived(fact)
        if len(conflict_set.facts) == _WORDS_PER_STEP + 1:
            self.long_slots[key] = None
        self._note(self._opened(key))

    def _settle(self, resolution: Resolution) -> None:
        self._begin_slot(resolution.slot)
        conflict_set = self._opened(resolution.slot)
        if self._rederivations and (under_way := self._rederivations.of(resolution.slot)) is not None:
            under_way.arrived(resolution)
        if self._applies(resolution):
            conflict_set.resolve(resolution, horizon_us=self.horizon_us)
        else:
            conflict_set.mention(resolution, horizon_us=self.horizon_us)
        for last in ("", resolution.fact.id):  # the only conflicts of a slot that a resolution can have been about
            self.conflict_log.add(conflict_id(conflict_set.key, last), conflict_set.key)
        self._note(conflict_set)
        if self._husks.of(resolution.slot):
            self._derive_beside_husks(resolution.slot)

    def _opened(self, key: Slot) -> ConflictSet:
        held = self._slots.get(key)
        if isinstance(held, ConflictSet):
            return held
        conflict_set = self._new_set(key)
        if held is not None:
            conflict_set.add(held, horizon_us=self.horizon_us)
        self._slots[key] = conflict_set
        return conflict_set

    def _new_set(self, slot: Slot, cardinality: Cardinality | None = None) -> ConflictSet:
        return ManyValuesSet(slot) if (cardinality or self.cardinality(slot[1])) == "many" else OneValueSet(slot)

    def _apply_expiry(self, fact: Fact) -> None:
        held = self._slots.get(fact.slot)
        if not isinstance(held, ConflictSet):
            return  # a lone fact contradicts nobody; whether it is expired is asked of the horizon
        held.expiry_passed(fact, horizon_us=self.horizon_us)
        if self._rederivations and (under_way := self._rederivations.of(fact.slot)) is not None:
            under_way.expiry_passed(fact, horizon_us=self.horizon_us)
        self._note(held)

    def _applies(self, resolution: Resolution) -> bool:
        """Whether a resolution takes effect here; others are proposals: held, queryable, without effect of their own,
        as one is that its origin voided."""
        return self._resolvers(resolution.fact.origin) and not self.voided(resolution.fact)

    def _ask_to_rederive(self, fact: Fact) -> None:
        """The meaning of a word or of a resolution has changed."""
        resolution = _resolution(fact) if fact.derived_from else None
        if resolution is not None:
            self._rederivations.ask(resolution.slot)
        elif not fact.is_system:
            self._rederivations.ask(fact.slot)

    def _begin_rederivation(self, slot: Slot) -> Rederivation | None:
        held = self._slots.get(slot)
        if held is None or (isinstance(held, Fact) and self._judge(held)):
            return None  # a lone fact says the same whatever its relation holds
        return Rederivation(self._opened(slot), self._new_set(slot), counts=self._judge, applies=self._applies)

    def _judge(self, fact: Fact) -> bool:
        """Whether a fact counts by the present schemas; what does not fit is noted."""
        if self._fits(fact):
            if self._misfits:
                self._misfits.pop((fact.origin, fact.id), None)
            return not self.voided(fact)
        self._misfits[fact.origin, fact.id] = None
        return False

    def _slots_of(self, relation: str) -> Iterator[Slot | None]:
        """Every slot of a relation, once; None for a further fact of the same one."""
        seen: dict[Slot, None] = {}
        for fact in list(self.by_relation.get(relation)):
            resolution = _resolution(fact) if fact.derived_from else None
            slot = fact.slot if resolution is None else resolution.slot
            yield None if slot in seen else slot
            seen[slot] = None

    def _note(self, conflict_set: ConflictSet) -> None:
        """Keep the tables of open conflicts right after a set may have changed."""
        was_open = conflict_set.key in self.contested
        conflict = conflict_set.conflict
        if conflict is not None:
            self.contested[conflict_set.key] = conflict_set
            self.conflicts_opened += not was_open
            self.conflict_log.add(conflict, conflict_set.key)
        elif was_open:
            del self.contested[conflict_set.key]


def _voiding(fact: Fact) -> Voiding | None:
    try:
        return read_voiding(fact)
    except Rejection:
        return None  # as for resolutions


def _resolution(fact: Fact) -> Resolution | None:
    try:
        return read_resolution(fact)
    except Rejection:
        return None  # a caller of our own may write anything under these names: it is kept, without effect
