"""Erasure: what a tombstone covers, and what is left of a fact that was erased.

Theory
------
A ledger that only grows and a person's right to be forgotten contradict each other, unless what is forgotten is told
apart from what it did. A fact has **content** (entity, relation, value, source, provenance) and **effects**: it has a
place in the order in which this node stored things, which peers' cursors count, and it ended or denied other words. The
content goes; a **husk** stays and keeps the effects: origin, id, stamp and local number in the clear, and of slot,
author and claim keyed hashes, by which it is recognised as the word of somebody in a slot without saying of whom or in
which. A husk is never shown, served, counted or searched: it has a reason for being held back (`ERASED`), and whatever
reads facts passes over what has one.

A tombstone of X covers facts with entity X, source X, or a reference to X as value, and resolutions about slots of X.

Example: `agent:b` said `team/lead = user:ada` after `team/lead = user:bo`, and `user:ada` is erased. What `agent:b`
said last becomes a husk. It still ends the word before it: otherwise forgetting Ada would make Bo the lead again, which
nobody has said. That there is a husk shows nowhere; the slot has no value.

Invariants:

* E1. From the moment at which a tombstone is applied, no fact that it covers is in any index of a ledger, also none
  that arrives later, in whatever order fact and tombstone come.
* E2. A husk ends and denies what its fact did. It claims nothing of its own any more: it does not contradict anybody.
* E3. What is left of a fact is the same whether it was erased when it was held or arrived afterwards.
* E4. Without the key of the hashes (`TombstoneRow.husk_key`, in this node's journal alone) nothing in a husk can be
  tried out but the id, which may be a hash of the content together with its stamp.

Warts: text that mentions somebody inside of other words is not found. A node that never held an erased fact has no husk
of it: what the fact ended stands there. After a revocation the husks stay husks, unless a legal hold kept their facts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from stigmem.core.canonical import compact
from stigmem.core.contradiction import author_of, claim, is_operators_retraction, sweeps, value_of
from stigmem.core.errors import Rejection
from stigmem.core.fact import NO_PROVENANCE, Fact, Slot
from stigmem.core.records import RevocationRow, TombstoneRow
from stigmem.core.resolution import Resolution, conflict_id, read_resolution
from stigmem.core.sorted_facts import SortedFacts
from stigmem.core.tombstone import Tombstone
from stigmem.core.uris import normalise, normalise_filter

__all__ = [
    "ERASED", "Erasures", "HuskNote", "author_digest", "effective_slot", "forget_names", "husk_note", "husk_of",
    "is_husk", "names_of", "resolution_of_husk", "shown_husk", "slot_digest", "value_digest", "without_husks",
    "word_of_husk",
]  # fmt: skip

ERASED: Final = "erased"
"""Why a husk is held back."""
_KIND: Final = "husk"
"""The type of a husk's value, which is none of those of facts. A husk that stands as a word about a known value has
that value, and this as what it shall be read as."""
_DIGEST_CHARS: Final = 32
_OVER: Final = "1970-01-01T00:00:00Z"
"""The expiry of a husk that was an assertion: it has ended what it ended, and stands for nothing."""


class HuskNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a husk knows of the effects of its fact; empty for facts that had none. `settles`: of a resolution, which
    conflict, winner, covered facts and superseded resolutions it names: ids. `about`: of a retraction, the value that
    it names, hashed as a claim of that value is; `sweeps`: whether it is about all values."""

    slot: str = ""
    author: str = ""
    claim: str = ""
    about: str = ""
    sweeps: bool = False
    operator: bool = False
    settles: tuple[str, str, tuple[str, ...], tuple[str, ...]] | None = None


_note_decoder: Final = msgspec.json.Decoder(HuskNote)


