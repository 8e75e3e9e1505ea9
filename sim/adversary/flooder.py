"""Flooder: thousands of contradicting facts, retractions and resolutions about one thing (S-40)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from sim.adversary.author import Entry
from sim.adversary.base import Adversary
from stigmem.core.fact import Fact
from stigmem.core.resolution import conflict_id, provenance
from stigmem.core.uris import RESOLUTION_PREFIX

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Flooder"]

_ENTITY: Final = "stigmem://sim.example/flood"
_RETRACTION_EACH: Final = 10
_RESOLUTION_EACH: Final = 50


class Flooder(Adversary, tag="flooder"):
    """One batch of `facts` on a slot that the victim knows; afterwards only good facts."""

    facts: Annotated[int, Meta(ge=1, le=100_000)] = 2_000

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        ledger = peer.ledger(victim)
        if f"flooded {victim}" in peer.notes or ledger is None:
            return []
        known = next((fact for fact in ledger.log if fact.scope == "public" and not fact.is_system), None)
        entity, relation = (_ENTITY, "sim:claims") if known is None else (known.entity, known.relation)
        peer.notes[f"flooded {victim}"] = (entity, relation, "public")
        facts: list[Fact] = []
        for number in range(self.facts):
            if number % _RESOLUTION_EACH == _RESOLUTION_EACH - 1:
                facts.append(self._resolution(peer, entity, relation, facts[-5:]))
            else:
                # Its own retractions end what it said before: they come first, so that the flood stands.
                confidence = 0.0 if number % _RETRACTION_EACH == 0 and number < self.facts // 5 else 1.0
                facts.append(peer.fact(entity, relation, f"flood {number}", confidence=confidence))
        for fact in facts:
            peer.expect(victim, fact.id)
        return [peer.entry(fact) for fact in facts]

    def _resolution(self, peer: PeerScript, entity: str, relation: str, covered: list[Fact]) -> Fact:
        """A resolution of its own contradictions: well-formed, and of no use to anybody."""
        slot = (entity, relation, "public")
        name = conflict_id(slot)
        text = provenance(name, slot, tuple(fact.id for fact in covered), covered[0].id, (), "flood")
        return peer.fact(RESOLUTION_PREFIX + name, relation, covered[0].text, derived_from=text)
