"""Overreach: serves facts in scopes the link does not grant, and in reserved names (S-22, S-23, S-25)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.adversary.author import Entry
from sim.adversary.base import Adversary

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Overreach"]

_HIDDEN = "stigmem://sim.example/secret"


class Overreach(Adversary, tag="overreach"):
    """One fact in every scope that is not shared, one in a scope that does not exist, four in reserved names."""

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        return [*self._scopes(peer, victim), *self._names(peer, victim)]

    def _scopes(self, peer: PeerScript, victim: str) -> list[Entry]:
        found: list[Entry] = []
        for scope in ("local", "team", "company", "public"):
            if scope not in peer.scopes or scope == "local" or (scope == "team" and not _allows_team(peer)):
                fact = peer.fact(_HIDDEN, "sim:claims", f"{scope} {peer.served}", scope=scope)
                peer.expect(victim, fact.id, "scope_violation")
                found.append(peer.entry(fact))
        odd = peer.fact(_HIDDEN, "sim:claims", f"odd {peer.served}", scope="banana")
        peer.expect(victim, odd.id, "invalid_scope", "malformed_fact")
        return [*found, peer.entry(odd)]

    def _names(self, peer: PeerScript, victim: str) -> list[Entry]:
        names = [
            ("stigmem:conflict:x", "stigmem:conflict:status"),
            (_HIDDEN, "stigmem:received_from"),
            ("stigmem:anything", "sim:claims"),
        ]
        ledger = peer.ledger(victim)
        if ledger is not None and ledger.log:
            names.append((ledger.log[-1].id, "stigmem:ttl"))
        found: list[Entry] = []
        for entity, relation in names:
            fact = peer.fact(entity, relation, f"resolved {peer.served}")
            peer.expect(victim, fact.id, "reserved_namespace")
            found.append(peer.entry(fact))
        return found


def _allows_team(peer: PeerScript) -> bool:
    return peer.simulation.scenario.federation.allow_team
