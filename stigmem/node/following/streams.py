"""Streams of facts as they are stored: what they hold, where they go on, and when they end.

Theory
------
The log of a ledger is a list that only grows, so following it is a loop with one number in it: look at what comes after
the place, show what matches, wait to be woken. A stream reads committed state between two turns of the writer; it holds
no queue. A reader that is slow, or away for a day, costs nothing: its place stays where it is.

    place 17 --- 18 no match --- 19 match: an event with the cursor of 19 --- 20 no match --- end: wait
                                                                              heartbeat with the cursor of 20

* F1. Every fact that the caller may read and that matches is told once in a stream, in the order in which this node
  stored it, and none is skipped: whoever comes back with the cursor of an event gets what came after it.
* F2. A piece is made when the last one was taken. So a reader that does not read stops its own stream and nobody's
  else.
* F3. Nothing is silent for longer than EVENT_HEARTBEAT_NS. A heartbeat carries the place that was reached, so that a
  reader that only wants what is rare does not have the whole log looked through again when it comes back.
* F4. A cursor shows nothing. It is sealed together with bytes of chance, so that two cursors of one place differ:
  otherwise one that moved without an event would tell that something was stored that the reader may not see.
* F5. A stream ends, at the latest at the next piece, when the key with which it began is gone, has expired or may read
  other scopes than it did, or when its reader is no member any more of the garden that it follows. The reader comes
  back with its cursor and is judged anew.

An instruction of a peer that somebody admitted is an event `instruction` instead of `fact`.

A fact is told as it is when it is told: one that was contradicted since says so. What a query leaves out because it has
ended is told here, since a reader that follows has perhaps heard of its beginning.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

from stigmem.core import limits
from stigmem.core.errors import Refusal
from stigmem.core.event_stream import block
from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.fact import Fact
from stigmem.core.gardens import Garden
from stigmem.core.ledger import Ledger
from stigmem.core.query import FactQuery, stored_after
from stigmem.node.callers import Principal
from stigmem.node.cursors import CursorCodec
from stigmem.node.ports import Clock, Entropy, Signal
from stigmem.node.responses import busy
from stigmem.node.state import NodeState

__all__ = ["FactStreams", "Following"]

_RETRY_MS: Final = 2_000
"""When a reader comes back whose stream ended: a restart of a node takes about that long."""
_CHANCE_BYTES: Final = 8
_MARK: Final = "event"


class Following(NamedTuple):
    """What one reader follows."""

    query: FactQuery
    seq: int
    """Local sequence number after which it begins."""
    reader: Principal
    has_key: bool
    """Whether it came with a key of this node, when it asked; without one nothing of it can end later."""
    waits: bool
    """Whether it goes on when everything that is stored was told."""
    garden: Garden | None = None
    """Whose facts; None for those of the node itself."""


class FactStreams:
    """Every stream of a node that is open."""

    def __init__(self, *, clock: Clock, entropy: Entropy, state: NodeState, cursors: CursorCodec) -> None:
        self._clock = clock
        self._entropy = entropy
        self._state = state
        self._cursors = cursors
        self._open: dict[Signal, str] = {}
        """The wake-up of each stream, and whose it is; oldest first."""
        self._is_ending = False

    def __len__(self) -> int:
        return len(self._open)

    # --- places ---

    def cursor(self, seq: int, garden: Garden | None = None) -> str:
        """A cursor for a sequence number of the node, or of a garden; another one each time."""
        return self._cursors.close(f"{_mark(garden)}\n{seq:016}\n{self._entropy.token(_CHANCE_BYTES).hex()}")

    def seq(self, cursor: str, garden: Garden | None = None) -> int:
        """The sequence number of a cursor. Raises Refusal 400 `invalid_cursor`."""
        mark, _, rest = self._cursors.open(cursor).partition("\n")
        number = rest.partition("\n")[0]
        if mark != _mark(garden) or int(number) > self._ledger(garden).last_seq:
            raise Refusal(
                400,
                "invalid_cursor",
                "the cursor is no place in the events of this node, or of one that it has lost since",
                field="cursor",
            )
        return int(number)

    # --- streams ---

    def need_room(self, reader: Principal) -> None:
        """Raises Refusal 503 when no more streams may be open, for this reader or at all."""
        own = sum(name == reader.entity_uri for name in self._open.values())
        if len(self._open) >= limits.EVENT_STREAMS_MAX or own >= limits.EVENT_STREAMS_PER_CALLER_MAX:
            raise busy("this node has as many streams of events open as it may")

    async def pieces(self, following: Following, show: Callable[[Fact], bytes]) -> AsyncGenerator[bytes, None]:
        """The body of a stream. `show`: a fact as JSON in one line; called when the fact is about to be told."""
        clock, ledger, seq = self._clock, self._ledger(following.garden), following.seq
        cursor = partial(self.cursor, garden=following.garden)
        may_read = self._still_reads(following)
        with self._opened(following.reader) as wake:
            yield block(place=cursor(seq), retry_ms=_RETRY_MS)
            told_ns = clock.monotonic_ns()
            while may_read():
                found = stored_after(ledger, following.query, seq)
                if found.facts:
                    piece, seq = self._piece(found.facts, found.seq, show, cursor)
                    yield piece
                    told_ns = clock.monotonic_ns()
                    continue
                seq = found.seq
                rest_ns = told_ns + limits.EVENT_HEARTBEAT_NS - clock.monotonic_ns()
                if rest_ns <= 0:
                    yield block(place=cursor(seq), comment="nothing new")
                    told_ns = clock.monotonic_ns()
                elif seq < ledger.last_seq:
                    await clock.checkpoint()
                elif self._is_ending or not following.waits:
                    yield block(place=cursor(seq), comment="the end of what is stored")
                    return
                else:
                    await wake.wait(rest_ns)

    def _piece(
        self, facts: list[Fact], seq: int, show: Callable[[Fact], bytes], cursor: Callable[[int], str]
    ) -> tuple[bytes, int]:
        """Events up to about EVENT_PIECE_BYTES, and the place after them; `seq` when all facts are in it."""
        events, size = [], 0
        for fact in facts:
            name = "instruction" if is_foreign_instruction(fact) else "fact"
            made = block(show(fact).decode(), event=name, place=cursor(fact.seq))
            events.append(made)
            size += len(made)
            if size >= limits.EVENT_PIECE_BYTES:
                return b"".join(events), fact.seq
        return b"".join(events), seq

    def facts_added(self) -> None:
        """There are new facts: every stream looks."""
        for wake in self._open:
            wake.set()

    def end(self) -> None:
        """Every stream ends once it has told what is stored: the node is about to stop."""
        self._is_ending = True
        self.facts_added()

    @contextmanager
    def _opened(self, reader: Principal) -> Iterator[Signal]:
        wake = self._clock.signal()
        self._open[wake] = reader.entity_uri
        try:
            yield wake
        finally:
            del self._open[wake]

    def _ledger(self, garden: Garden | None) -> Ledger:
        return self._state.ledger if garden is None else garden.ledger

    def _still_reads(self, following: Following) -> Callable[[], bool]:
        """Whether a reader may read what it could when it asked: its key, if it came with one, and the garden, if it
        follows one."""
        state, clock = self._state, self._clock
        reader, garden = following.reader, following.garden

        def as_before() -> bool:
            if garden is not None:
                is_there = state.gardens.get(garden.row.garden_id) is garden
                if not is_there or garden.role_of(reader.entity_uri) is None:
                    return False
            if not following.has_key:
                return True
            row = state.keys.get(reader.key_id)
            if row is None or row.has_expired(clock.wall_ns() // 1_000):
                return False
            return "read" in row.permissions and frozenset(row.scopes) == reader.scopes

        return as_before


def _mark(garden: Garden | None) -> str:
    return _MARK if garden is None else f"{_MARK} {garden.row.garden_id}"
