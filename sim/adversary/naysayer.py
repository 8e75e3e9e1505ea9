"""Naysayer: contradicts whatever others say, so that nobody recalls it.

A fact that takes part in an open conflict has a tenth of its score in recall (http-api 6.4), and is left out of queries
that do not ask for contested facts. So a storm of contradictions is an attack on memory and not only on its order. All
of it is well formed and kept. What must hold: the contested facts are found and marked, behind what nobody contests; a
resolution brings them back; and each lie costs its author a fact.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv

__all__ = ["Naysayer"]

_LOOK_BACK: Final = 200


class _Contradicted(dict[str, None]):
    """Facts of others that a victim was told the opposite of."""


@kind("naysayer")
class Naysayer(Adversary):
    """In each batch it states another value for each of the newest `at_once` facts that others state in public. They
    are kept, and open a conflict each; nothing of what others said goes, nor is it settled."""

    at_once: Annotated[int, Meta(ge=1, le=100)] = 20
    """How many facts it contradicts in a batch."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        told, node = peer.memory(_Contradicted, victim), peer.truth(victim)
        if node is None:
            return []
        found: list[PageEntry] = []
        for fact in reversed(node.ledger.log[-_LOOK_BACK:]):
            stated = fact.scope == "public" and fact.origin in peer.names and not fact.is_system
            if not stated or fact.id in told or not node.ledger.live(fact):
                continue
            told[fact.id] = None
            lie = peer.fact(fact.entity, fact.relation, f"it is not so, says {peer.name} for the {len(told)}. time")
            peer.expect(victim, lie.id)
            found.append(peer.entry(lie))
            if len(found) == self.at_once:
                break
        return found
