"""Conflict agreement: the same sets, the same ids, the same status on every node that holds the same facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult
from sim.clocks import EPOCH_NS
from stigmem.core.conflicts import Conflict
from stigmem.core.contradiction import Verdict, evaluate
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import Resolution, read_resolution

if TYPE_CHECKING:
    from sim.lab import Lab

__all__ = ["ConflictAgreement", "open_by_definition"]

Key = tuple[str, str, str]


def open_by_definition(ledger: Ledger, now_us: int) -> dict[Key, Verdict]:
    """The open conflicts among the facts of a ledger, by the plain definition and not by the ledger's own
    bookkeeping."""
    by_triple: dict[Key, list[Fact]] = {}
    resolutions: dict[Key, list[Resolution]] = {}
    for fact in ledger.log:
        resolution = read_resolution(fact) if fact.derived_from else None
        if resolution is not None:
            resolutions.setdefault(resolution.triple, []).append(resolution)
        elif not fact.is_system and fact.quarantine is None:
            by_triple.setdefault(fact.triple, []).append(fact)
    found: dict[Key, Verdict] = {}
    for key, facts in by_triple.items():
        if len(facts) > 1:
            verdict = evaluate(key, facts, resolutions.get(key, ()), now_us)
            if verdict.conflict is not None:
                found[key] = verdict
    return found


class ConflictAgreement(Checker):
    """Every node's conflicts are those that its facts define, and equal facts give equal conflicts."""

    name = "conflict-agreement"
    liveness = True

    def __init__(self) -> None:
        self.open = 0
        self.resolved = 0
        self.divergent = 0

    def agrees(self, lab: Lab) -> bool:
        views = [tuple(sorted(self._public(ledger))) for _, ledger in _ledgers(lab)]
        return all(view == views[0] for view in views[1:]) or not self._same_public_facts(lab)

    def _public(self, ledger: Ledger) -> Iterator[tuple[str, str]]:
        for key, triple in ledger.contested.items():
            if key[2] == "public":
                yield triple.conflict or "", key[0]

    def _same_public_facts(self, lab: Lab) -> bool:
        """Whether all nodes are meant to hold the same public facts."""
        sets = {frozenset(lab.plan.readers(name, "public")) for name in lab.plan.nodes if name not in lab.gone}
        return len(sets) == 1

    def settled(self, lab: Lab) -> CheckResult:
        now_us = (EPOCH_NS + lab.world.now) // 1_000
        whole = self._same_public_facts(lab)
        first: dict[str, Conflict] | None = None
        for name, ledger in _ledgers(lab):
            ledger.advance(now_us)  # all at one instant: nodes' clocks differ, and expiry with them
            sentence = self._by_definition(ledger, now_us)
            if sentence is not None:
                self.divergent += 1
                return CheckResult(self.name, False, f"{name}: {sentence}")
            node = lab.machines[name].node
            book = node.state.conflicts.all() if node is not None else []
            public = {c.id: c for c in book if c.triple[2] == "public"}
            if first is None:
                first = public
                self.open = sum(c.status == "unresolved" for c in book)
                self.resolved = sum(c.status == "resolved" for c in book)
            elif whole and lab.converged_at is not None and not _equal(first, public):
                self.divergent = len(set(first) ^ set(public)) or 1
                return CheckResult(self.name, False, f"{name} sees other public conflicts than {lab.plan.nodes[0]}")
        return CheckResult(self.name, True, f"{self.open} open and {self.resolved} resolved, the same everywhere")

    def _by_definition(self, ledger: Ledger, now_us: int) -> str | None:
        expected = open_by_definition(ledger, now_us)
        if expected.keys() != ledger.contested.keys():
            odd = sorted(expected.keys() ^ ledger.contested.keys())[0]
            return f"the ledger and the definition differ on whether {odd} is contested"
        for key, verdict in expected.items():
            triple = ledger.contested[key]
            if triple.conflict != verdict.conflict or tuple(triple.members()) != verdict.members:
                return f"the ledger's conflict set of {key} is not the defined one"
        return None


def _equal(first: dict[str, Conflict], second: dict[str, Conflict]) -> bool:
    if first.keys() != second.keys():
        return False
    return all(
        conflict.status == second[name].status
        and conflict.fact_a.id == second[name].fact_a.id
        and conflict.fact_b.id == second[name].fact_b.id
        and [fact.id for fact in conflict.members] == [fact.id for fact in second[name].members]
        for name, conflict in first.items()
    )


def _ledgers(lab: Lab) -> list[tuple[str, Ledger]]:
    return [
        (name, machine.node.state.ledger)
        for name, machine in lab.machines.items()
        if machine.node is not None and name not in lab.gone
    ]
