"""A peer's dialect becoming known anew: one message for the writer.

Asking the peer is the steward's work, noticing that its pages are of another dialect the puller's. The peer is read
again from its beginning, because what it served so far could not be read for what it was.
"""

from __future__ import annotations

import msgspec

from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import StigmemError
from stigmem.core.records import PeerRow
from stigmem.node.resync import read_again, reserve_cursors
from stigmem.node.transaction import Transaction

__all__ = ["LearnDialect"]


class LearnDialect:
    """What a peer's discovery document says now; nothing happens when the peer has changed meanwhile."""

    def __init__(self, row: PeerRow, dialect: str) -> None:
        self._row = row
        self._dialect = dialect

    def stage(self, txn: Transaction) -> bool:
        if not txn.reserve("peer", self._row.node_id) or not reserve_cursors(txn):
            return False
        row = txn.state.peers.get(self._row.peer_id)
        if row == self._row and row.status == ACTIVE:
            txn.add(msgspec.structs.replace(row, dialect=self._dialect))
            txn.audit("peer_dialect_changed", row.peer_id, node_id=row.node_id, was=row.dialect, dialect=self._dialect)
            read_again(txn, row.peer_id)
        return True

    def finish(self) -> None:
        return

    def fail(self, error: StigmemError) -> None:
        return  # the next page that cannot be read asks again
