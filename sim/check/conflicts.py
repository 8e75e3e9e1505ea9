"""Conflict agreement: the same sets, the same ids, the same status on every node that holds the same facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult
from sim.check.conflict_diff import Disagreement, compare, running
from sim.check.conflict_views import Key, conflicts_of, resolutions_of
from sim.world.clocks import EPOCH_NS
from stigmem.core.conflicts import Conflict
from stigmem.core.contradiction import SlotState, evaluate
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["ConflictAgreement", "disagreements", "open_by_definition"]


def open_by_definition(ledger: Ledger, now_us: int) -> dict[Key, SlotState]:
    """The open conflicts among the facts of a ledger, by the plain definition and not by the ledger's own
    bookkeeping."""
    resolutions = resolutions_of(ledger)
    by_slot: dict[Key, list[Fact]] = {}
    for fact in ledger.log:
        if not fact.is_system and fact.quarantine is None:
            by_slot.setdefault(fact.slot, []).append(fact)
    found: dict[Key, SlotState] = {}
    for key, facts in by_slot.items():
        if len(facts) > 1:
            verdict = evaluate(key, facts, resolutions.get(key, ()), now_us)
            if verdict.conflict is not None:
                found[key] = verdict
    return found


def disagreements(simulation: Simulation) -> list[Key]:
    """Slots of public facts about which nodes that are meant to hold the same do not see the same conflicts, apart
    from what some of them may lack."""
    return compare(simulation).odd


class ConflictAgreement(Checker):
    """Every node's conflicts are those that its facts define; public ones are the same on all nodes, apart from
    facts of hostile origins that a node refused, still holds back, or that nobody could pass on to it."""

    name = "conflict-agreement"
    liveness = True

    def __init__(self) -> None:
        self.resolved = 0
        """The most that any node told of as settled."""

    def is_quiet(self, simulation: Simulation) -> bool:
        return not compare(simulation, thorough=bool(simulation.adversaries)).odd

    def result(self, simulation: Simulation) -> CheckResult:
        now_us = (EPOCH_NS + simulation.world.now) // 1_000
        nodes = running(simulation)
        for name, node in nodes:
            ledger = node.state.ledger
            ledger.advance(now_us)  # all at one instant: nodes' clocks differ, and expiry with them
            sentence = self._by_definition(ledger, now_us) or _unlisted(ledger, conflicts_of(node))
            if sentence is not None:
                return CheckResult(self.name, False, f"{name}: {sentence}")
        told = [[each for each in conflicts_of(node) if each.slot[2] == "public"] for _, node in nodes]
        counts = [sum(conflict.status == "unresolved" for conflict in each) for each in told]
        settled = [len(each) - count for each, count in zip(told, counts, strict=True)]
        self.resolved = max(settled, default=0)
        numbers = f"{_span(counts)} open and {_span(settled)} resolved in scope public"
        if simulation.converged_at is None:
            why = "on each node what its own facts define; not compared, since the federation did not converge"
            return CheckResult(self.name, True, f"{numbers}, {why}")
        found = compare(simulation)
        if found.odd:
            sentence = f"the nodes do not see the same conflicts about {' '.join(found.odd[0])}"
            return CheckResult(self.name, False, sentence)
        return CheckResult(self.name, True, f"{numbers}, {_likeness(simulation, found)}")

    def _by_definition(self, ledger: Ledger, now_us: int) -> str | None:
        expected = open_by_definition(ledger, now_us)
        if expected.keys() != ledger.contested.keys():
            odd = min(expected.keys() ^ ledger.contested.keys())
            return f"the ledger and the definition differ on whether {odd} is contested"
        for key, verdict in expected.items():
            slot = ledger.contested[key]
            if slot.conflict != verdict.conflict or tuple(slot.members()) != verdict.members:
                return f"the ledger's conflict set of {key} is not the defined one"
        return None


def _unlisted(ledger: Ledger, told: Sequence[Conflict]) -> str | None:
    """An open conflict that the node's own listing does not show."""
    shown = {conflict.slot: conflict.id for conflict in told if conflict.status == "unresolved"}
    odd = next((key for key, slot in ledger.contested.items() if shown.get(key) != slot.conflict), None)
    return None if odd is None else f"the open conflict about {' '.join(odd)} is not listed"


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts, default=0), max(counts, default=0)
    return f"{most}" if least == most else f"{least} to {most}"


def _likeness(simulation: Simulation, found: Disagreement) -> str:
    """What was compared, in words: no more than was."""
    if not found.compared:
        return "on nodes of which no two are meant to hold the same"
    words = "the same everywhere" if found.whole else "the same on all nodes that are meant to hold the same"
    return f"{words}, but for {found.excused} triples of which some may lack facts" if found.excused else words
