"""A peer's dialect becoming known anew: one message for the writer.

Asking the peer is the steward's work, noticing that its pages are of another dialect the puller's. The peer is read
again from its beginning, because what it served so far could not be read for what it was.
"""

from __future__ import annotations

import msgspec

from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import StigmemError
from stigmem.core.records import PeerRow
from stigmem.node.rereading import claim_cursors, read_again
from stigmem.node.turn import Turn

__all__ = ["DialectLearned"]


class DialectLearned:
    """What a peer's discovery document says now; nothing happens when the peer has changed meanwhile."""

    def __init__(self, row: PeerRow, dialect: str) -> None:
        self._row = row
        self._dialect = dialect

    def stage(self, turn: Turn) -> bool:
        if not turn.claim("peer", self._row.node_id) or not claim_cursors(turn):
            return False
        row = turn.state.peers.get(self._row.peer_id)
        if row == self._row and row.status == ACTIVE:
            turn.add(msgspec.structs.replace(row, dialect=self._dialect))
            turn.audit("peer_dialect_changed", row.peer_id, node_id=row.node_id, was=row.dialect, dialect=self._dialect)
            read_again(turn, row.peer_id)
        return True

    def finish(self) -> None:
        return

    def fail(self, error: StigmemError) -> None:
        return  # the next page that cannot be read asks again
