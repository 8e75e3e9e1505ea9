"""Overreach: serves facts in scopes the link does not grant, and in reserved names (S-22, S-23, S-25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from sim.adversary.base import Adversary
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.adversary.peer import ScriptedPeer

__all__ = ["Overreach"]


class Overreach(Adversary, tag="overreach"):
    """Each page holds `good` honest facts and one bad fact of every kind below."""

    good: Annotated[int, Meta(ge=0)] = 1

    def answer(self, peer: ScriptedPeer, victim: str, request: Request) -> Response | None:
        number = peer.served
        entries = [
            peer.entry(peer.fact(f"stigmem://sim.example/honest/{n}", "sim:claims", f"{peer.name} {number}"))
            for n in range(self.good)
        ]
        ours = peer.lab.scenario.federation.scopes
        for scope in ("local", "team", "company"):
            if scope not in ours:
                fact = peer.fact("stigmem://sim.example/secret", "sim:claims", f"{scope} {number}", scope=scope)
                entries.append(peer.entry(fact))
                peer.owe(victim, fact.id, "scope_violation")
        odd = peer.fact("stigmem://sim.example/secret", "sim:claims", f"odd {number}", scope="banana")
        entries.append(peer.entry(odd))
        peer.owe(victim, odd.id, "invalid_scope", "malformed_fact", "scope_violation")
        for entity, relation in (("stigmem:conflict:x", "stigmem:conflict:status"), ("stigmem://sim.example/a", "stigmem:received_from")):
            reserved = peer.fact(entity, relation, f"resolved {number}")
            entries.append(peer.entry(reserved))
            peer.owe(victim, reserved.id, "reserved_namespace")
        return peer.page(entries, cursor=f"c{number}")
