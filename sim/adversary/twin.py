"""Twin: one identity that tells two victims different things under one id.

An id that does not commit to its content proves nothing. From a peer whose ids should commit to it (dialect 2.1+) such
a fact is refused (`origin_stamp_unproven`); from others each victim keeps what it was told and passes it on to nobody,
so that two truths never meet under one id. There is no S-number: section 3.11 of the contract, on relays, is the
nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv

__all__ = ["Twin"]

_ENTITY: Final = "stigmem://sim.example/twin"


class _Ids(list[str]):
    """The id of the n-th batch, for whichever victim."""


@dataclass
class _Told:
    """How many batches a victim was told."""

    batches: int = 0


@kind("twin")
class Twin(Adversary):
    """The n-th batch has the same ids for every victim and a content for each. Such ids commit to nothing: from a
    peer whose ids should (dialect 2.1+) they are refused, and from others each victim keeps what it was told and
    does not pass it on."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        ids, told = peer.memory(_Ids), peer.memory(_Told, victim)
        batch = told.batches
        told.batches += 1
        if batch == len(ids):
            ids.append(peer.uuid())
        peer.expect(victim, ids[batch], *(("origin_stamp_unproven",) if self.dialect == "2.1+" else ()))
        return [peer.entry(peer.fact(f"{_ENTITY}/{batch}", "sim:claims", f"only for {victim}", id=ids[batch]))]
