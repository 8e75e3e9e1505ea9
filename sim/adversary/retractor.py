"""Retractor: retractions and resolutions against what other organisations know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from sim.adversary.author import Entry
from sim.adversary.base import Adversary
from stigmem.core.fact import Fact
from stigmem.core.resolution import conflict_id, provenance
from stigmem.core.uris import RESOLUTION_PREFIX

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript
    from stigmem.core.ledger import Ledger

__all__ = ["RETRACTIONS", "Retraction", "Retractor"]

Retraction = Literal["deny", "forge-source", "resolve", "ghost", "foreign-name"]
RETRACTIONS: Final[tuple[Retraction, ...]] = ("deny", "forge-source", "resolve", "ghost", "foreign-name")


class Retractor(Adversary, tag="retractor"):
    """Against each fact one of `ways` (default: all in turn): a retraction of its own, one under the source of the
    fact, a resolution for a value of its own, one for a winner that does not exist, one under the name of another
    conflict. All are well-formed and kept; none may make what others said disappear without a trace."""

    ways: list[Retraction] | None = None

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        ledger = peer.ledger(victim)
        used: dict[str, None] = peer.notes.setdefault(f"used against {victim}", {})
        if ledger is None:
            return []
        targets = [
            fact
            for fact in ledger.log[-200:]
            if fact.scope == "public"
            and fact.origin in peer.simulation.name_of_node
            and ledger.live(fact)
            and fact.id not in used
        ]
        found: list[Fact] = []
        for target in targets[-3:]:
            used[target.id] = None
            ways = self.ways or RETRACTIONS
            found += self._against(peer, ledger, target, ways[(len(used) - 1) % len(ways)])
        strict = peer.simulation.scenario.federation.owned_sources_only
        for fact in found:
            peer.expect(victim, fact.id, *(("source_not_owned",) if strict and fact.source != peer.node_id else ()))
        return [peer.entry(fact) for fact in found]

    def _against(self, peer: PeerScript, ledger: Ledger, target: Fact, way: Retraction) -> list[Fact]:
        entity, relation, _ = target.slot
        match way:
            case "deny":
                return [peer.fact(entity, relation, target.text, confidence=0.0)]
            case "forge-source":
                return [peer.fact(entity, relation, target.text, confidence=0.0, source=target.source)]
            case "resolve":
                own = peer.fact(entity, relation, f"the truth of {peer.name}")
                return [own, self._resolution(peer, target, own.id, conflict_id(target.slot))]
            case "ghost":
                return [self._resolution(peer, target, peer.uuid(), conflict_id(target.slot))]
            case "foreign-name":
                own = peer.fact(entity, relation, f"the truth of {peer.name}")
                other = next((key for key in ledger.contested if key != target.slot), (entity, "sim:other", "public"))
                return [own, self._resolution(peer, target, own.id, conflict_id(other))]

    def _resolution(self, peer: PeerScript, target: Fact, winner: str, name: str) -> Fact:
        text = provenance(name, target.slot, (winner, target.id), winner, (), "settled by force")
        return peer.fact(RESOLUTION_PREFIX + name, target.relation, "settled", derived_from=text)
