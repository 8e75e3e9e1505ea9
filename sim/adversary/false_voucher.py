"""False voucher: claims to know the key of another node, and speaks for it under a key of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.adversary.author import Entry
from sim.adversary.base import Adversary
from stigmem.core.wire import Response, json_response

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["FalseVoucher"]

_ENTITY = "stigmem://sim.example/vouched"


class FalseVoucher(Adversary, tag="false-voucher"):
    """Serves facts in the name of `origin`, a node of the federation, and a manifest of its own key for it. Who is
    pinned or carries its key in its id is safe; of others the first key that was vouched for stands."""

    origin: str

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        node = peer.simulation.machines[self.origin].node
        if node is None:
            return []
        return [peer.entry(peer.fact(_ENTITY, "sim:claims", f"{self.origin} says {peer.served}", origin=node.node_id))]

    def vouch(self, peer: PeerScript, victim: str, origin: str) -> Response | None:
        return json_response(200, peer.manifest(peer.url, origin))
