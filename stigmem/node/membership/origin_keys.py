"""Keys of origins becoming known: which of two keys stands, and who is read again then (spec/identity.md, 3).

One command for the writer. What an operator pinned stands over what an id certifies, and that over what a peer
vouched for; among vouchers the first stands, and another's claim is recorded once.
"""

from __future__ import annotations

from typing import Final

from stigmem.core import limits
from stigmem.core.records import DeadLetter, OriginRow
from stigmem.node.resync import read_again_for_key, read_again_for_origin, reserve_cursors
from stigmem.node.transaction import Transaction

__all__ = ["LearnOriginKey"]

_WEIGHT: Final = {"vouched": 0, "certified": 1, "pinned": 2}


class LearnOriginKey:
    """The command that considers a key for an origin, brought by the peer of that id."""

    def __init__(self, row: OriginRow, peer_id: str) -> None:
        self._row = row
        self._peer_id = peer_id

    def stage(self, txn: Transaction) -> None:
        row = self._row
        reserve_cursors(txn)
        held = txn.state.origins.get(row.node_id)
        if held == row or (held is None and not self._has_room(txn)):
            return
        if held is not None and not self._stands_over(held):
            if held.public_key not in ("", row.public_key):
                self._report_conflict(txn)
            return
        txn.add(row)
        txn.audit("origin_key_learned", self._peer_id, origin=row.node_id, how=row.how)
        if row.public_key:
            read_again_for_origin(txn, row.node_id)
        if held is not None and held.public_key not in ("", row.public_key):
            read_again_for_key(txn)

    def _stands_over(self, held: OriginRow) -> bool:
        if self._row.how == held.how == "pinned":
            return True
        return _WEIGHT[self._row.how] > _WEIGHT[held.how]

    def _has_room(self, txn: Transaction) -> bool:
        """Whether one more origin may be remembered. Keys cost nothing: a peer that serves facts of thousands of
        made-up nodes must not use up the room in which others' origins become known, so nobody brings more than is
        left."""
        origins = txn.state.origins
        left = limits.ORIGINS_MAX - len(origins)
        if self._row.how == "pinned":
            return left > 0
        return sum(each.vouched_by == self._row.vouched_by for each in origins.values()) < left

    def _report_conflict(self, txn: Transaction) -> None:
        name = f"origin:{self._row.node_id}"
        if "origin_key_conflict" not in txn.state.letters.get(self._peer_id, {}).get(name, ()):
            txn.add(DeadLetter(self._peer_id, name, "origin_key_conflict"))
            txn.audit("origin_key_conflict", self._peer_id, origin=self._row.node_id, kept=True)