class Erasures:
    """Every tombstone that a node knows, and what they cover. Only the state of the node changes it."""

    def __init__(self) -> None:
        self.rows: list[TombstoneRow | RevocationRow] = []
        """In the order of arrival, each once: what peers are told."""
        self.tombstones: dict[str, TombstoneRow] = {}
        self.revocations: dict[str, RevocationRow] = {}
        """By the id of what they revoke."""
        self._of_entity: dict[str, list[str]] = {}
        """Normalised entity -> ids of its tombstones that are not revoked."""
        self.husk_key = b""
        """Key of the hashes in husks; empty as long as there is no tombstone. That of the first one is that of all."""

    def __bool__(self) -> bool:
        """Whether anything is covered."""
        return bool(self._of_entity)

    def apply_tombstone(self, row: TombstoneRow) -> bool:
        """A tombstone came, or what is known of one has changed; whether it is new and counts."""
        tombstone = row.tombstone
        is_new = tombstone.id not in self.tombstones
        self.tombstones[tombstone.id] = row
        if not is_new:
            return False
        self.rows.append(row)
        self.husk_key = self.husk_key or bytes.fromhex(row.husk_key)
        if tombstone.id in self.revocations:
            return False
        self._of_entity.setdefault(normalise_filter(tombstone.entity_uri), []).append(tombstone.id)
        return True

    def apply_revocation(self, row: RevocationRow) -> TombstoneRow | None:
        """A revocation came; the tombstone that it takes back, unless it was taken back already."""
        name = row.revocation.tombstone_id
        if name in self.revocations:
            return None
        self.revocations[name] = row
        self.rows.append(row)
        held = self.tombstones.get(name)
        if held is not None:
            entity = normalise_filter(held.tombstone.entity_uri)
            self._of_entity[entity].remove(name)
            if not self._of_entity[entity]:
                del self._of_entity[entity]
        return held

    def of_entity(self, entity_uri: str) -> list[TombstoneRow]:
        """The tombstones of an entity that are not revoked, oldest first."""
        return [self.tombstones[name] for name in self._of_entity.get(normalise_filter(entity_uri), ())]

    def unfinished(self) -> list[TombstoneRow]:
        """Tombstones whose facts are not all erased from the journal yet."""
        rows = self.tombstones.values()
        return [r for r in rows if not (r.finished_us or r.tombstone.legal_hold or r.tombstone.id in self.revocations)]

    def covering(self, fact: Fact) -> Tombstone | None:
        """A tombstone that covers the fact, or None; one without a legal hold first."""
        if not self._of_entity:
            return None
        found: Tombstone | None = None
        for name in names_of(fact):
            for tombstone_id in self._of_entity.get(name, ()):
                tombstone = self.tombstones[tombstone_id].tombstone
                if tombstone.covers_scope(fact.scope) and (found is None or found.legal_hold):
                    found = tombstone
        return found


def names_of(fact: Fact) -> Iterator[str]:
    """The names by which a tombstone covers a fact."""
    yield fact.entity
    yield fact.source
    if fact.kind == "ref":
        yield normalise_filter(fact.text)
    resolution = _resolution(fact)
    if resolution is not None:
        yield resolution.slot[0]


def _resolution(fact: Fact) -> Resolution | None:
    try:
        return read_resolution(fact) if fact.derived_from else None
    except Rejection:
        return None  # of no effect, so it is about nothing


def effective_slot(fact: Fact) -> Slot | None:
    """The slot in which a fact has effects, or None."""
    if fact.quarantine is not None:
        return None
    resolution = _resolution(fact)
    if resolution is not None:
        return resolution.slot
    return None if fact.is_system else fact.slot


def forget_names() -> None:
    """Empty what keeps results by names, so that those of erased entities are not kept in memory either."""
    conflict_id.cache_clear()
    normalise.cache_clear()


# --- husks ---


def is_husk(fact: Fact) -> bool:
    """Whether this is what is left of a fact that was erased."""
    return fact.kind == _KIND or fact.interpret_as == _KIND


def without_husks(facts: SortedFacts) -> SortedFacts:
    """The run without what is left of erased facts: for who reads what was said."""
    return [fact for fact in facts if not is_husk(fact)] if any(map(is_husk, facts)) else facts


