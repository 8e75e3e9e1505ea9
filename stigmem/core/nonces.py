"""Spent nonces: a token works once, here and after a restart (federation 2.7).

Nonces are kept as hashes until no clock within the leeway could accept their token, bounded per peer. The
table does not know the time; every call brings it.
"""

from __future__ import annotations

import hashlib
from heapq import heappop, heappush

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Rejection

__all__ = ["NonceTable", "SpentNonce"]


class SpentNonce(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="nonce"):
    """A spent nonce as the journal keeps it: BLAKE2b hash of 16 bytes, peer id, and the wall time in ms since the epoch
    from which it may be forgotten."""

    digest: bytes
    peer: str
    until_ms: int


class NonceTable:
    """Nonces spent and not yet forgotten, over all peers: whoever re-uses one is refused.

    Forgetting follows the monotonic clock: a wall clock that jumps ahead must not open the door to replays.
    """

    def __init__(self) -> None:
        self._spent: dict[bytes, str] = {}
        self._queue: list[tuple[int, bytes]] = []
        self._per_peer: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._spent)

    def spend(self, nonce: str, peer: str, expiry_ms: int, now_ms: int) -> SpentNonce:
        """The record of a nonce that becomes spent when it is applied; the table is unchanged until then. `expiry_ms`:
        of the token, `now_ms`: our wall clock, both since the epoch.

        Raises Rejection `nonce_already_seen`, or `too_many_tokens` when the peer holds its limit.
        """
        digest = hashlib.blake2b(nonce.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._spent:
            raise Rejection("nonce_already_seen", "this token was presented before")
        if self._per_peer.get(peer, 0) >= limits.NONCES_PER_PEER_MAX:
            raise Rejection("too_many_tokens", "too many unexpired tokens; slow down")
        until = max(expiry_ms, now_ms + limits.NONCE_WINDOW_MS) + limits.TOKEN_LEEWAY_MS
        return SpentNonce(digest, peer, until)

    def apply(self, record: SpentNonce, now_ms: int, monotonic_ns: int) -> None:
        """Take in a spent nonce, after its commit or from the journal at start; one that is known changes nothing."""
        if record.digest in self._spent:
            return
        life_ms = min(max(record.until_ms - now_ms, 0), 2 * limits.TOKEN_LIFE_MS)
        self._spent[record.digest] = record.peer
        self._per_peer[record.peer] = self._per_peer.get(record.peer, 0) + 1
        heappush(self._queue, (monotonic_ns + life_ms * 1_000_000, record.digest))

    def forget(self, monotonic_ns: int) -> int:
        """Drop what no token can need any more at this monotonic time; the number dropped."""
        dropped = 0
        while self._queue and self._queue[0][0] < monotonic_ns:
            _, digest = heappop(self._queue)
            peer = self._spent.pop(digest)
            left = self._per_peer[peer] - 1
            if left:
                self._per_peer[peer] = left
            else:
                del self._per_peer[peer]
            dropped += 1
        return dropped
