"""Id-thief: uses the ids of other nodes' facts for facts of its own, also before those arrive (S-30, S-31).

An id that the victim's own fact has is refused with `id_collision`, and the fact stays as it is. An id whose owner has
not arrived yet is refused where ids commit to their content (dialect 2.1+, `origin_stamp_unproven`). From others it is
taken, and when the owner's fact comes both stand under one id, the collision is audited, and whoever asks for the id
gets the owner's: no first writer wins.
"""

from __future__ import annotations

from typing import Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.fact import Fact

__all__ = ["IdThief"]

_ENTITY: Final = "stigmem://sim.example/stolen"
_LOOK_BACK: Final = 50


class _Used(dict[str, None]):
    """Ids that were stolen from a victim already."""


@kind("id-thief")
class IdThief(Adversary):
    """`steal`: ids of what the victim wrote itself. `preclaim`: ids of what other nodes wrote and the victim is
    yet to receive: refused from a peer whose ids commit to their content (dialect 2.1+); from others both facts then
    stand under one id, and the collision is reported."""

    steal: bool = True
    """Whether it uses ids of what the victim wrote itself."""
    preclaim: bool = True
    """Whether it uses ids of what other nodes wrote and the victim is yet to receive."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        used = peer.memory(_Used, victim)
        chosen = [
            *(self._own(peer, victim) if self.steal else []),
            *(self._coming(peer, victim) if self.preclaim else []),
        ]
        fresh = [fact for fact in chosen if fact.id not in used]
        used.update((fact.id, None) for fact in fresh)
        return [self._with_id(peer, victim, fact.id) for fact in fresh]

    def _with_id(self, peer: PeerEnv, victim: str, fact_id: str) -> PageEntry:
        peer.expect(victim, fact_id, "id_collision", *(("origin_stamp_unproven",) if self.dialect == "2.1+" else ()))
        return peer.entry(peer.fact(_ENTITY, "sim:claims", f"mine is {fact_id}", id=fact_id))

    def _own(self, peer: PeerEnv, victim: str) -> list[Fact]:
        return _written(peer, victim)[-2:]

    def _coming(self, peer: PeerEnv, victim: str) -> list[Fact]:
        here = peer.truth(victim)
        if here is None:
            return []
        others = [fact for name in peer.federation.nodes if name != victim for fact in _written(peer, name)]
        return [fact for fact in others if fact.scope == "public" and here.ledger.held(fact.origin, fact.id) is None][
            :2
        ]


def _written(peer: PeerEnv, name: str) -> list[Fact]:
    """What a node wrote itself, of the last facts that it holds."""
    node = peer.truth(name)
    recent = node.ledger.log[-_LOOK_BACK:] if node is not None else []
    return [fact for fact in recent if fact.received_from is None]
