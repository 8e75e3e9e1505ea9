"""Twin: one identity that tells two victims different things under one id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.adversary.author import Entry
from sim.adversary.base import Adversary

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Twin"]

_ENTITY: Final = "stigmem://sim.example/twin"


class Twin(Adversary, tag="twin"):
    """The n-th batch has the same ids for every victim and a content for each. Such ids commit to nothing: from a
    peer whose ids should (dialect 2.1+) they are refused, and from others each victim keeps what it was told and
    does not pass it on."""

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        ids: list[str] = peer.notes.setdefault("ids", [])
        batch: int = peer.notes.get(f"batch for {victim}", 0)
        peer.notes[f"batch for {victim}"] = batch + 1
        if batch == len(ids):
            ids.append(peer.uuid())
        peer.expect(victim, ids[batch], *(("origin_stamp_unproven",) if self.dialect == "2.1+" else ()))
        return [peer.entry(peer.fact(f"{_ENTITY}/{batch}", "sim:claims", f"only for {victim}", id=ids[batch]))]
