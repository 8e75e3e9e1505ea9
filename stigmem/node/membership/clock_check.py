"""What is done about a wall clock that jumped ahead: approved peers are asked for their time, or time is given.

`stigmem.node.trusted_clock` notices the jump and begins this task, which ends with the doubt:

* The jump is **gone**: somebody set the clock back.
* More than half of the approved peers **agree**, which means that their `x-stigmem-now` lies within CLOCK_JUMP_MS of
  the machine's wall clock. Who does not answer, or does not tell its time, does not agree.
* The jump has **held** for CLOCK_HOLD_S, and no peer that was asked contradicted. So a node that is alone, or whose
  peers are out of reach, writes again after some minutes; one whose peers say otherwise waits for its operator.
* The **operator** confirms it (`stigmem clock confirm`).

One peer that lies can prolong a doubt, but not make one: without a jump that this machine measured nobody is asked.
Beginning and end are audited. Peers tell the time of their own wall clock, doubted or not: where a whole federation was
suspended, all clocks jumped together, and they agree.

A clock that was behind found peers' facts too early, and gave up those that were more than a day ahead of it. When a
doubt was not just gone, and when a clock has come back from the past, those peers are read again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE
from stigmem.core.records import ClockDoubt, PeerRow
from stigmem.core.wire import CLOCK_HEADER, Request
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Transport, Unreachable
from stigmem.node.resync import read_again_for_time, reserve_cursors
from stigmem.node.state import NodeState
from stigmem.node.transaction import Command, Transaction
from stigmem.node.trusted_clock import Doubt, HowEnded, TrustedClock

__all__ = ["ClockCheck"]

_TIMEOUT_NS: Final = 3_000_000_000
_REST_NS: Final = 15_000_000_000
"""Between two rounds of questions."""


class ClockCheck:
    """Looks after a doubt until it has ended; one task at most."""

    def __init__(self, *, clock: TrustedClock, state: NodeState, transport: Transport, mailbox: Mailbox) -> None:
        self._clock = clock
        self._state = state
        self._transport = transport
        self._mailbox = mailbox
        self._runs = False

    def begin(self) -> None:
        """A doubt has begun."""
        if not self._runs:
            self._runs = True
            self._clock.spawn("clock-check", self._run)

    def go_on(self) -> None:
        """The node starts, and stopped in doubt: either the doubt has begun again, or the clock was set back."""
        if self._clock.doubt is None:
            self._clock.spawn("clock-returned", lambda: self._tell(_Ended("gone", 0)))
        else:
            self.begin()

    def returned(self) -> None:
        """The clock has come back from the past."""
        self._clock.spawn("clock-returned", self._read_again)

    async def _read_again(self) -> None:
        with suppress(NotStored):
            await self._mailbox.submit(_ReadAgain())

    async def _run(self) -> None:
        try:
            while (doubt := self._clock.doubt) is not None:  # another one may begin while the end of this is stored
                await self._see_to_its_end(doubt)
        finally:
            self._runs = False

    async def _see_to_its_end(self, doubt: Doubt) -> None:
        clock = self._clock
        await self._tell(_Doubted(self._line_ms(), doubt.lead_ns // 1_000_000))
        while not await self._has_ended():
            await clock.sleep(_REST_NS)
            await self._tell(_Doubted(self._line_ms()))
        if (how := clock.ended) != "operator":  # who was audited when saying so
            await self._tell(_Ended(how or "gone", doubt.lead_ns // 1_000_000))
        if how != "gone":
            await self._read_again()

    async def _has_ended(self) -> bool:
        """Ask once around; whether there is no doubt any more."""
        clock = self._clock
        clock.wall_ns()  # judged again: it may have been set back
        doubt = clock.doubt
        if doubt is None:
            return True
        await self._ask(doubt)
        clock.wall_ns()
        if clock.doubt is not doubt:
            return clock.doubt is None
        if doubt.agreeing * 2 > doubt.peers:
            clock.confirm("peers")
        elif not doubt.contradicting and clock.held_ns() >= limits.CLOCK_HOLD_S * 1_000_000_000:
            clock.confirm("held")
        return clock.doubt is None

    async def _ask(self, doubt: Doubt) -> None:
        peers = [row for row in self._state.peers.values() if row.status == ACTIVE]
        agreeing = contradicting = 0
        for row in peers:
            off_ms = await self._difference_ms(row)
            if off_ms is None:
                continue
            if abs(off_ms) <= limits.CLOCK_JUMP_MS:
                agreeing += 1
            else:
                contradicting += 1
        doubt.peers, doubt.agreeing, doubt.contradicting = len(peers), agreeing, contradicting

    async def _difference_ms(self, row: PeerRow) -> int | None:
        """By how much a peer's clock is ahead of ours; None when it did not tell."""
        ours_ms = self._clock.machine_wall_ns() // 1_000_000
        request = Request("GET", "/.well-known/stigmem", {CLOCK_HEADER: str(ours_ms)})
        try:
            answer = await self._transport.request(row.node_url, request, _TIMEOUT_NS, limits.DISCOVERY_BYTES_MAX)
        except Unreachable:
            return None
        told = answer.headers.get(CLOCK_HEADER, "")
        if not (told.isascii() and told.isdigit() and len(told) < 17):
            return None
        return int(told) - self._clock.machine_wall_ns() // 1_000_000

    def _line_ms(self) -> int:
        return self._clock.wall_ns() // 1_000_000

    async def _tell(self, command: Command[None]) -> None:
        with suppress(NotStored):  # the doubt is the clock's and not the journal's
            await self._mailbox.submit(command)


class _ReadAgain:
    """The command that reads peers again whose facts were too early by a wrong clock."""

    def stage(self, txn: Transaction) -> None:
        reserve_cursors(txn)
        read_again_for_time(txn)


class _Doubted:
    """The command that keeps where the line of a doubt stands, so that a restart goes on from there; the first one of a
    doubt says how far the clock leads, and is audited."""

    def __init__(self, line_ms: int, lead_ms: int | None = None) -> None:
        self._line_ms = line_ms
        self._lead_ms = lead_ms

    def stage(self, txn: Transaction) -> None:
        txn.add(ClockDoubt(self._line_ms))
        if self._lead_ms is not None:
            txn.audit("clock_doubted", "", lead_ms=self._lead_ms)


class _Ended:
    """The command that ends a doubt."""

    def __init__(self, how: HowEnded, lead_ms: int) -> None:
        self._how = how
        self._lead_ms = lead_ms

    def stage(self, txn: Transaction) -> None:
        txn.add(ClockDoubt(0))
        txn.audit("clock_doubt_ended", "", how=self._how, lead_ms=self._lead_ms)
