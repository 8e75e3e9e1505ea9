"""Hasher: content ids and signatures that do not belong to the content (S-27, S-28)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.adversary.author import Entry
from sim.adversary.base import Adversary
from stigmem.core.keys import encode_base64

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Hasher"]

_ENTITY = "stigmem://sim.example/ledger"


class Hasher(Adversary, tag="hasher"):
    """A content id of nothing, one of other content, content changed after signing, no content id, no signature."""

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        found: list[Entry] = []
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

    def _unsigned(self, peer: PeerScript, victim: str) -> list[Entry]:
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
