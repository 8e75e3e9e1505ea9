"""Voider: records that void what other organisations said.

A record binds its own origin's facts alone. One of the voider's own that names facts of others is a well-formed fact,
is kept, and voids nothing; one under the name of another source is not its to make, and one in the name of another node
carries no signature of that node. Judged by `no-silent-erasure` and `conflict-agreement`. There is no S-number.
"""

from __future__ import annotations

from typing import Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.fact import Fact
from stigmem.core.voiding import draft_voiding

__all__ = ["Voider"]

_TARGETS: Final = 3
"""Facts of others that a batch is about."""


class _Used(dict[str, None]):
    """Facts of others that a victim was told something against already."""


@kind("voider")
class Voider(Adversary):
    """Against what stands of others, in turn: a record of its own that names their facts, one under the source of a
    fact, and one in the name of the fact's node under its own signature. None of them may void anything."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        used, node = peer.memory(_Used, victim), peer.truth(victim)
        if node is None:
            return []
        ledger = node.ledger
        targets = [
            fact
            for fact in ledger.log[-200:]
            if fact.scope == "public" and fact.origin in peer.names and ledger.live(fact) and fact.id not in used
        ]
        found: list[PageEntry] = []
        for target in targets[-_TARGETS:]:
            used[target.id] = None
            found += self._against(peer, victim, target, len(used) % 3)
        return found

    def _against(self, peer: PeerEnv, victim: str, target: Fact, way: int) -> list[PageEntry]:
        made = draft_voiding(target, [target.id], "not so", peer.now_ms * 1_000)

        def record(source: str, origin: str = peer.node_id) -> Fact:
            return peer.fact(
                made.entity, made.relation, made.text, derived_from=made.derived_from, source=source, origin=origin
            )

        codes: tuple[str, ...] = ()
        if way == 0:
            found = record(peer.node_id)
        elif way == 1:
            found, codes = record(target.source), ("source_not_owned",)
        else:
            found, codes = record(target.origin, origin=target.origin), ("origin_sig_invalid", "origin_unresolvable")
            if peer.dialect != "2.1+":  # an older dialect has no room for another origin than the sender
                codes = (*codes, "source_not_owned")
        peer.expect(victim, found.id, *codes)
        return [peer.entry(found)]
