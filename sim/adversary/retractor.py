"""Retractor: retractions and resolutions against what other organisations know.

All of them are well-formed facts of the retractor's own, and are kept. None may make what others said disappear: a
retraction binds its author alone, a denial stands beside what it denies as a conflict, and a resolution by somebody
else leaves what it decided against readable. There is no S-number: section 3.7 of the contract and rule 2 of the design
(an author does not contradict itself, and nobody else speaks for it) say what is judged, by `no-silent-erasure`.
"""

from __future__ import annotations

from typing import Final, Literal

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.observation.node_view import LedgerReader
from sim.ports import PageEntry, PeerEnv
from stigmem.core.fact import Fact
from stigmem.core.resolution import conflict_id, provenance
from stigmem.core.uris import RESOLUTION_PREFIX

__all__ = ["RETRACTIONS", "Retraction", "Retractor"]

Retraction = Literal["deny", "forge-source", "resolve", "ghost", "foreign-name"]
RETRACTIONS: Final[tuple[Retraction, ...]] = ("deny", "forge-source", "resolve", "ghost", "foreign-name")
_LOOK_BACK: Final = 200
_TARGETS: Final = 3
"""Facts of others that a batch is about."""


class _Used(dict[str, None]):
    """Facts of others that a victim was told something against already."""


@kind("retractor")
class Retractor(Adversary):
    """Against each fact one of `ways` (default: all in turn): a retraction of its own, one under the source of the
    fact, a resolution for a value of its own, one for a winner that does not exist, one under the name of another
    conflict. All are well-formed and kept; none may make what others said disappear without a trace."""

    ways: list[Retraction] | None = None
    """The ways it uses in turn; left out, all of them."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        used, node = peer.memory(_Used, victim), peer.truth(victim)
        if node is None:
            return []
        ledger = node.ledger
        targets = [
            fact
            for fact in ledger.log[-_LOOK_BACK:]
            if fact.scope == "public" and fact.origin in peer.names and ledger.live(fact) and fact.id not in used
        ]
        found: list[Fact] = []
        for target in targets[-_TARGETS:]:
            used[target.id] = None
            ways = self.ways or RETRACTIONS
            found += self._against(peer, ledger, target, ways[(len(used) - 1) % len(ways)])
        strict = node.settings.owned_sources_only
        for fact in found:
            peer.expect(victim, fact.id, *(("source_not_owned",) if strict and fact.source != peer.node_id else ()))
        return [peer.entry(fact) for fact in found]

    def _against(self, peer: PeerEnv, ledger: LedgerReader, target: Fact, way: Retraction) -> list[Fact]:
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

    def _resolution(self, peer: PeerEnv, target: Fact, winner: str, name: str) -> Fact:
        text = provenance(name, target.slot, (winner, target.id), winner, (), "settled by force")
        return peer.fact(RESOLUTION_PREFIX + name, target.relation, "settled", derived_from=text)
