"""Pulls that wait for news: held answers, bounded per peer, each with a deadline.

A waiting pull has spent its token already; it goes back through the mailbox when there is something to tell
or its time is up, so that its page is built in a turn like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from stigmem.core import limits
from stigmem.core.errors import Refusal, StigmemError
from stigmem.core.wire import Response
from stigmem.node.api.peer_auth import PeerCaller
from stigmem.node.responses import render
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.api.call import Call

__all__ = ["LongPoll", "LongPolls"]


class LongPoll:
    """One held pull; a submission once it is released."""

    __slots__ = ("_call", "_cursor", "_held", "_limit", "_response", "_scopes", "deadline_ns", "peer")

    leans_on_records = True

    def __init__(
        self,
        call: Call,
        peer: PeerCaller,
        scopes: tuple[str, ...],
        cursor: str | None,
        limit: int,
        held: frozenset[str],
        deadline_ns: int,
    ) -> None:
        self._call = call
        self.peer = peer
        self._scopes = scopes
        self._cursor = cursor
        self._limit = limit
        self._held = held
        self.deadline_ns = deadline_ns
        self._response: Response | None = None

    def has_news(self) -> bool:
        """Whether its page would hold a fact now."""
        return self._call.node.page_server.has_news(self.peer.row, self._scopes, self._cursor, self._held)

    def stage(self, txn: Transaction) -> None:
        from stigmem.node.api.federation import answer_pull

        row = txn.state.peers.get(self.peer.row.peer_id)
        if row is None or row.status != self.peer.row.status:
            self._response = render(Refusal(401, "peer_not_approved", "peer_not_approved", style="text"))
        else:
            self._response = answer_pull(
                self._call, txn, self.peer, self._scopes, self._cursor, self._limit, self._held
            )

    def is_for(self, answer: Callable[[Response], None]) -> bool:
        """Whether this is where its page goes."""
        return self._call.answer is answer

    def release(self) -> None:
        if self._response is not None:
            self._call.answer(self._response)

    def fail(self, error: StigmemError) -> None:
        self._call.answer(render(Refusal(507, error.code, error.message)))


class LongPolls:
    """Every held pull of a node."""

    def __init__(self) -> None:
        self._held: list[LongPoll] = []

    def __len__(self) -> int:
        return len(self._held)

    def room_for(self, peer_id: str) -> bool:
        """Whether the peer may hold one more."""
        held = sum(pull.peer.row.peer_id == peer_id for pull in self._held)
        return held < limits.LONG_POLLS_PER_PEER_MAX

    def add(self, pull: LongPoll) -> None:
        self._held.append(pull)

    def withdraw(self, answer: Callable[[Response], None]) -> None:
        """Nobody waits for this answer any more: its place is free."""
        self._held = [pull for pull in self._held if not pull.is_for(answer)]

    def next_deadline_ns(self) -> int | None:
        """When the first of them must be answered, on the monotonic clock."""
        return min((pull.deadline_ns for pull in self._held), default=None)

    def release(self, monotonic_ns: int, *, news: bool) -> list[LongPoll]:
        """Take out those that are due, and with `news` those whose page would hold a fact."""
        ready = [pull for pull in self._held if pull.deadline_ns <= monotonic_ns or (news and pull.has_news())]
        if ready:
            self._held = [pull for pull in self._held if pull not in ready]
        return ready
