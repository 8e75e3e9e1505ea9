"""Forger: serves facts whose source it is not: the victim itself, its system, its users, other organisations (S-24).

A victim refuses with `source_not_owned` its own node id and `system:...`. Every other name is kept, as one that its
origin does not own: also a stranger's, and that of a caller of the victim, since a source at another node is another
author, which ends nothing that the caller said. A federation with `owned_sources_only` refuses those as well.
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
    """The victim's own node id and its system are refused; the names of its callers and of strangers are kept, as those
    of other authors, unless the federation wants `owned_sources_only`. `others`: also the node ids of other honest
    nodes."""

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
            for source in (node.node_id, "system:stigmem", "system:operator")
        ]
        strict = ("source_not_owned",) if node.settings.owned_sources_only else ()
        found += [self._forged(peer, victim, source, *strict) for source in (*node.key_holders, self.stranger)]
        return [*found, *self._of_others(peer, victim)]

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
