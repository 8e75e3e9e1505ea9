"""Conflict agreement: the same sets, the same ids, the same status on every node that holds the same facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult
from sim.check.books import Key, conflicts_of, told_by
from sim.world.clocks import EPOCH_NS
from stigmem.core.conflicts import Conflict
from stigmem.core.contradiction import Verdict, evaluate
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import Resolution, read_resolution

if TYPE_CHECKING:
    from sim.lab.lab import Lab
    from stigmem.node.node import Node

__all__ = ["ConflictAgreement", "disagreements", "open_by_definition", "resolutions_of"]

Named = tuple[str, "Node"]


def open_by_definition(ledger: Ledger, now_us: int) -> dict[Key, Verdict]:
    """The open conflicts among the facts of a ledger, by the plain definition and not by the ledger's own
    bookkeeping."""
    resolutions = resolutions_of(ledger)
    by_triple: dict[Key, list[Fact]] = {}
    for fact in ledger.log:
        if not fact.is_system and fact.quarantine is None:
            by_triple.setdefault(fact.triple, []).append(fact)
    found: dict[Key, Verdict] = {}
    for key, facts in by_triple.items():
        if len(facts) > 1:
            verdict = evaluate(key, facts, resolutions.get(key, ()), now_us)
            if verdict.conflict is not None:
                found[key] = verdict
    return found


def resolutions_of(ledger: Ledger) -> dict[Key, list[Resolution]]:
    """The resolutions among the facts of a ledger, by the triple that they settle."""
    found: dict[Key, list[Resolution]] = {}
    for fact in ledger.log:
        if fact.derived_from and fact.quarantine is None:
            try:
                resolution = read_resolution(fact)
            except Rejection:
                continue  # a client may write anything under the name of a resolution: it settles nothing
            if resolution is not None:
                found.setdefault(resolution.triple, []).append(resolution)
    return found


def disagreements(lab: Lab) -> list[Key]:
    """Triples of public facts about which nodes that are meant to hold the same do not see the same conflicts, apart
    from what hostile origins told some of them only."""
    sets = {frozenset(lab.plan.readers(name, "public")) for name in lab.plan.nodes if name not in lab.gone}
    if len(sets) > 1:
        return []
    nodes = _nodes(lab)
    return _unexcused(lab, _differing(_told(nodes)), nodes)


class ConflictAgreement(Checker):
    """Every node's conflicts are those that its facts define; public ones are the same on all nodes, apart from
    facts of hostile origins that a node refused, still holds back, or that nobody could pass on to it."""

    name = "conflict-agreement"
    liveness = True

    def __init__(self) -> None:
        self.open = 0
        self.resolved = 0
        self.divergent = 0
        self._wholes: dict[int, bool] = {}
        """Whether the federation is one, by the number of nodes that left."""

    def agrees(self, lab: Lab) -> bool:
        nodes = _nodes(lab)
        # Members differ only while facts are missing, which is counted for honest facts and not for hostile ones.
        views = _told(nodes) if lab.adversaries else [_open(node.state.ledger) for _, node in nodes]
        differing = _differing(views)
        return not differing or not self._whole(lab) or not _unexcused(lab, differing, nodes)

    def settled(self, lab: Lab) -> CheckResult:
        now_us = (EPOCH_NS + lab.world.now) // 1_000
        nodes = _nodes(lab)
        for name, node in nodes:
            ledger = node.state.ledger
            ledger.advance(now_us)  # all at one instant: nodes' clocks differ, and expiry with them
            sentence = self._by_definition(ledger, now_us) or _unlisted(ledger, conflicts_of(node))
            if sentence is not None:
                self.divergent += 1
                return CheckResult(self.name, False, f"{name}: {sentence}")
        everything = conflicts_of(nodes[0][1]) if nodes else []
        self.open = sum(conflict.status == "unresolved" for conflict in everything)
        self.resolved = len(everything) - self.open
        if lab.converged_at is not None:
            odd = disagreements(lab)
            self.divergent = len(odd)
            if odd:
                return CheckResult(
                    self.name, False, f"the nodes do not see the same conflicts about {' '.join(odd[0])}"
                )
        return CheckResult(self.name, True, f"{self.open} open and {self.resolved} resolved, the same everywhere")

    def _by_definition(self, ledger: Ledger, now_us: int) -> str | None:
        expected = open_by_definition(ledger, now_us)
        if expected.keys() != ledger.contested.keys():
            odd = min(expected.keys() ^ ledger.contested.keys())
            return f"the ledger and the definition differ on whether {odd} is contested"
        for key, verdict in expected.items():
            triple = ledger.contested[key]
            if triple.conflict != verdict.conflict or tuple(triple.members()) != verdict.members:
                return f"the ledger's conflict set of {key} is not the defined one"
        return None

    def _whole(self, lab: Lab) -> bool:
        """Whether all nodes are meant to hold the same public facts."""
        found = self._wholes.get(len(lab.gone))
        if found is None:
            sets = {frozenset(lab.plan.readers(name, "public")) for name in lab.plan.nodes if name not in lab.gone}
            found = self._wholes[len(lab.gone)] = len(sets) == 1
        return found


def _open(ledger: Ledger) -> dict[Key, object]:
    return {key: triple.conflict for key, triple in ledger.contested.items() if key[2] == "public"}


def _unexcused(lab: Lab, keys: Sequence[Key], nodes: Sequence[Named]) -> list[Key]:
    """The triples on which nodes differ for another reason than that they hold different facts of hostile origins,
    and may."""
    if not keys or not lab.adversaries:
        return list(keys)
    ledgers = [node.state.ledger for _, node in nodes]
    resolutions = [resolutions_of(ledger) for ledger in ledgers]

    def excused(key: Key) -> bool:
        held = [
            {(fact.origin, fact.id): fact for fact in [*ledger.facts_of(key), *(r.fact for r in found.get(key, ()))]}
            for ledger, found in zip(ledgers, resolutions, strict=True)
        ]
        everything = {name: fact for facts in held for name, fact in facts.items()}
        lacking = [fact for facts in held for name, fact in everything.items() if name not in facts]
        return bool(lacking) and all(_stays_behind(lab, fact) for fact in lacking)

    return [key for key in keys if not excused(key)]


def _stays_behind(lab: Lab, fact: Fact) -> bool:
    """Whether a fact need not be everywhere: a hostile one that cannot or must not be passed on, or that some node
    refused or holds back (then those behind that node may lack it too)."""
    if fact.origin in lab.name_of_node:
        return False
    nodes = [machine.node for machine in lab.machines.values() if machine.node is not None]
    refused = any(fact.id in letters for node in nodes for letters in node.state.letters.values())
    relayed = lab.scenario.federation.relay and fact.certified and fact.signature is not None
    return refused or not relayed


def _unlisted(ledger: Ledger, told: Sequence[Conflict]) -> str | None:
    """An open conflict that the node's own listing does not show."""
    shown = {conflict.triple: conflict.id for conflict in told if conflict.status == "unresolved"}
    odd = next((key for key, triple in ledger.contested.items() if shown.get(key) != triple.conflict), None)
    return None if odd is None else f"the open conflict about {' '.join(odd)} is not listed"


def _told(nodes: Sequence[Named]) -> list[dict[Key, object]]:
    return [told_by(node) for _, node in nodes]


def _differing(views: Sequence[dict[Key, object]]) -> list[Key]:
    """Triples on which the views are not all equal."""
    keys = dict.fromkeys(key for view in views for key in view)
    return [key for key in keys if any(view.get(key) != views[0].get(key) for view in views[1:])]


def _nodes(lab: Lab) -> list[Named]:
    return [
        (name, machine.node)
        for name, machine in lab.machines.items()
        if machine.node is not None and name not in lab.gone
    ]
