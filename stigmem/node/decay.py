"""Sweeps: ending facts for the readers of this node, by command and by themselves (http-api 6.2, `stigmem.core.decay`).

A sweep looks through the ledger in slices, in a task, and hands what it found to the writer a thousand at a time. What
it ends is decided again in the writer's turn, so that a fact which ended meanwhile is not ended twice; a second sweep
finds nothing new. The keeper sweeps every `decay_interval_s`, where the operator's settings ask for anything.

What a policy of mode `retract` names of this node's own facts is taken back by its operator: with a retraction that
peers hear of (spec/contradiction.md, 2), one for each slot. That ends every word of this node in the slot; where one of
them is not old enough, and for facts of other nodes, which only their own operator can take back, the fact is ended for
the readers of this node alone. In a garden a sweep ends facts for its members, and writes no retraction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from stigmem.core.decay import DecayPolicies, DecayPolicy, Thresholds
from stigmem.core.fact import Fact
from stigmem.core.gardens import Garden
from stigmem.core.ledger import Ledger
from stigmem.core.records import SweptFact, SweptGardenFact
from stigmem.core.scopes import SCOPES
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Clock
from stigmem.node.settings import NodeSettings
from stigmem.node.transaction import RetryNextBatch, Transaction

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

    def __init__(
        self,
        *,
        node_id: str,
        settings: NodeSettings,
        policies: DecayPolicies,
        ledger: Ledger,
        clock: Clock,
        mailbox: Mailbox,
    ) -> None:
        self._node_id = node_id
        self.policies = policies
        self._settings = settings
        self._thresholds = Thresholds(settings.decay_ttl_s or None, settings.decay_min_confidence or None)
        self._by_age = any(policy.mode == "retract" for policy in settings.decay_policies)
        self._ledger = ledger
        self._clock = clock
        self._mailbox = mailbox

    def confidence(self, fact: Fact, now_us: int) -> float:
        """How sure a fact is read to be at an instant, in microseconds since the epoch."""
        return self.policies.confidence(fact, now_us) if self.policies else fact.confidence

    async def sweep(
        self,
        by: str,
        scopes: tuple[str, ...],
        is_there: Among,
        thresholds: Thresholds,
        *,
        dry_run: bool,
        garden: Garden | None = None,
    ) -> Sweep:
        """End what the thresholds name in these scopes, or in a garden. `by`: who asked, for the audit log;
        `is_there`: which facts are there for who asked. Raises NotStored."""
        now_us = self._now_us()
        found: list[Fact] = []
        for scope in scopes:
            found += await self._live(
                self._ledger if garden is None else garden.ledger,
                scope,
                lambda fact: is_there(fact) and thresholds.ends(fact, self.policies.confidence(fact, now_us), now_us),
            )
        if dry_run:
            return Sweep(len(found), 0)
        return Sweep(len(found), await self._end(by, found, garden))

    async def sweep_by_policies(
        self,
        by: str,
        scopes: tuple[str, ...],
        is_there: Among,
        only: DecayPolicy | None,
        *,
        dry_run: bool,
        garden: Garden | None = None,
    ) -> PolicySweep:
        """End what policies of mode `retract` name in these scopes, and count what the others do. `only`: this policy
        alone; the others as for `sweep`. Raises NotStored."""
        now_us = self._now_us()
        ledger = self._ledger if garden is None else garden.ledger
        applied: dict[str, None] = {}
        ended: list[Fact] = []
        evaluated = reduced = would_end = 0
        for scope in scopes:
            for fact in await self._live(ledger, scope, lambda f: is_there(f) and self.policies.of(f) is not None):
                policy = self.policies.of(fact)
                if policy is None or only not in (None, policy):
                    continue
                evaluated += 1
                applied[policy.id] = None
                if policy.mode == "confidence":
                    reduced += self.policies.confidence(fact, now_us) < fact.confidence
                elif _is_old(fact, policy, now_us):
                    if policy.mode == "retract" and not dry_run:
                        ended.append(fact)
                    else:
                        would_end += 1
        own = [] if garden is not None else [fact for fact in ended if fact.origin == self._node_id]
        others = ended if garden is not None else [fact for fact in ended if fact.origin != self._node_id]
        count = await self._end(by, others, garden)
        for start in range(0, len(own), _PER_COMMAND):
            count += await self._mailbox.submit(_TakeBack(by, own[start : start + _PER_COMMAND], self.policies))
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

    async def _live(self, ledger: Ledger, scope: str, wanted: Callable[[Fact], bool]) -> list[Fact]:
        """Live facts of a scope that a sweep may end and that are wanted, oldest first."""
        held = list(ledger.by_scope.get(scope))
        found: list[Fact] = []
        for start in range(0, len(held), _SLICE):
            some = (fact for fact in held[start : start + _SLICE] if not fact.is_system)
            found += (fact for fact in some if wanted(fact) and ledger.live(fact))
            await self._clock.checkpoint()
        return found

    async def _end(self, by: str, facts: list[Fact], garden: Garden | None) -> int:
        ended = 0
        for start in range(0, len(facts), _PER_COMMAND):
            part = facts[start : start + _PER_COMMAND]
            ended += await self._mailbox.submit(_EndFacts(by, part, "" if garden is None else garden.row.garden_id))
        return ended

    def _now_us(self) -> int:
        return self._clock.wall_ns() // 1_000


def _any(fact: Fact) -> bool:
    return True


def _is_old(fact: Fact, policy: DecayPolicy, now_us: int) -> bool:
    return now_us - fact.timestamp_us > 1e6 * (policy.ttl_s or 0.0)


class _EndFacts:
    """The command that ends facts now; its result is how many were not at an end already."""

    def __init__(self, by: str, facts: list[Fact], garden_id: str) -> None:
        """`garden_id`: empty for facts of the node itself."""
        self._by = by
        self._facts = facts
        self._garden_id = garden_id

    def stage(self, txn: Transaction) -> int:
        name = self._garden_id
        if not name:
            ended = _swept(txn, self._facts)
            if ended:
                txn.audit("decay_swept", self._by, count=ended)
            return ended
        garden = txn.state.gardens.get(name)
        if garden is None:
            return 0  # it was deleted meanwhile
        wanted = [f for f in self._facts if garden.ledger.live(f) and txn.try_reserve("sweep", f"{name} {f.seq}")]
        for fact in wanted:
            txn.add(SweptGardenFact(name, fact.seq, txn.now_us))
        if wanted:
            txn.audit("garden_swept", self._by, garden=name)
        return len(wanted)


class _TakeBack:
    """The command that takes back old facts of this node's own, by the operator's retractions; its result is how many
    facts ended."""

    def __init__(self, by: str, facts: list[Fact], policies: DecayPolicies) -> None:
        self._by = by
        self._facts = facts
        self._policies = policies

    def stage(self, txn: Transaction) -> int:
        if txn.clock_lead_ns:
            return 0  # nothing is stamped while the clock is in doubt; the next sweep finds them again
        live = [fact for fact in self._facts if txn.state.ledger.live(fact)]
        if any(txn.words.asserts(fact.slot) for fact in live):
            raise RetryNextBatch  # something new is being said there, which a later stamp would end
        taken_back: dict[tuple[str, str, str], None] = {}
        only_here: list[Fact] = []
        for fact in live:
            if fact.slot in taken_back:
                continue
            if self._are_all_old(txn, fact):
                taken_back[fact.slot] = None
                _retract(txn, fact)
            else:
                only_here.append(fact)
        ended = sum(fact.slot in taken_back for fact in live) + _swept(txn, only_here)
        if ended:
            txn.audit("decay_swept", self._by, count=ended)
        return ended

    def _are_all_old(self, txn: Transaction, fact: Fact) -> bool:
        """Whether every live word of this node in the slot is as old as the policy says."""
        ledger, policy = txn.state.ledger, self._policies.of(fact)
        return policy is not None and all(
            _is_old(word, policy, txn.now_us)
            for word in ledger.facts_of(fact.slot)
            if word.origin == fact.origin and ledger.live(word)
        )


def _retract(txn: Transaction, fact: Fact) -> None:
    """Take back what this node says in the slot of a fact."""
    word = msgspec.structs.replace(
        fact,
        stamp=txn.tick(),
        source=fact.origin,
        confidence=0.0,
        timestamp_us=txn.now_us,
        valid_until=None,
        derived_from="",
        certified=True,
    )
    stored = txn.store(msgspec.structs.replace(word, id=word.certified_id()))
    txn.audit("fact_write", fact.origin, fact_id=stored.id, cid=stored.cid, scope=stored.scope)


def _swept(txn: Transaction, facts: list[Fact]) -> int:
    """End facts of the node itself here; how many were not at an end already."""
    ended = [fact for fact in facts if txn.state.ledger.live(fact) and txn.try_reserve("sweep", fact.seq)]
    for fact in ended:
        txn.add(SweptFact(fact.seq, txn.now_us))
    return len(ended)
