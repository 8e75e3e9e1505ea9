"""Sweeps: ending facts for the readers of this node, by command and by themselves (http-api 6.2, `stigmem.core.decay`).

A sweep looks through the ledger in slices, in a task, and hands what it found to the writer a thousand at a time. What
it ends is decided again in the writer's turn, so that a fact which ended meanwhile is not ended twice; a second sweep
finds nothing new. The keeper sweeps every `decay_interval_s`, where the operator's settings ask for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from stigmem.core.decay import DecayPolicies, DecayPolicy, Thresholds
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.records import SweptFact
from stigmem.core.scopes import SCOPES
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Clock
from stigmem.node.settings import NodeSettings
from stigmem.node.transaction import Transaction

__all__ = ["PolicySweep", "Sweep", "Sweeper"]

_SLICE: Final = 500
_PER_COMMAND: Final = 1_000
_KEEPER: Final = "system:stigmem:decay"


Among = Callable[[Fact], bool]
"""Which facts a sweep may count and end."""


class Sweep(NamedTuple):
    """What a sweep by thresholds did: facts that it was to end, and those that it ended."""

    scanned: int
    decayed: int


class PolicySweep(NamedTuple):
    """What a sweep by policies did. `evaluated`: facts to which a policy applies; `ended` by mode `retract`, `reduced`
    by mode `confidence`, which is a reading and leaves no record; `would_end` by mode `dry_run`."""

    evaluated: int
    ended: int
    reduced: int
    would_end: int
    would_reduce: int
    applied: list[str]


class Sweeper:
    """Makes the sweeps of one node."""

    def __init__(self, *, settings: NodeSettings, ledger: Ledger, clock: Clock, mailbox: Mailbox) -> None:
        self.policies = DecayPolicies(settings.decay_policies)
        self._settings = settings
        self._thresholds = Thresholds(settings.decay_ttl_s or None, settings.decay_min_confidence or None)
        self._by_age = any(policy.mode == "retract" for policy in settings.decay_policies)
        self._ledger = ledger
        self._clock = clock
        self._mailbox = mailbox

    def confidence(self, fact: Fact) -> float:
        """How sure a fact is read to be now."""
        return self.policies.confidence(fact, self._now_us()) if self.policies else fact.confidence

    async def sweep(
        self, by: str, scopes: tuple[str, ...], is_there: Among, thresholds: Thresholds, *, dry_run: bool
    ) -> Sweep:
        """End what the thresholds name in these scopes. `by`: who asked, for the audit log; `is_there`: which facts are
        there for who asked. Raises NotStored."""
        now_us = self._now_us()
        found: list[Fact] = []
        for scope in scopes:
            found += await self._live(
                scope,
                lambda fact: is_there(fact) and thresholds.ends(fact, self.policies.confidence(fact, now_us), now_us),
            )
        if dry_run:
            return Sweep(len(found), 0)
        return Sweep(len(found), await self._end(by, found))

    async def sweep_by_policies(
        self, by: str, scopes: tuple[str, ...], is_there: Among, only: DecayPolicy | None, *, dry_run: bool
    ) -> PolicySweep:
        """End what policies of mode `retract` name in these scopes, and count what the others do. `only`: this policy
        alone; the others as for `sweep`. Raises NotStored."""
        now_us = self._now_us()
        applied: dict[str, None] = {}
        ended: list[Fact] = []
        evaluated = reduced = would_end = 0
        for scope in scopes:
            for fact in await self._live(scope, lambda fact: is_there(fact) and self.policies.of(fact) is not None):
                policy = self.policies.of(fact)
                if policy is None or only not in (None, policy):
                    continue
                evaluated += 1
                applied[policy.id] = None
                if policy.mode == "confidence":
                    reduced += self.policies.confidence(fact, now_us) < fact.confidence
                elif now_us - fact.timestamp_us > 1e6 * (policy.ttl_s or 0.0):
                    if policy.mode == "retract" and not dry_run:
                        ended.append(fact)
                    else:
                        would_end += 1
        count = await self._end(by, ended)
        return PolicySweep(
            evaluated=evaluated,
            ended=count,
            reduced=0 if dry_run else reduced,
            would_end=would_end,
            would_reduce=reduced if dry_run else 0,
            applied=sorted(applied),
        )

    @property
    def is_wanted(self) -> bool:
        """Whether the operator's settings ask for sweeps that the node makes by itself."""
        return self._by_age or self._thresholds != Thresholds(None, None)

    async def keep(self) -> None:
        """Sweep by the operator's settings, again and again."""
        settings, thresholds = self._settings, self._thresholds
        while True:
            await self._clock.sleep(int(settings.decay_interval_s * 1e9))
            try:
                if thresholds != Thresholds(None, None):
                    await self.sweep(_KEEPER, SCOPES, _any, thresholds, dry_run=False)
                if self._by_age:
                    await self.sweep_by_policies(_KEEPER, SCOPES, _any, None, dry_run=False)
            except NotStored:
                continue  # the disk is full, which is told elsewhere; what was to end is found by the next sweep

    async def _live(self, scope: str, wanted: Callable[[Fact], bool]) -> list[Fact]:
        """Live facts of a scope that a sweep may end and that are wanted, oldest first."""
        ledger = self._ledger
        held = list(ledger.by_scope.get(scope))
        found: list[Fact] = []
        for start in range(0, len(held), _SLICE):
            some = (fact for fact in held[start : start + _SLICE] if not fact.is_system)
            found += (fact for fact in some if wanted(fact) and ledger.live(fact))
            await self._clock.checkpoint()
        return found

    async def _end(self, by: str, facts: list[Fact]) -> int:
        ended = 0
        for start in range(0, len(facts), _PER_COMMAND):
            ended += await self._mailbox.submit(_EndFacts(by, facts[start : start + _PER_COMMAND]))
        return ended

    def _now_us(self) -> int:
        return self._clock.wall_ns() // 1_000


def _any(fact: Fact) -> bool:
    return True


class _EndFacts:
    """The command that ends facts now; its result is how many were not at an end already."""

    def __init__(self, by: str, facts: list[Fact]) -> None:
        self._by = by
        self._facts = facts

    def stage(self, txn: Transaction) -> int:
        ended = [fact for fact in self._facts if txn.state.ledger.live(fact) and txn.try_reserve("sweep", fact.seq)]
        for fact in ended:
            txn.add(SweptFact(fact.seq, txn.now_us))
        if ended:
            txn.audit("decay_swept", self._by, count=len(ended))
        return len(ended)
