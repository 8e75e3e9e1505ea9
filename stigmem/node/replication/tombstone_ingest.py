"""Tombstones and revocations of others: whether they are believed, and the records that they become (federation 9.3).

One judgement for whatever way they come, pushed by a peer or read from one. What is refused is refused with the code of
the first check that fails: shape, signer known, key, signature, authority; of a revocation that its tombstone is known
and its signer's own. What is known already is not stored again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import Rejection
from stigmem.core.manifest import parse_manifest
from stigmem.core.records import DeadLetter, RevocationRow, TombstoneRow
from stigmem.core.tombstone import (
    Revocation,
    Tombstone,
    check_shape,
    is_authority,
    parse_revocation,
    parse_tombstone,
    verify_signature,
)
from stigmem.node.identity import Identity
from stigmem.node.ports import Entropy
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction

__all__ = ["IngestTombstones", "TombstoneJudge", "husk_key"]

HUSK_KEY_BYTES: Final = 32


def husk_key(state: NodeState, entropy: Entropy) -> str:
    """The key for the husks of a new tombstone, as hex: the one that the node has, or a new one."""
    return (state.erasures.husk_key or entropy.token(HUSK_KEY_BYTES)).hex()


class _Signer(NamedTuple):
    public_key: str
    listed: tuple[str, ...]
    """What its manifest lists."""


class TombstoneJudge:
    """Decides on tombstones and revocations, in the writer's turn."""

    def __init__(self, *, identity: Identity, entropy: Entropy) -> None:
        self._identity = identity
        self._entropy = entropy

    def take(self, txn: Transaction, data: Any, by: str) -> bool:
        """Judge one object as it came from the peer with node id `by`, a revocation where it names a tombstone, and
        stage what it becomes; whether it is new. Raises Rejection."""
        if isinstance(data, dict) and "tombstone_id" in data:
            return self.take_revocation(txn, parse_revocation(data), by)
        return self.take_tombstone(txn, parse_tombstone(data), by)

    def take_tombstone(self, txn: Transaction, tombstone: Tombstone, by: str) -> bool:
        """As `take`."""
        check_shape(tombstone, txn.now_us, txn.settings.skew_future_ms * 1_000)
        signer = self._signer(txn.state, tombstone.signed_by, "no manifest for signer")
        verify_signature(tombstone, signer.public_key, txn.settings.suite)
        granted = txn.settings.tombstone_signers
        if not is_authority(tombstone.signed_by, tombstone.entity_uri, signer.listed, granted):
            message = "this signer may not have this entity forgotten: its manifest does not list it, nor the operator"
            raise Rejection("tombstone_unauthorised", message, field="entity_uri")
        if self._identity.is_own_name(tombstone.entity_uri):
            raise Rejection("tombstone_unauthorised", "nobody has this node forget itself", field="entity_uri")
        if tombstone.id in txn.state.erasures.tombstones:
            return False
        check_room(txn.state)
        txn.add(TombstoneRow(tombstone, husk_key(txn.state, self._entropy), txn.now_us, by))
        txn.audit("tombstone_federation_ingested", by, tombstone=tombstone.id, signed_by=tombstone.signed_by)
        return True

    def take_revocation(self, txn: Transaction, revocation: Revocation, by: str) -> bool:
        """As `take`."""
        check_shape(revocation, txn.now_us, txn.settings.skew_future_ms * 1_000)
        signer = self._signer(txn.state, revocation.signed_by, "no manifest for revocation signer")
        verify_signature(revocation, signer.public_key, txn.settings.suite)
        held = txn.state.erasures.tombstones.get(revocation.tombstone_id)
        if held is None:
            raise Rejection("tombstone_not_found", "this tombstone is not known here", field="tombstone_id")
        check_revocable(held, revocation.signed_by)
        if revocation.tombstone_id in txn.state.erasures.revocations:
            return False
        check_room(txn.state)
        txn.add(RevocationRow(revocation, txn.now_us, by))
        name, signed_by = revocation.tombstone_id, revocation.signed_by
        txn.audit("tombstone_revocation_federation_ingested", by, tombstone=name, signed_by=signed_by)
        return True

    def _signer(self, state: NodeState, name: str, unknown: str) -> _Signer:
        if self._identity.is_own_name(name):
            return _Signer(self._identity.signer.public_key, (self._identity.node_id, self._identity.entity_uri))
        peers = (row for row in state.peers.values() if row.status == ACTIVE and name in (row.node_id, row.entity_uri))
        peer = next(peers, None)
        row = state.origins.get(name) or (state.origins.get(peer.node_id) if peer is not None else None)
        if row is not None and row.is_bound:
            listed = parse_manifest(msgspec.json.decode(row.manifest)).entities if row.manifest else []
            return _Signer(row.public_key, tuple(listed))
        if peer is not None:
            return _Signer(peer.public_key, (peer.node_id,))
        raise Rejection("tombstone_signer_unknown", unknown, field="signed_by", detail={"signer": name})


def check_revocable(held: TombstoneRow, signer: str) -> None:
    """Raises Rejection `tombstone_not_the_issuer` or, while it is being carried out, `tombstone_busy`."""
    if held.tombstone.signed_by != signer:
        message = "only who signed a tombstone may revoke it"
        raise Rejection("tombstone_not_the_issuer", message, field="signed_by")
    if not (held.finished_us or held.tombstone.legal_hold):
        raise Rejection("tombstone_busy", "this tombstone is being carried out; revoke it when that is through")


def check_room(state: NodeState) -> None:
    """Raises Rejection `tombstones_full`."""
    if len(state.erasures.rows) >= limits.TOMBSTONES_MAX:
        message = f"a node keeps at most {limits.TOMBSTONES_MAX} tombstones and revocations"
        raise Rejection("tombstones_full", message)


class IngestTombstones:
    """The command that takes in what a peer answered: tombstones first, since revocations follow them."""

    def __init__(self, judge: TombstoneJudge, peer_id: str, records: list[Any]) -> None:
        self._judge = judge
        self._peer_id = peer_id
        self._records = records

    def stage(self, txn: Transaction) -> int:
        """How many may be taken when they come again: their signer is not known yet, or what they revoke is not."""
        txn.reserve("tombstones", "")
        row = txn.state.peers.get(self._peer_id)
        if row is None or row.status != ACTIVE:
            return 0
        waiting = 0
        for data in self._records:
            try:
                self._judge.take(txn, data, row.node_id)
            except Rejection as rejection:
                waiting += self._refuse(txn, data, rejection)
        return waiting

    def _refuse(self, txn: Transaction, data: Any, rejection: Rejection) -> bool:
        """Remember what was refused, once; whether it may be taken later."""
        name = f"tombstone:{data.get('id', '')}"[: limits.FACT_ID_CHARS_MAX] if isinstance(data, dict) else "tombstone:"
        codes = txn.state.letters.get(self._peer_id, {}).get(name, ())
        is_news = rejection.code not in codes and not (rejection.code == "tombstone_signer_unknown" and codes)
        if is_news and txn.try_reserve("letter", (self._peer_id, name, rejection.code)):
            letter = DeadLetter(self._peer_id, name, rejection.code)
            if rejection.code == "tombstone_signer_unknown":  # its key is asked for as that of facts would be
                letter = DeadLetter.for_origin(self._peer_id, name, str(rejection.detail["signer"]))
            txn.add(letter)
            txn.audit("tombstone_federation_rejected", self._peer_id, fact_id=name, reason=letter.code)
        return rejection.code in ("tombstone_signer_unknown", "tombstone_not_found", "tombstone_busy")
