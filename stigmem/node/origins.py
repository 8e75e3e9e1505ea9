"""Keys of origins, as messages for the writer: what the steward learned of who signs for whom.

A key that becomes known makes facts acceptable that were rejected before; they are then read again from every
peer that served them. Fetching and believing manifests is `stigmem.node.steward`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import StigmemError
from stigmem.core.records import CursorRow, OriginRow
from stigmem.node.context import Signal
from stigmem.node.turn import Turn

if TYPE_CHECKING:
    from stigmem.node.node import Node

__all__ = ["OriginLearned", "ReadAgain"]


class OriginLearned:
    """A key for an origin, for the writer."""

    def __init__(self, node: Node, row: OriginRow, peer_id: str, done: Signal) -> None:
        self._node = node
        self._row = row
        self._peer_id = peer_id
        self._done = done

    def stage(self, turn: Turn) -> bool:
        # No page in the same turn: what it rejected is not known yet, and its cursor would go on from there.
        if not all(turn.claim("cursor", peer_id) for peer_id in turn.state.peers):
            return False
        held = turn.state.origins.get(self._row.node_id)
        own = self._row.how == "pinned"
        if held is not None and held.public_key not in ("", self._row.public_key) and not own:
            # The first key stands, whoever vouches for another.
            turn.audit("origin_key_conflict", self._peer_id, origin=self._row.node_id)
            return True
        if held is None and len(turn.state.origins) >= limits.ORIGINS_MAX:
            return True
        if held == self._row or (held is not None and held.how == "pinned" and not own):
            return True
        turn.add(self._row)
        turn.audit("origin_key_learned", self._peer_id, origin=self._row.node_id, how=self._row.how)
        if self._row.public_key:
            _read_again(turn)
        return True

    def finish(self) -> None:
        self._done.set()

    def fail(self, error: StigmemError) -> None:
        self._done.set()


class ReadAgain:
    """After a restart, when nobody remembers whose keys were missing: have the facts read again."""

    def stage(self, turn: Turn) -> bool:
        if not all(turn.claim("cursor", peer_id) for peer_id in turn.state.peers):
            return False
        _read_again(turn)
        return True

    def finish(self) -> None:
        return

    def fail(self, error: StigmemError) -> None:
        return


def _read_again(turn: Turn) -> None:
    """Have every peer read from its beginning that has facts rejected for want of a key. The letters stay until
    their facts are taken in, so that what is rejected once more is not audited once more."""
    for peer_id, letters in turn.state.letters.items():
        row = turn.state.peers.get(peer_id)
        if row is not None and row.status == ACTIVE and "origin_unresolvable" in letters.values():
            held = turn.state.cursors.get(peer_id)
            taken = held.taken if held else 0
            turn.add(CursorRow(peer_id, None, turn.state.ledger.last_seq, False, taken, turn.now_us))
