"""Forger: serves facts whose source it is not: the victim itself, its system, its users, other organisations (S-24).

A victim refuses with `source_not_owned` every source that only it can own: its node id, `system:...`, and the entities
of its own API keys. A stranger's source is kept as one that its origin does not own, since a pulled page may well carry
facts about people whom the victim does not know; a federation with `owned_sources_only` refuses those as well.
"""

from __future__ import annotations

from typing import Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv

__all__ = ["Forger"]

_ENTITY: Final = "stigmem://sim.example/reputation"
_OTHERS_MAX: Final = 3


@kind("forger")
class Forger(Adversary):
    """Sources that only the victim can own are refused; a stranger's is kept, as one that its origin does not
    own, unless the federation wants `owned_sources_only`. `others`: also the node ids of other honest nodes."""

    stranger: str = "agent:alice"
    """A source that belongs to nobody here."""
    others: bool = True
    """Whether it also writes under the node ids of other honest nodes."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        node = peer.truth(victim)
        if node is None:
            return []
        found = [
            self._forged(peer, victim, source, "source_not_owned")
            for source in (node.node_id, "system:stigmem", "system:operator", *node.key_holders)
        ]
        strict = ("source_not_owned",) if node.settings.owned_sources_only else ()
        return [*found, self._forged(peer, victim, self.stranger, *strict), *self._of_others(peer, victim)]

    def _forged(self, peer: PeerEnv, victim: str, source: str, *codes: str) -> PageEntry:
        fact = peer.fact(_ENTITY, "sim:claims", f"{source} says {peer.served}", source=source)
        peer.expect(victim, fact.id, *codes)
        return peer.entry(fact)

    def _of_others(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        # Whether a node can tell that this source is somebody else's depends on whom it knows: nothing is announced.
        names = [name for name in peer.federation.nodes if name != victim] if self.others else []
        nodes = [node for name in names if (node := peer.truth(name)) is not None]
        return [
            peer.entry(peer.fact(_ENTITY, "sim:claims", f"{node.node_id} says {peer.served}", source=node.node_id))
            for node in nodes[:_OTHERS_MAX]
        ]
