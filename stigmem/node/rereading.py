"""Reading a peer again from its beginning, once a reason why its facts were refused is gone.

Repetitions cost little and rejections that stay are not audited again, so this is how a key that becomes known
late still brings every fact it belongs to. Only resets cursors; the puller does the reading.
"""

from __future__ import annotations

from stigmem.core.declaration import ACTIVE
from stigmem.core.records import CursorRow
from stigmem.node.turn import Turn

__all__ = ["claim_cursors", "read_again", "read_again_for_key", "read_again_for_origin"]


def claim_cursors(turn: Turn) -> bool:
    """Reserve every peer's cursor for this turn; False when a page has one: then wait for the next turn.

    What such a page refuses is not known before its turn is over, and its cursor would go on from there.
    """
    return all(turn.claim("cursor", peer_id) for peer_id in turn.state.peers)


def read_again_for_origin(turn: Turn, origin: str) -> None:
    """The key of this origin becomes known: every peer that served facts of it in vain is read again."""
    for peer_id, origins in turn.state.awaiting.items():
        if origin in origins:
            read_again(turn, peer_id)


def read_again_for_key(turn: Turn) -> None:
    """An origin gets another key than the one it was known by: signatures that did not fit may fit now."""
    for peer_id, letters in turn.state.letters.items():
        if any("origin_sig_invalid" in codes for codes in letters.values()):
            read_again(turn, peer_id)


def read_again(turn: Turn, peer_id: str) -> None:
    """Set the cursor of an active peer back to its beginning."""
    row, held = turn.state.peers.get(peer_id), turn.state.cursors.get(peer_id)
    if row is None or row.status != ACTIVE:
        return
    taken = held.taken if held is not None else 0
    turn.add(CursorRow(peer_id, None, turn.state.ledger.last_seq, False, taken, turn.now_us))
