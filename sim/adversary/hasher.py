"""Hasher: content ids and signatures that do not belong to the content (S-27, S-28).

A node computes the content id of what it is served, compares it with the one that is served along (`cid_mismatch`), and
verifies the origin's signature over it (`origin_sig_invalid`). In dialect 2.1 a fact without a content id is refused as
well (`cid_required`); in 0.5 it is taken without being verified.
"""

from __future__ import annotations

from typing import Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.keys import encode_base64

__all__ = ["Hasher"]

_ENTITY: Final = "stigmem://sim.example/ledger"


@kind("hasher")
class Hasher(Adversary):
    """A content id of nothing, one of other content, content changed after signing, no content id, no signature."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        found: list[PageEntry] = []
        other = peer.fact(_ENTITY, "sim:claims", f"other {peer.served}")
        digest = "sha256:" + peer.rng.randbytes(32).hex()
        for what, cid in (("nothing", digest), ("other content", other.cid8 if peer.dialect != "0.5" else other.cid)):
            fact = peer.fact(_ENTITY, "sim:claims", f"id of {what} {peer.served}")
            peer.expect(victim, fact.id, "cid_mismatch")
            found.append(peer.entry(fact, cid=cid))
        changed = peer.fact(_ENTITY, "sim:claims", f"signed {peer.served}")
        peer.expect(victim, changed.id, "cid_mismatch")
        value = {"type": "string", "v": "changed after signing", "interpret_as": "content"}
        found.append(peer.entry(changed, value=value))
        return found if peer.dialect == "0.5" else [*found, *self._unsigned(peer, victim)]

    def _unsigned(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        bare, garbled, short = (
            peer.fact(_ENTITY, "sim:claims", f"{n} {peer.served}") for n in ("bare", "garbled", "short")
        )
        peer.expect(victim, bare.id, "cid_required")
        peer.expect(victim, garbled.id, "origin_sig_invalid")
        peer.expect(victim, short.id, "origin_sig_invalid")
        return [
            peer.entry(bare, cid=None) | {"fact": peer.entry(bare)["fact"] | {"cid": None}},
            peer.entry(garbled) | {"origin_sig": encode_base64(peer.rng.randbytes(64))},
            peer.entry(short) | {"origin_sig": "AAAA"},
        ]
