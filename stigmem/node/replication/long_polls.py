"""Pulls that wait for news: bounded per peer, each with a deadline.

A pull that waits has spent its token already. It goes back through the mailbox when there is something to tell or its
time is up, so that its page is built in a turn like any other. What a pull is and how it is answered is
`stigmem.node.api.federation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stigmem.core import limits
from stigmem.core.wire import Response
from stigmem.node.mailbox import Mailbox
from stigmem.node.transaction import Submission

__all__ = ["LongPoll", "LongPolls"]


class LongPoll(Submission, Protocol):
    """A pull that waits; a submission once it is released."""

    @property
    def peer_id(self) -> str: ...

    @property
    def deadline_ns(self) -> int:
        """When it must be answered at the latest, on the monotonic clock."""
        ...

    def has_news(self) -> bool:
        """Whether its page would hold a fact now."""
        ...

    def is_for(self, answer: Callable[[Response], None]) -> bool:
        """Whether this is where its page goes."""
        ...


class LongPolls:
    """Every pull of a node that waits."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._waiting: list[LongPoll] = []
        self._on_added: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._waiting)

    def subscribe(self, told: Callable[[], None]) -> None:
        """Have `told` called when one was added, whose deadline may be the first of all."""
        self._on_added = told

    def has_room(self, peer_id: str) -> bool:
        """Whether one more of this peer may wait."""
        waiting = sum(pull.peer_id == peer_id for pull in self._waiting)
        return waiting < limits.LONG_POLLS_PER_PEER_MAX

    def add(self, pull: LongPoll) -> None:
        """Have a pull wait until `release` finds it due."""
        self._waiting.append(pull)
        self._on_added()

    def withdraw(self, answer: Callable[[Response], None]) -> None:
        """Nobody waits for this answer any more: its place is free."""
        self._waiting = [pull for pull in self._waiting if not pull.is_for(answer)]

    def next_deadline_ns(self) -> int | None:
        """When the first of them must be answered, on the monotonic clock; None when none waits."""
        return min((pull.deadline_ns for pull in self._waiting), default=None)

    def release(self, monotonic_ns: int, *, news: bool) -> None:
        """Submit those whose deadline is not after `monotonic_ns`, and with `news` those whose page would hold a fact,
        in the order in which they came."""
        ready = [pull for pull in self._waiting if pull.deadline_ns <= monotonic_ns or (news and pull.has_news())]
        if ready:
            self._waiting = [pull for pull in self._waiting if pull not in ready]
            for pull in ready:
                self._mailbox.put(pull)

    def release_all(self) -> None:
        """Submit every one of them: the node is about to stop."""
        ready, self._waiting = self._waiting, []
        for pull in ready:
            self._mailbox.put(pull)
