"""Flipper: serves a fact and later another one under the same id (S-39)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.adversary.author import Entry
from sim.adversary.base import Adversary
from stigmem.core.fact import Fact

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Flipper"]

_ENTITY: Final = "stigmem://sim.example/promise"


class Flipper(Adversary, tag="flipper"):
    """What the victim holds keeps its first content; each change is refused and audited once."""

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        shown: list[Fact] = peer.notes.setdefault(f"shown to {victim}", [])
        ledger = peer.ledger(victim)
        found: list[Entry] = []
        for fact in shown:
            if ledger is not None and ledger.held(fact.origin, fact.id) is not None:
                peer.expect(victim, fact.id, "id_collision")
                changes: dict[str, Any] = {"scope": "company"} if "company" in peer.scopes and len(found) % 2 else {}
                found.append(peer.entry(peer.fact(_ENTITY, fact.relation, "never said that", id=fact.id, **changes)))
        shown[:] = [peer.fact(_ENTITY, "sim:claims", f"promise {n} {peer.served}") for n in range(2)]
        for fact in shown:
            peer.expect(victim, fact.id)
        return [*found, *(peer.entry(fact) for fact in shown)]
