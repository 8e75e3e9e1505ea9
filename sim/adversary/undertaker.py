"""Undertaker: has others forgotten without the right to it, and takes back what is not its own.

Its tombstones and revocations are genuine: well-formed, signed with its key, which its victims know. What it lacks is
authority over whom it names, and that it issued what it revokes. It brings them by push, and whoever asks it for
tombstones is told them as well. Nobody may be forgotten by its word, and nobody whom others had forgotten may come back
(S-61, S-62).
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core.keys import encode_base64, key_id
from stigmem.core.timestamps import format_us
from stigmem.core.tombstone import Revocation, Tombstone, signed_bytes
from stigmem.core.wire import Response

__all__ = ["Undertaker"]

_INGEST: Final = "/v1/federation/tombstones/ingest"
_LOOK_BACK: Final = 50


class _Used(dict[str, None]):
    """Whom a victim was asked to forget, and which tombstones it was asked to give up."""


@kind("undertaker")
class Undertaker(Adversary):
    """Every `period` each victim is brought a tombstone of an entity that it knows, and a revocation of a tombstone
    that it has. Where the operators grant every peer the right (`tombstone_signers = ["*"]`) it brings nothing."""

    period: Duration = parse_duration("5s")
    """How often it comes to each victim."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._come, peer, victim))

    def _come(self, peer: PeerEnv, victim: str, _number: int) -> None:
        node, used = peer.truth(victim), peer.memory(_Used, victim)
        if node is None or "*" in peer.settings(victim).tombstone_signers:  # its peers have every right there
            return
        self._look(peer, victim)
        known = [fact.entity for fact in node.ledger.log[-_LOOK_BACK:] if fact.entity and fact.entity not in used]
        if known:
            used[known[-1]] = None
            self._bring(peer, victim, self._tombstone(peer, known[-1]))
        for tombstone in node.tombstones:
            if tombstone.signed_by != peer.node_id and tombstone.id not in used:
                used[tombstone.id] = None
                self._bring(peer, victim, self._revocation(peer, tombstone.id))

    def _look(self, peer: PeerEnv, victim: str) -> None:
        """Whether a victim did as it was told."""
        node, used = peer.truth(victim), peer.memory(_Used, victim)
        if node is None:
            return
        for tombstone in node.tombstones:
            if tombstone.signed_by == peer.node_id:
                peer.report(victim, f"{tombstone.entity_uri} was forgotten by the word of who has no say in it")
            if tombstone.id in used and tombstone.id in node.revoked_tombstones:
                peer.report(victim, f"{tombstone.id} was revoked by who did not issue it")

    def _bring(self, peer: PeerEnv, victim: str, record: Tombstone | Revocation) -> None:
        request = peer.authorised("POST", _INGEST, peer.token(victim), msgspec.json.encode(record))

        def answered(answer: Response | str) -> None:
            if isinstance(answer, Response) and answer.status == 200:
                peer.report(victim, f"{record.id} was taken in from who has no say in it")

        peer.send(victim, request, answered)

    def _tombstone(self, peer: PeerEnv, entity: str) -> Tombstone:
        draft = Tombstone(
            id=f"tomb_{peer.uuid()}",
            entity_uri=entity,
            scope="*",
            signed_by=peer.node_id,
            key_id=key_id(peer.public_key),
            signature="",
            created_at=format_us(peer.now_ms * 1_000),
        )
        return msgspec.structs.replace(draft, signature=encode_base64(peer.sign(signed_bytes(draft))))

    def _revocation(self, peer: PeerEnv, name: str) -> Revocation:
        draft = Revocation(
            id=f"tombrevoke_{peer.uuid()}",
            tombstone_id=name,
            signed_by=peer.node_id,
            key_id=key_id(peer.public_key),
            signature="",
            created_at=format_us(peer.now_ms * 1_000),
        )
        return msgspec.structs.replace(draft, signature=encode_base64(peer.sign(signed_bytes(draft))))
