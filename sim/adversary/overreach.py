"""Overreach: serves facts in scopes that its link does not grant, and in reserved names (S-22, S-23, S-25).

A victim refuses them with `scope_violation`, `invalid_scope` and `reserved_namespace`, and keeps what stands beside
them on the page. In reserved names lies what nodes say about facts themselves, such as the status of a conflict or the
life of another's fact: who could write there by being pulled would speak for the victim.
"""

from __future__ import annotations

from typing import Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv

__all__ = ["Overreach"]

_HIDDEN: Final = "stigmem://sim.example/secret"


@kind("overreach")
class Overreach(Adversary):
    """One fact in every scope that is not shared, one in a scope that does not exist, four in reserved names."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        return [*self._scopes(peer, victim), *self._names(peer, victim)]

    def _scopes(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        found: list[PageEntry] = []
        for scope in ("local", "team", "company", "public"):
            may_not = scope == "local" or (scope == "team" and not peer.federation.allow_team)
            if scope not in peer.scopes or may_not:
                fact = peer.fact(_HIDDEN, "sim:claims", f"{scope} {peer.served}", scope=scope)
                peer.expect(victim, fact.id, "scope_violation")
                found.append(peer.entry(fact))
        odd = peer.fact(_HIDDEN, "sim:claims", f"odd {peer.served}", scope="banana")
        peer.expect(victim, odd.id, "invalid_scope", "malformed_fact")
        return [*found, peer.entry(odd)]

    def _names(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        names = [
            ("stigmem:conflict:x", "stigmem:conflict:status"),
            (_HIDDEN, "stigmem:received_from"),
            ("stigmem:anything", "sim:claims"),
        ]
        node = peer.truth(victim)
        if node is not None and node.ledger.log:
            names.append((node.ledger.log[-1].id, "stigmem:ttl"))
        found: list[PageEntry] = []
        for entity, relation in names:
            fact = peer.fact(entity, relation, f"resolved {peer.served}")
            peer.expect(victim, fact.id, "reserved_namespace")
            found.append(peer.entry(fact))
        return found
