"""What was known then is told the same later: both points of time, on nodes that crash, lag and have wrong clocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sim.check.base import Checker, CheckResult
from sim.check.conflict_views import resolutions_of
from sim.observation.node_view import LedgerReader, NodeView
from sim.ports import Observed
from stigmem.core.contradiction import evaluate
from stigmem.core.erasure import ERASED
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp
from stigmem.core.known_facts import KnownFacts

__all__ = ["Past"]

_FACTS_MAX: Final = 256
"""Facts of a ledger up to which an answer is kept: then at 1, 2, 4... of them."""
_SLOTS_MAX: Final = 40
"""Slots of a node that are compared with the plain definition, for each of three instants."""
_WORDS_MAX: Final = 60
"""Words of a slot up to which that is done: the definition looks at all of them for each."""

_Standing = list[tuple[bool, bool, bool]]


class _Answered(NamedTuple):
    """What a node answered when it had stored so many facts: of each whether it is live, in conflict and ended.
    `policy`: the digest of its operator's policy then."""

    seq: int
    policy: str
    standing: _Standing


class Past(Checker):
    """A node asked what it knew when it had stored n facts says what it said then, after crashes too. And what it says
    as of an instant is the definition of a contradiction over the words stamped up to then, which is the same on all
    nodes that hold the same facts."""

    name = "past"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._answered: dict[str, list[_Answered]] = {}

    def on_acknowledged(self, machine: str, fact_id: str) -> None:
        node = self.observed.nodes.get(machine)
        if node is None:
            return
        ledger = node.ledger
        count = ledger.last_seq
        kept = self._answered.setdefault(machine, [])
        # The newest fact has just been acknowledged: its batch is applied, and nothing has happened since.
        if not 0 < count <= _FACTS_MAX or ledger.log[-1].id != fact_id or (kept and count < 2 * kept[-1].seq):
            return
        kept.append(_Answered(count, node.policy_digest(), _standing(ledger, ledger.log)))

    def on_disk_wiped(self, machine: str) -> None:
        self._answered.pop(machine, None)

    def result(self) -> CheckResult:
        answers = slots = 0
        for node in self.observed.nodes.values():
            for answered in self._answered.get(node.name, ()):
                if any(fact.quarantine == ERASED for fact in node.ledger.log[: answered.seq]):
                    continue  # what was erased since is known at no time any more
                if node.policy_digest() != answered.policy:
                    continue  # the past is told by today's policy
                past = node.known_at(answered.seq)
                if past is None or _standing(past, node.ledger.log[: answered.seq]) != answered.standing:
                    self.fail(node.name, f"{node.name} does not know any more what it answered at {answered.seq} facts")
                answers += 1
            slots += self._compared(node)
        return self.holds_of(answers + slots, f"{answers} answers told again, {slots} slots as of earlier instants")

    def _compared(self, node: NodeView) -> int:
        ledger = node.ledger
        slots = list(dict.fromkeys(fact.slot for fact in ledger.log if not fact.is_system and not fact.quarantine))
        several = [slot for slot in slots if 1 < len(ledger.facts_of(slot)) <= _WORDS_MAX][:_SLOTS_MAX]
        if not several:
            return 0
        settling = resolutions_of(ledger)
        stamped = sorted(fact.wall_ms for fact in ledger.log)
        for share in (1, 2, 3):
            then_ms = stamped[len(stamped) * share // 4]
            newest, then_us = stamp(then_ms, 1 << 20), 1000 * then_ms
            past = node.as_of(then_us, newest)
            for slot in several:
                words = [fact for fact in ledger.facts_of(slot) if fact.stamp <= newest and ledger.fits(fact)]
                resolutions = [each for each in settling.get(slot, ()) if each.fact.stamp <= newest]
                counts = [node.resolves(each.fact.origin) and not past.voided(each.fact) for each in resolutions]
                plain = evaluate(
                    slot,
                    words,
                    [each for each, applies in zip(resolutions, counts, strict=True) if applies],
                    then_us,
                    cardinality=ledger.cardinality(slot[1]),
                    voided=frozenset((fact.origin, fact.id) for fact in words if past.voided(fact)),
                    unapplied=[each for each, applies in zip(resolutions, counts, strict=True) if not applies],
                )
                live = tuple(fact for fact in words if past.live(fact))
                contested = tuple(fact for fact in words if past.contradicted(fact))
                if live != plain.live or contested != (plain.members if plain.conflict else ()):
                    self.fail(node.name, f"{node.name} tells another {slot[0]} as of {then_us} us than its words say")
        return 3 * len(several)


def _standing(known: KnownFacts | LedgerReader, facts: Sequence[Fact]) -> _Standing:
    return [(known.live(fact), known.contradicted(fact), known.ended_by(fact) is not None) for fact in facts]
