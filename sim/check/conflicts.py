"""Conflict agreement: the same sets, the same ids, the same status on every node that holds the same facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sim.check.base import Boot, Checker, CheckResult, Commit, Commits
from sim.check.conflict_diff import Disagreement, compare, running
from sim.check.conflict_views import resolutions_of, voided_of
from sim.observation.node_view import LedgerReader, SlotKey
from sim.ports import Observed
from sim.units import format_duration
from stigmem.core.conflicts import Conflict
from stigmem.core.contradiction import SlotState, evaluate
from stigmem.core.fact import Fact

__all__ = ["ConflictAgreement", "open_by_definition"]

_EXPIRY_LATE_NS: Final = 65_000_000_000
"""How long an expiry may be overdue, in true time: the longest rest of a node's timers, and what a clock that drifts by
some percent makes of it."""


def open_by_definition(ledger: LedgerReader, now_us: int) -> dict[SlotKey, SlotState]:
    """The open conflicts among the facts of a ledger, by the plain definition and not by the ledger's own
    bookkeeping."""
    resolutions, voided = resolutions_of(ledger), voided_of(ledger)
    by_slot: dict[SlotKey, list[Fact]] = {}
    for fact in ledger.log:
        if not fact.is_system and fact.quarantine is None and ledger.fits(fact):
            by_slot.setdefault(fact.slot, []).append(fact)
    found: dict[SlotKey, SlotState] = {}
    for key, facts in by_slot.items():
        if len(facts) > 1:
            found_here = resolutions.get(key, ())
            many = ledger.cardinality(key[1])
            state = evaluate(key, facts, found_here, now_us, cardinality=many, voided=voided)
            if state.conflict is not None:
                found[key] = state
    return found


class ConflictAgreement(Checker):
    """Every node's conflicts are those that its facts define; public ones are the same on all nodes, apart from
    facts of hostile origins that a node refused, still holds back, or that nobody could pass on to it.

    Nodes' clocks differ, and expiry with them: at the end all are looked at as of one instant of true time. That a node
    applies expiry at all is looked at while the run goes on: a fact whose time has passed by the node's own clock does
    not stand for longer than the longest rest of its timers.
    """

    name = "conflict-agreement"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._overdue: dict[str, tuple[int, int]] = {}
        """Node -> since when, in true time, it has been seen with an expiry overdue, and its ledger's horizon then. A
        ledger whose horizon has moved since then has applied what was due."""
        self.resolved = 0
        """The most that any node told of as settled."""

    def on_commit(self, commit: Commit) -> None:
        self._look_at_expiry(commit.machine)

    def on_boot(self, boot: Boot) -> None:
        self._overdue.pop(boot.machine, None)

    def _look_at_expiry(self, machine: str) -> None:
        node = self.observed.node(machine)
        due_us = None if node is None else node.ledger.next_expiry_us()
        if node is None or due_us is None or self.observed.wall_us(machine) < due_us:
            self._overdue.pop(machine, None)
            return
        now, horizon_us = self.observed.now_ns, node.ledger.horizon_us
        since, then_us = self._overdue.get(machine, (now, horizon_us))
        if then_us != horizon_us:
            since = now
        self._overdue[machine] = since, horizon_us
        if now - since > _EXPIRY_LATE_NS:
            late = format_duration(now - since)
            self.fail(machine, f"a fact's time has passed on the node's own clock, and it still stands {late} later")

    def is_quiet(self) -> bool:
        return not compare(self.observed, thorough=bool(self.observed.hostile)).odd

    def result(self) -> CheckResult:
        for machine in self.observed.nodes:
            self._look_at_expiry(machine)
        now_us = self.observed.now_us
        nodes = running(self.observed)
        for node in nodes:
            ledger = node.ledger_as_of(now_us)
            sentence = _undefined(ledger, now_us) or _unlisted(ledger, node.conflicts(now_us))
            if sentence is not None:
                self.fail(node.name, sentence)
        told = [[each for each in node.conflicts(now_us) if each.slot[2] == "public"] for node in nodes]
        counts = [sum(conflict.status == "unresolved" for conflict in each) for each in told]
        settled = [len(each) - count for each, count in zip(told, counts, strict=True)]
        self.resolved = max(settled, default=0)
        numbers = f"{_span(counts)} open and {_span(settled)} resolved in scope public"
        if self.observed.converged_at is None:
            why = "on each node what its own facts define; not compared, since the federation did not converge"
            return self.holds(f"{numbers}, {why}")
        found = compare(self.observed, now_us)
        if found.odd:
            self.fail("", f"the nodes do not see the same conflicts about {' '.join(found.odd[0])}")
        return self.holds(f"{numbers}, {_likeness(found)}")


def _undefined(ledger: LedgerReader, now_us: int) -> str | None:
    """Where a ledger's bookkeeping and the definition of a contradiction differ."""
    expected = open_by_definition(ledger, now_us)
    if expected.keys() != ledger.contested.keys():
        odd = min(expected.keys() ^ ledger.contested.keys())
        return f"the ledger and the definition differ on whether {odd} is contested"
    for key, state in expected.items():
        slot = ledger.contested[key]
        if slot.conflict != state.conflict or tuple(slot.members()) != state.members:
            return f"the ledger's conflict set of {key} is not the defined one"
    return None


def _unlisted(ledger: LedgerReader, told: Sequence[Conflict]) -> str | None:
    """An open conflict that the node's own listing does not show."""
    shown = {conflict.slot: conflict.id for conflict in told if conflict.status == "unresolved"}
    odd = next((key for key, slot in ledger.contested.items() if shown.get(key) != slot.conflict), None)
    return None if odd is None else f"the open conflict about {' '.join(odd)} is not listed"


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts, default=0), max(counts, default=0)
    return f"{most}" if least == most else f"{least} to {most}"


def _likeness(found: Disagreement) -> str:
    """What was compared, in words: no more than was."""
    if not found.compared:
        policy = " and go by one policy" if found.apart else ""
        return f"on nodes of which no two are meant to hold the same{policy}"
    words = "the same everywhere" if found.whole else "the same on all nodes that are meant to hold the same"
    if found.apart:
        words += f" and go by one policy, which {', '.join(found.apart)} do not"
    return f"{words}, but for {found.excused} triples of which some may lack facts" if found.excused else words
