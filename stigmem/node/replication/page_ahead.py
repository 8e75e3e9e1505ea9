"""The page that is asked for while the one before it is checked and stored: at most one, dropped when it is not next.

A drain would otherwise leave one of two nodes idle at any moment: the asker while the peer chooses and sends a page,
the peer while the asker checks one. What a page brought, and whether it may be used, is decided when it is its turn, as
if it had been asked for then:

    page n came, says "more", and moves the cursor to c  ->  ask for what follows c      in a task of its own
    page n is checked and stored, the cursor is c now        page n+1 is on its way
    the next pull would ask for what follows c           ->  take the answer, or wait for it; a failure is raised here

Invariants:

* A1. An answer is used only for the question that would be asked now: the same cursor, and own facts asked for or not
  as now. After a page that comes again, a cursor that was set back or a revoked peer it is not, and is dropped.
* A2. Nothing is stored here: facts and cursor of a page go the one way through the writer, page by page in order. A
  crash loses a page that came too soon, and no more.
* A3. An answer without a fact is not used. It was asked for without a wait, and means nothing that asking again, with
  one, does not tell.
* A4. After an answer without a fact nothing is asked ahead until the drain has ended. The page before it said that
  there is more, so a peer that answers so is wrong about one of the two; one that gave full and empty pages by turns
  would have each empty one dropped, and be asked until the drain's bound of pages instead of until the first empty
  page.

Example: north reads 250 facts of south in pages of 100. While facts 1 to 100 are checked, 101 to 200 are read from
south's ledger and sent. One of the first hundred fails its hash: the cursor stays where it was, the answer for the
second hundred is dropped, and both pages are asked for again.

A wart: a question that was dropped is not called off. It ends by itself, within the timeout of a pull.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from stigmem.core.errors import StigmemError
from stigmem.core.page import Page
from stigmem.node.ports import Clock
from stigmem.node.replication.peer_client import NotApproved, Throttled

__all__ = ["Answer", "PageAhead", "Question"]


class Question(NamedTuple):
    """What a pull asks for."""

    cursor: str | None
    """What the page follows; None for the beginning."""
    limit: int
    """How many facts it may hold."""
    echo: bool
    """Whether our own facts are asked for too."""
    wait_s: float = 0.0
    """How long the peer may hold its answer until there is news, in seconds."""
    elsewhere: str = ""
    """What the peer is told of origins whose facts come from others; only a question that waits tells it."""


class Answer(NamedTuple):
    """A page, and what was so when it was asked for."""

    page: Page
    question: Question
    asked_seq: int
    """Where our ledger ended."""
    took_ns: int
    """From the question to the answer."""


class _UnderWay:
    """A question that was asked ahead."""

    __slots__ = ("arrived", "outcome", "question")

    def __init__(self, question: Question, clock: Clock) -> None:
        self.question = question
        self.arrived = clock.signal()
        self.outcome: Answer | StigmemError | Throttled | NotApproved | None = None
        """None while it is under way, and for ever after a bug of ours, which the clock's owner is told of."""


class PageAhead:
    """The one question that a reader has asked ahead, if any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._under_way: _UnderWay | None = None
        self._was_empty = False
        """Whether an answer of this drain held no fact."""

    def ask(self, question: Question, asking: Callable[[Question], Awaitable[Answer]]) -> None:
        """Have it asked now, in a task of its own, unless an answer of this drain was empty."""
        if self._was_empty:
            return
        self._under_way = under_way = _UnderWay(question, self._clock)
        self._clock.spawn("page-ahead", partial(self._run, under_way, asking))

    async def take(self, cursor: str | None, *, echo: bool) -> Answer | None:
        """The answer, waited for, if that is what was asked ahead and it holds facts; else None. Raises what asking
        did: Unreachable, Rejection, Throttled or NotApproved."""
        under_way, self._under_way = self._under_way, None
        if under_way is None or (under_way.question.cursor, under_way.question.echo) != (cursor, echo):
            return None
        await under_way.arrived.wait()
        if isinstance(under_way.outcome, Exception):
            raise under_way.outcome
        if under_way.outcome is None:
            return None
        self._was_empty = not under_way.outcome.page.entries
        return None if self._was_empty else under_way.outcome

    def end(self) -> None:
        """The drain has ended: whatever was asked ahead will not be used."""
        self._under_way, self._was_empty = None, False

    @staticmethod
    async def _run(under_way: _UnderWay, asking: Callable[[Question], Awaitable[Answer]]) -> None:
        try:
            under_way.outcome = await asking(under_way.question)
        except (StigmemError, Throttled, NotApproved) as failure:
            under_way.outcome = failure
        finally:
            under_way.arrived.set()
