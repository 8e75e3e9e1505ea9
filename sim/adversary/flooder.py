"""Flooder: thousands of contradicting facts, retractions and resolutions about one thing (S-40).

All of them are well-formed and kept. A node lists one conflict for the slot, whatever the number of its members, and
its bookkeeping grows with their number and not with its square; nobody else's facts come later for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.observation.node_view import SlotKey
from sim.ports import PageEntry, PeerEnv
from stigmem.core.fact import Fact
from stigmem.core.resolution import conflict_id, provenance
from stigmem.core.uris import RESOLUTION_PREFIX

__all__ = ["Flood", "Flooder"]

_ENTITY: Final = "stigmem://sim.example/flood"
_RETRACTION_EACH: Final = 10
_RESOLUTION_EACH: Final = 50


@dataclass
class Flood:
    """Where the flood of a victim stands; None before it."""

    slot: SlotKey | None = None


@kind("flooder")
class Flooder(Adversary):
    """One batch of `facts` on a slot that the victim knows; afterwards only good facts."""

    facts: Annotated[int, Meta(ge=1, le=100_000)] = 2_000
    """Facts in the one batch."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        flood, node = peer.memory(Flood, victim), peer.truth(victim)
        if flood.slot is not None or node is None:
            return []
        known = next((fact for fact in node.ledger.log if fact.scope == "public" and not fact.is_system), None)
        entity, relation = (_ENTITY, "sim:claims") if known is None else (known.entity, known.relation)
        flood.slot = (entity, relation, "public")
        facts: list[Fact] = []
        for number in range(self.facts):
            if number % _RESOLUTION_EACH == _RESOLUTION_EACH - 1:
                facts.append(self._resolution(peer, entity, relation, facts[-5:]))
            else:
                # Each under a source of its own: of one author only the last word stands.
                confidence = 0.0 if number % _RETRACTION_EACH == 0 else 1.0
                source = f"{peer.node_id}/{number}"
                facts.append(peer.fact(entity, relation, f"flood {number}", confidence=confidence, source=source))
        for fact in facts:
            peer.expect(victim, fact.id)
        return [peer.entry(fact) for fact in facts]

    def _resolution(self, peer: PeerEnv, entity: str, relation: str, covered: list[Fact]) -> Fact:
        """A resolution of its own contradictions: well-formed, and of no use to anybody."""
        slot = (entity, relation, "public")
        name = conflict_id(slot)
        text = provenance(name, slot, tuple(fact.id for fact in covered), covered[0].id, (), "flood")
        return peer.fact(RESOLUTION_PREFIX + name, relation, covered[0].text, derived_from=text)
