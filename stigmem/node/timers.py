"""Timers: what falls due by itself.

Expiry, slots that are derived anew, facts that were too early, long polls whose time is up, and the count of audit rows
that were suppressed. This task only submits; the writer acts.
"""

from __future__ import annotations

from typing import Final

from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.quotas import Quotas
from stigmem.node.replication.deferred import DeferredFacts
from stigmem.node.replication.long_polls import LongPolls
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction
from stigmem.node.trusted_clock import TrustedClock

__all__ = ["Timers"]

_REST_NS_MAX: Final = 60_000_000_000
"""The longest rest: the wall clock by which things fall due may be set at any time."""
_REST_NS_MIN: Final = 1_000_000


class Timers:
    """Sleeps until the next thing is due."""

    def __init__(
        self,
        *,
        clock: TrustedClock,
        state: NodeState,
        deferred: DeferredFacts,
        long_polls: LongPolls,
        quotas: Quotas,
        mailbox: Mailbox,
    ) -> None:
        self._clock = clock
        self._state = state
        self._ledger = state.ledger
        self._deferred = deferred
        self._long_polls = long_polls
        self._quotas = quotas
        self._mailbox = mailbox
        self._wake = clock.signal()

    def wake(self) -> None:
        """Something with a deadline was added: look again when the next thing is due."""
        self._wake.set()

    async def run(self) -> None:
        """Sleep, do what is due, and sleep again, until the node stops."""
        clock = self._clock
        while True:
            await self._wake.wait(self._rest_ns())
            now_ns = clock.watch()
            expiry_us = self._ledger.next_expiry_us()
            if (expiry_us is not None and expiry_us <= now_ns // 1_000) or self._state.slots_to_rederive:
                await self._tick()
            self._long_polls.release(clock.monotonic_ns(), news=False)
            await self._deferred.retry(now_ns // 1_000_000)
            if self._quotas.suppressed:
                await self._tick()

    def _rest_ns(self) -> int:
        if self._state.slots_to_rederive:
            return _REST_NS_MIN
        clock = self._clock
        rest = _REST_NS_MAX
        expiry_us = self._ledger.next_expiry_us()
        if expiry_us is not None:
            rest = min(rest, expiry_us * 1_000 - clock.wall_ns())
        deferred_ns = self._deferred.rest_ns()
        if deferred_ns is not None:
            rest = min(rest, deferred_ns)
        deadline_ns = self._long_polls.next_deadline_ns()
        if deadline_ns is not None:
            rest = min(rest, deadline_ns - clock.monotonic_ns())
        return max(rest, _REST_NS_MIN)

    async def _tick(self) -> None:
        try:
            await self._mailbox.submit(_Tick(self._quotas))
        except NotStored as failure:
            self._quotas.suppressed += failure.staged or 0


class _Tick:
    """An empty command: its batch applies expiry and derives slots anew, and records how many audit rows were
    suppressed, which is its result."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def stage(self, txn: Transaction) -> int:
        suppressed, self._quotas.suppressed = self._quotas.suppressed, 0
        if suppressed:
            txn.audit("strangers_suppressed", "", count=suppressed)
        return suppressed