def shown_husk(fact: Fact) -> Fact:
    """A fact as a conflict lists it: of a husk that still denies something, nothing but that."""
    if not is_husk(fact):
        return fact
    return msgspec.structs.replace(fact, kind="null", text="null", interpret_as="content", source="erased:")


def _digest(key: bytes, *parts: str) -> str:
    return hmac.new(key, compact(list(parts)), hashlib.sha256).hexdigest()[:_DIGEST_CHARS]


def slot_digest(key: bytes, slot: Slot) -> str:
    """The keyed hash of a slot."""
    return _digest(key, "slot", *slot)


def value_digest(key: bytes, word: Fact) -> str:
    """The keyed hash of the value that a word names."""
    return _digest(key, "claim", *value_of(word))


def author_digest(key: bytes, source: str, origin: str) -> str:
    """The keyed hash of an author."""
    return _digest(key, "author", source, origin)


def husk_of(fact: Fact, key: bytes) -> Fact:
    """What stays of a fact."""
    resolution = _resolution(fact)
    if fact.quarantine is not None or (fact.is_system and resolution is None):
        note = HuskNote()  # it had no effect on others
    elif resolution is not None:
        settles = (resolution.resolves, resolution.winner, resolution.covers, resolution.supersedes)
        note = HuskNote(slot=slot_digest(key, resolution.slot), settles=settles)
    else:
        note = HuskNote(
            slot=slot_digest(key, fact.slot),
            author=author_digest(key, *author_of(fact)),
            claim=_digest(key, "claim", *claim(fact)),
            about=value_digest(key, fact) if fact.is_retraction else "",
            sweeps=sweeps(fact),
            operator=is_operators_retraction(fact),
        )
    return Fact(
        stamp=fact.stamp,
        origin=fact.origin,
        id=fact.id,
        entity="",
        relation="",
        scope=fact.scope,
        source="",
        kind=_KIND,
        text="",
        interpret_as="content",
        confidence=0.0 if fact.is_retraction else 1.0,
        timestamp_us=0,
        valid_until=None,
        derived_from=msgspec.json.encode(note).decode(),
        seq=fact.seq,
        received_from=fact.received_from,
        certified=fact.certified,
        quarantine=ERASED,
    )


def husk_note(husk: Fact) -> HuskNote:
    """What a husk knows of the effects of its fact."""
    return _note_decoder.decode(husk.derived_from)


def word_of_husk(husk: Fact, slot: Slot, source: str | None, value: Fact | None = None) -> Fact:
    """The husk as a word of its slot. `source`: who said it, where another word of the slot tells; else nobody that
    anybody can name. `value`: a word of the slot that names the same value, if there is one; else it is about a value
    that nobody else has."""
    note = husk_note(husk)
    over = None if husk.is_retraction else _OVER
    stands_for: dict[str, Any] = {"valid_until": over, "text": note.about or note.claim}
    if note.sweeps:
        stands_for |= {"kind": "null", "text": "null", "interpret_as": _KIND}
    elif value is not None:
        stands_for |= {"kind": value.kind, "text": value.text, "interpret_as": _KIND}
    said_by = husk.origin if note.operator else source or f"erased:{note.author}"
    return msgspec.structs.replace(
        husk, entity=slot[0], relation=slot[1], scope=slot[2], source=said_by, derived_from=NO_PROVENANCE,
        quarantine=None, **stands_for,
    )  # fmt: skip


def resolution_of_husk(husk: Fact, slot: Slot) -> Resolution | None:
    """The husk as a resolution of its slot, or None when it was none."""
    note = husk_note(husk)
    if note.settles is None:
        return None
    resolves, winner, covers, supersedes = note.settles
    return Resolution(
        fact=husk, resolves=resolves, slot=slot, covers=covers, winner=winner, supersedes=supersedes, note=""
    )
