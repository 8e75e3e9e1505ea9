"""Forger: serves facts whose source it is not: the victim itself, its system, its users, other organisations (S-24)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.adversary.author import Entry
from sim.adversary.base import Adversary

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Forger"]

_ENTITY = "stigmem://sim.example/reputation"


class Forger(Adversary, tag="forger"):
    """Sources that only the victim can own are refused; a stranger's is kept, as one that its origin does not
    own, unless the federation wants `owned_sources_only`. `others`: also the node ids of other honest nodes."""

    stranger: str = "agent:alice"
    others: bool = True

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        node = peer.simulation.machines[victim].node
        if node is None:
            return []
        registered = [row.entity_uri for row in node.state.keys.values()]
        found = [
            self._forged(peer, victim, source, "source_not_owned")
            for source in (node.node_id, "system:stigmem", "system:operator", *registered)
        ]
        strict = ("source_not_owned",) if node.settings.owned_sources_only else ()
        return [*found, self._forged(peer, victim, self.stranger, *strict), *self._of_others(peer, victim)]

    def _forged(self, peer: PeerScript, victim: str, source: str, *codes: str) -> Entry:
        fact = peer.fact(_ENTITY, "sim:claims", f"{source} says {peer.served}", source=source)
        peer.expect(victim, fact.id, *codes)
        return peer.entry(fact)

    def _of_others(self, peer: PeerScript, victim: str) -> list[Entry]:
        # Whether a node can tell that this source is somebody else's depends on whom it knows: nothing is owed.
        names = [name for name in peer.simulation.plan.nodes if name != victim] if self.others else []
        nodes = [node for name in names if (node := peer.simulation.machines[name].node) is not None]
        return [
            peer.entry(peer.fact(_ENTITY, "sim:claims", f"{node.node_id} says {peer.served}", source=node.node_id))
            for node in nodes[:3]
        ]
