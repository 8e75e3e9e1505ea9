"""What clients are shown is what their node holds and what stands of it: nothing less, nothing more, in order.

Theory
------
A client reads all pages of what a node shows of an entity. Meanwhile facts arrive, so that the answer is that of no
single instant. Two sets bound it: what is to be shown at *every* moment between the question and the last page must be
in it, and what is to be shown at *none* of them must not. Where nothing happened meanwhile the two are one.

What is to be shown at a moment is worked out from the facts that the node held then, taken from its log, by the plain
definition (`stigmem.core.contradiction.evaluate`), and not by the ledger that answered: live facts, without those in an
open conflict, of the scope that was asked for. So the checker notices a page that loses its last fact, a cursor that
skips or repeats, a fact that was superseded, retracted, expired or is contested and is shown as if it stood, one of
another scope, one that the node does not hold, and one that a client had seen and that is gone without a word.

What is not judged: entities of which a node holds very many words, and what tombstones cover. Instants are judged
between the horizon of the node's ledger and its machine's wall clock, so that a clock that is in doubt is no failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sim.check.base import Checker, CheckResult
from sim.check.conflict_views import resolutions_of, voided_of
from sim.observation.node_view import NodeView, SlotKey
from sim.observation.reads import Moment, Read
from sim.ports import Observed
from stigmem.core.contradiction import evaluate
from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.fact import Fact
from stigmem.core.resolution import Resolution

__all__ = ["Reads"]

_WORDS_MAX: Final = 80
"""Words of an entity up to which it is judged: the definition looks at all of them for each moment."""
_MOMENTS_MAX: Final = 6
"""Facts that may have come meanwhile for a read to be judged: each makes a moment of its own."""


class Reads(Checker):
    """Every page that a workload of readers got, at the moment at which it got the last one."""

    name = "reads"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.judged = self.passed = 0
        """Answers that were judged, and those of too much to be judged."""
        self._logs: dict[str, tuple[NodeView, int, dict[str, list[Fact]]]] = {}
        """Node -> its life, how much of its log was looked at, and the facts of each entity in that."""
        self._seen: dict[tuple[str, str], dict[str, None]] = {}
        """(node, entity) -> ids that a client there was shown."""

    def on_disk_wiped(self, machine: str) -> None:
        self._seen = {key: ids for key, ids in self._seen.items() if key[0] != machine}

    def on_read(self, read: Read) -> None:
        node = self.observed.node(read.node)
        if node is None:
            return
        held = self._held(node, read.question.entity)
        if len(held) > _WORDS_MAX or read.ended.seq - read.begun.seq > _MOMENTS_MAX or node.tombstones:
            self.passed += 1
            return
        self.judged += 1
        self._look_at_each(read, held)
        always, ever = self._bounds(node, read, held)
        shown = {fact.id: None for fact in read.shown}
        for fact in read.shown:
            if fact.id not in ever:
                self._fail(read, f"was shown {fact.id} of {fact.source}, {self._why_not(node, read, held, fact.id)}")
        for fact_id in always:
            if fact_id not in shown:
                one = next(fact for fact in held if fact.id == fact_id)
                self._fail(read, f"was not shown {fact_id} of {one.source}, which stands and which {read.node} holds")
        known = self._seen.setdefault((read.node, read.question.entity), {})
        ids = {fact.id: None for fact in held}
        for fact_id in known:
            if fact_id not in ids:
                self._fail(read, f"had been shown {fact_id}, which {read.node} does not hold any more")
        known.update(shown)

    def _fail(self, read: Read, sentence: str) -> None:
        where = "" if read.question.scope is None else f" in scope {read.question.scope}"
        self.fail(read.node, f"a reader of {read.question.entity}{where} on {read.node} {sentence}")

    def _look_at_each(self, read: Read, held: Sequence[Fact]) -> None:
        """Each row by itself, and their order."""
        by_id = {fact.id: fact for fact in held}
        last = "~"
        seen: dict[str, None] = {}
        for row in read.shown:
            fact = by_id.get(row.id)
            if fact is None or (fact.entity, fact.relation, fact.scope, fact.source, fact.confidence) != (
                row.entity, row.relation, row.scope, row.source, row.confidence,
            ):  # fmt: skip
                self._fail(read, f"was shown {row.id}, and {read.node} holds no such fact")
            if read.question.scope not in (None, row.scope):
                self._fail(read, f"was shown {row.id}, which is of scope {row.scope}")
            if row.id in seen:
                self._fail(read, f"was shown {row.id} twice")
            if row.hlc > last:
                self._fail(read, f"was shown {row.id} after an older fact")
            last = row.hlc
            seen[row.id] = None

    def _bounds(self, node: NodeView, read: Read, held: Sequence[Fact]) -> tuple[dict[str, None], dict[str, None]]:
        """Ids of what is to be shown at every moment of the read, and at any."""
        always: dict[str, None] | None = None
        ever: dict[str, None] = {}
        settling = resolutions_of(node.ledger)
        for seq, at_us in _moments(read.begun, read.ended):
            now = dict.fromkeys(
                fact.id for fact in _standing(node, held, settling, seq, at_us)
                if read.question.scope in (None, fact.scope)
            )  # fmt: skip
            ever |= now
            always = now if always is None else {each: None for each in always if each in now}
        return always or {}, ever

    def _why_not(self, node: NodeView, read: Read, held: Sequence[Fact], fact_id: str) -> str:
        fact = next(each for each in held if each.id == fact_id)
        if fact.is_retraction:
            return "which takes something back"
        if (fact.origin, fact.id) in voided_of(node.ledger, read.begun.seq):
            return "which its own node has voided"
        if fact.expires_us is not None and fact.expires_us <= min(read.begun.early_us, read.begun.late_us):
            return "which has expired"
        words = [each for each in held if each.slot == fact.slot and each.seq <= read.begun.seq]
        state = evaluate(fact.slot, words, (), read.begun.early_us, cardinality=node.ledger.cardinality(fact.relation))
        by = state.ended_by.get((fact.origin, fact.id))
        if by is not None:
            return f"which {by.id} has ended"
        return "which is in an open conflict or was settled against"

    def _held(self, node: NodeView, entity: str) -> list[Fact]:
        """The facts about an entity that a node holds, by the order in which it stored them."""
        life, looked_at, by_entity = self._logs.get(node.name, (None, 0, {}))
        if life is not node:
            looked_at, by_entity = 0, {}
        log = node.ledger.log
        for fact in log[looked_at:]:
            if not fact.is_system:
                by_entity.setdefault(fact.entity, []).append(fact)
        self._logs[node.name] = node, len(log), by_entity
        return by_entity.get(entity, [])

    def result(self) -> CheckResult:
        passed = f", {self.passed} more of too much to be judged" if self.passed else ""
        return self.holds_of(self.judged, f"{self.judged} answers to readers{passed}")


def _moments(begun: Moment, ended: Moment) -> list[tuple[int, int]]:
    """How many facts there were and by which instant was judged, for every moment that an answer may be of."""
    instants = dict.fromkeys((begun.early_us, begun.late_us, ended.early_us, ended.late_us))
    return [(seq, at_us) for seq in range(begun.seq, ended.seq + 1) for at_us in instants]


def _standing(
    node: NodeView, held: Sequence[Fact], settling: Mapping[SlotKey, Sequence[Resolution]], seq: int, at_us: int
) -> Iterable[Fact]:
    """What a query shows of these facts when so many were stored, by the plain definition.
    `settling`: every resolution that the node holds now, by slot."""
    ledger = node.ledger
    slots: dict[SlotKey, list[Fact]] = {}
    for fact in held:
        if fact.seq <= seq and fact.quarantine is None and not is_foreign_instruction(fact) and ledger.fits(fact):
            slots.setdefault(fact.slot, []).append(fact)
    voided = voided_of(ledger, seq)
    for slot, words in slots.items():
        about = [each for each in settling.get(slot, ()) if each.fact.seq <= seq]
        applied = [each for each in about if node.resolves(each.fact.origin)]
        state = evaluate(
            slot,
            words,
            applied,
            at_us,
            cardinality=ledger.cardinality(slot[1]),
            voided=voided,
            unapplied=[each for each in about if not node.resolves(each.fact.origin)],
        )
        disputed = {(fact.origin, fact.id): None for fact in state.members} if state.conflict else {}
        yield from (fact for fact in state.live if (fact.origin, fact.id) not in disputed)
