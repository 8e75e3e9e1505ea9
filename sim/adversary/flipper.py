"""Flipper: serves a fact and afterwards another one under the same id (S-39).

A fact is immutable. What the victim holds keeps its first content, and each change is refused with `id_collision` and
audited once, also when the second one is in another scope.
"""

from __future__ import annotations

from typing import Any, Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.fact import Fact

__all__ = ["Flipper"]

_ENTITY: Final = "stigmem://sim.example/promise"


class _Shown(list[Fact]):
    """Promises that a victim was served last."""


@kind("flipper")
class Flipper(Adversary):
    """What the victim holds keeps its first content; each change is refused and audited once."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        shown, node = peer.memory(_Shown, victim), peer.truth(victim)
        found: list[PageEntry] = []
        for fact in shown:
            if node is not None and node.ledger.held(fact.origin, fact.id) is not None:
                peer.expect(victim, fact.id, "id_collision")
                changes: dict[str, Any] = {"scope": "company"} if "company" in peer.scopes and len(found) % 2 else {}
                found.append(peer.entry(peer.fact(_ENTITY, fact.relation, "never said that", id=fact.id, **changes)))
        shown[:] = [peer.fact(_ENTITY, "sim:claims", f"promise {n} {peer.served}") for n in range(2)]
        for fact in shown:
            peer.expect(victim, fact.id)
        return [*found, *(peer.entry(fact) for fact in shown)]
