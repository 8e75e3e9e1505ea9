"""Withholder: tells some victims and leaves others with empty pages.

No page can prove that it is whole, so a starved victim has nobody to accuse. What must hold is G7: a public fact that
one node took is passed on, so that the starved learn it from the fed, and list the same conflicts. And G5: they read
the withholder in their usual rhythm, and everybody else too. There is no S-number for it; S-41 is the nearest, the
same mesh without malice.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from sim.adversary.base import Adversary
from sim.diagnostics.errors import Misfit
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from sim.topology.federation import Federation
from stigmem.core.wire import Request, Response

__all__ = ["Withholder"]

_ENTITY: Final = "stigmem://sim.example/rumour"


@kind("withholder")
class Withholder(Adversary):
    """Victims that are `starved` (default: all but the first) get empty pages. The others get in every batch `facts`
    that contradict what honest nodes said."""

    starved: list[str] | None = None
    """Victims that are told nothing; left out, all but the first."""
    facts: Annotated[int, Meta(ge=1, le=100)] = 3
    """Contradictions in each batch for the others."""

    def check(self, federation: Federation) -> None:
        super().check(federation)
        victims = self.peers or list(federation.nodes[:1])
        for name in self.starved or []:
            if name not in victims:
                raise Misfit("starved", f"{name!r} is no victim; name it in peers as well", given=name)

    def _starves(self, peer: PeerEnv, victim: str) -> bool:
        return victim in (peer.victims[1:] if self.starved is None else self.starved)

    def answer(self, peer: PeerEnv, victim: str, request: Request) -> Response | None:
        return peer.page(victim, []) if self._starves(peer, victim) else super().answer(peer, victim, request)

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        node = peer.truth(victim)
        log = [] if node is None else node.ledger.log
        said = [fact for fact in log if fact.scope == "public" and fact.origin in peer.names and not fact.is_system]
        slots = [(fact.entity, fact.relation) for fact in said[-self.facts :]] or [(_ENTITY, "sim:claims")]
        facts = [
            peer.fact(entity, relation, f"not so, says {peer.name} {peer.served}", scope="public")
            for entity, relation in slots
        ]
        if "public" in peer.scopes:
            for fact in facts:
                peer.expect(victim, fact.id)
        return [peer.entry(fact) for fact in facts]
