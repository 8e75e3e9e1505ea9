"""The audit log walked through once after each start, so that a row that was altered is noticed without being asked.

A start reads every fact and checks it, and of the audit log only its head: a million rows would make it a third longer.
So the walk goes on beside the running node, a few rows at a time, and tells what it found: an error in the log and a
metric. The node goes on: what it serves is not made of audit rows. `stigmem audit verify` says which row it is.
"""

from __future__ import annotations

import sqlite3
from typing import Final, Protocol

import trio

from stigmem.core.audit import AuditRow, ChainHead, verify

__all__ = ["AuditWalk"]

_ROWS: Final = 200
"""Two milliseconds of hashing: what a request may have to wait for."""
_PAUSE_S: Final = 0.01
_SENTENCES: Final = {
    "seq_gap": "a row is missing after row {}",
    "previous_hash_mismatch": "the row after row {} does not follow from it",
    "hash_mismatch": "the row after row {} was changed after it was written",
}


class AuditLog(Protocol):
    """Where the rows are."""

    async def audit(self, after: int, limit: int) -> list[AuditRow]: ...


class AuditWalk:
    """One walk from the first row to the last."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self.head = ChainHead()
        """How far the chain has been found whole."""
        self.broken: str | None = None
        """What is wrong, as a sentence; None while nothing is."""
        self.done = False

    async def run(self) -> None:
        """Walk until the end or the first row that does not fit."""
        try:
            await self._walk()
        except sqlite3.Error as error:  # the start has looked through the file; what breaks later breaks a write too
            self.broken = f"the rows after row {self.head.seq} cannot be read: {error}"
        self.done = True

    async def _walk(self) -> None:
        while rows := await self._log.audit(self.head.seq, _ROWS):
            self.head, reason = await trio.to_thread.run_sync(verify, rows, self.head)
            if reason is not None:
                self.broken = _SENTENCES[reason].format(self.head.seq)
                return
            await trio.sleep(_PAUSE_S)
