"""False voucher: claims to know the key of another node, and speaks for it under a key of its own.

It serves facts whose origin is an honest node, and when the victim asks for that node's manifest it answers with one
that its own key has signed. A victim that knows the origin's key (it is a peer, its key was pinned, or the node id is
made of the key) refuses both. Where keys are taken from whoever vouches first (`origin_keys = "vouched"`), the first
one stands and a second one is told as `origin_key_conflict`. There is no S-number: section 1.4 of the contract leaves
this to the receiver.
"""

from __future__ import annotations

from typing import Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.wire import Response, json_response

__all__ = ["FalseVoucher"]

_ENTITY: Final = "stigmem://sim.example/vouched"


@kind("false-voucher")
class FalseVoucher(Adversary):
    """Serves facts in the name of `origin`, a node of the federation, and a manifest of its own key for it. Who is
    pinned or carries its key in its id is safe; of others the first key that was vouched for stands."""

    origin: str
    """The node of the federation in whose name it speaks."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        node = peer.truth(self.origin)
        if node is None:
            return []
        return [peer.entry(peer.fact(_ENTITY, "sim:claims", f"{self.origin} says {peer.served}", origin=node.node_id))]

    def vouch(self, peer: PeerEnv, victim: str, origin: str) -> Response | None:
        return json_response(200, peer.manifest(peer.url, origin))
