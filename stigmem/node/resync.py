"""Reading a peer again from its beginning, once a reason why its facts were refused is gone.

Repetitions cost little and rejections that stay are not audited again, so this is how a key that becomes known
late still brings every fact it belongs to. Only cursors are set back here; reading is the puller's.
"""

from __future__ import annotations

from stigmem.core.declaration import ACTIVE
from stigmem.core.records import CursorRow
from stigmem.node.transaction import Transaction

__all__ = [
    "go_back_to",
    "read_again",
    "read_again_for_key",
    "read_again_for_origin",
    "read_again_for_time",
    "reserve_cursors",
]


def reserve_cursors(txn: Transaction) -> None:
    """Reserve every peer's cursor for this batch; raises RetryNextBatch when a page has one.

    What such a page refuses is not known before its batch is over, and its cursor would go on from there.
    """
    for peer_id in txn.state.peers:
        txn.reserve("cursor", peer_id)


def read_again_for_origin(txn: Transaction, origin: str) -> None:
    """The key of this origin becomes known: every peer that served facts of it in vain is read again."""
    for peer_id, origins in txn.state.awaiting.items():
        if origin in origins:
            read_again(txn, peer_id)


def read_again_for_key(txn: Transaction) -> None:
    """An origin gets another key than the one it was known by: signatures that did not fit may fit now."""
    for peer_id, letters in txn.state.letters.items():
        if any("origin_sig_invalid" in codes for codes in letters.values()):
            read_again(txn, peer_id)


def read_again_for_time(txn: Transaction) -> None:
    """The clock by which stamps were found too early was wrong, and is right now."""
    for peer_id, letters in txn.state.letters.items():
        if any("hlc_skew" in codes for codes in letters.values()):
            read_again(txn, peer_id)


def read_again(txn: Transaction, peer_id: str) -> None:
    """Set the cursor of an active peer back to its beginning."""
    _set_back(txn, peer_id, None, drained=False)


def go_back_to(txn: Transaction, peer_id: str, cursor: str | None) -> None:
    """Set the cursor of an active peer back to where it stood before; None for the beginning. What was expected of the
    peer's facts meanwhile, old ones or not, stays as it is."""
    held = txn.state.cursors.get(peer_id)
    _set_back(txn, peer_id, cursor, drained=cursor is not None and held is not None and held.drained)


def _set_back(txn: Transaction, peer_id: str, cursor: str | None, *, drained: bool) -> None:
    row, held = txn.state.peers.get(peer_id), txn.state.cursors.get(peer_id)
    if row is None or row.status != ACTIVE:
        return
    taken = held.taken if held is not None else 0
    txn.add(
        CursorRow(
            peer_id=peer_id,
            cursor=cursor,
            watermark=txn.state.ledger.last_seq,
            drained=drained,
            taken=taken,
            updated_us=txn.now_us,
        )
    )
