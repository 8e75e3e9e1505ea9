"""Id-thief: uses the ids of other nodes' facts for facts of its own, also before those arrive (S-30, S-31)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.adversary.author import Entry
from sim.adversary.base import Adversary
from stigmem.core.fact import Fact

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["IdThief"]

_ENTITY: Final = "stigmem://sim.example/stolen"
_LOOK_BACK: Final = 50


class IdThief(Adversary, tag="id-thief"):
    """`steal`: ids of what the victim wrote itself. `preclaim`: ids of what other nodes wrote and the victim is
    yet to receive: refused from a peer whose ids commit to their content (dialect 2.1+); from others both facts then
    stand under one id, and the collision is reported."""

    steal: bool = True
    preclaim: bool = True

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        used: dict[str, None] = peer.notes.setdefault(f"used against {victim}", {})
        chosen = [
            *(self._own(peer, victim) if self.steal else []),
            *(self._coming(peer, victim) if self.preclaim else []),
        ]
        fresh = [fact for fact in chosen if fact.id not in used]
        used.update(dict.fromkeys(fact.id for fact in fresh))
        return [self._with_id(peer, victim, fact.id) for fact in fresh]

    def _with_id(self, peer: PeerScript, victim: str, fact_id: str) -> Entry:
        peer.expect(victim, fact_id, "id_collision", *(("origin_stamp_unproven",) if self.dialect == "2.1+" else ()))
        return peer.entry(peer.fact(_ENTITY, "sim:claims", f"mine is {fact_id}", id=fact_id))

    def _own(self, peer: PeerScript, victim: str) -> list[Fact]:
        ledger = peer.ledger(victim)
        recent = ledger.log[-_LOOK_BACK:] if ledger is not None else []
        return [fact for fact in recent if fact.received_from is None][-2:]

    def _coming(self, peer: PeerScript, victim: str) -> list[Fact]:
        here = peer.ledger(victim)
        others = [
            ledger
            for name in peer.simulation.plan.nodes
            if name != victim and (ledger := peer.ledger(name)) is not None
        ]
        recent = [fact for ledger in others for fact in ledger.log[-_LOOK_BACK:] if fact.received_from is None]
        return [
            fact
            for fact in recent
            if here is not None and fact.scope == "public" and here.held(fact.origin, fact.id) is None
        ][:2]
