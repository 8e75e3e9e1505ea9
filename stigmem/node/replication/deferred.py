"""Facts that came too early: tried again when the wall clock has reached them (spec/ingest.md).

They are kept as the bytes that came, and go the way of a page again: stateless checks, then the ledger. When a fact is
deferred at all is decided in `stigmem.node.replication.page_ingest`; when it is time to look is the timers'.

Facts for which the quota of their origin left no room are not kept: their sender is read again from where it served
them, when the quota allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from stigmem.core import limits
from stigmem.core.ingest import PeerLink
from stigmem.core.records import DeadLetter
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Clock
from stigmem.node.replication.page_ingest import IngestPage
from stigmem.node.replication.page_verifier import EntryVerifier
from stigmem.node.replication.peer_client import granted_scopes
from stigmem.node.resync import go_back_to
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.transaction import Command, Transaction

__all__ = ["DeferredFacts"]

_FACTS_PER_CHECKPOINT: Final = 25
_REST_NS: Final = int(limits.BACKOFF_S_MIN * 1e9)


class DeferredFacts:
    """The deferred facts of every peer."""

    def __init__(
        self,
        *,
        state: NodeState,
        settings: NodeSettings,
        verifier: EntryVerifier,
        mailbox: Mailbox,
        clock: Clock,
    ) -> None:
        self._state = state
        self._settings = settings
        self._verifier = verifier
        self._mailbox = mailbox
        self._clock = clock
        self._rest_until_ns = 0
        """When facts that could not be stored are tried again, on the monotonic clock."""

    def rest_ns(self) -> int | None:
        """How long until the first of them is due, negative when it is overdue; None when there is none."""
        waiting = chain(self._state.deferred.values(), self._state.rereadings.values())
        due_ms = min((letter.retry_ms or 0 for letter in waiting), default=None)
        if due_ms is None:
            return None
        return max(due_ms * 1_000_000 - self._clock.wall_ns(), self._rest_until_ns - self._clock.monotonic_ns())

    async def retry(self, now_ms: int) -> None:
        """Try those that are due at `now_ms` on the wall clock, peer by peer."""
        if self._clock.monotonic_ns() < self._rest_until_ns:
            return
        due: dict[str, list[DeadLetter]] = {}
        for letter in self._state.deferred.values():
            if (letter.retry_ms or 0) <= now_ms:
                due.setdefault(letter.peer_id, []).append(letter)
        for peer_id, letters in due.items():
            await self._retry_peer(peer_id, letters)
        rereadings: dict[str, list[DeadLetter]] = {}
        for letter in self._state.rereadings.values():
            if (letter.retry_ms or 0) <= now_ms:
                rereadings.setdefault(letter.peer_id, []).append(letter)
        for peer_id, letters in rereadings.items():
            await self._submit(_ReadAgain(peer_id, letters))

    async def _retry_peer(self, peer_id: str, letters: list[DeadLetter]) -> None:
        row = self._state.peers.get(peer_id)
        if row is None:
            return
        link = PeerLink(row.node_id, row.dialect, granted_scopes(self._settings, row), catching_up=True)
        arrivals = []
        for number, letter in enumerate(letters, 1):
            arrivals.append(self._verifier.verify_raw(link, letter.raw or b""))
            if number % _FACTS_PER_CHECKPOINT == 0:
                await self._clock.checkpoint()
        await self._submit(IngestPage(peer_id, link, self._verifier.policy, arrivals, place=None))

    async def _submit(self, command: Command[object]) -> None:
        try:
            outcome = await self._mailbox.submit(command)
        except NotStored:
            outcome = None
        if outcome is None:
            self._rest_until_ns = self._clock.monotonic_ns() + _REST_NS


class _ReadAgain:
    """The command that sets the cursor of a peer back to where it served the first of the facts that wait; True."""

    def __init__(self, peer_id: str, letters: Sequence[DeadLetter]) -> None:
        """`letters`: oldest first."""
        self._peer_id = peer_id
        self._letters = letters

    def stage(self, txn: Transaction) -> bool:
        txn.reserve("cursor", self._peer_id)
        first, *_ = self._letters
        go_back_to(txn, self._peer_id, (first.raw or b"").decode() or None)
        for letter in self._letters:
            txn.add(DeadLetter.cleared(self._peer_id, letter.name))
        return True
