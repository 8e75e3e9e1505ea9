"""No fact is stored twice on one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult, Commit, Violation

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab
    from sim.world.machine import Machine

__all__ = ["Duplicates"]


class Duplicates(Checker):
    """(origin, id) is unique on a node, however often a page comes."""

    name = "no-duplicates"
    every_commit = False

    def __init__(self) -> None:
        self._held: dict[str, dict[tuple[str, str], None]] = {}
        self.count = 0

    def booted(self, lab: Lab, machine: Machine) -> Violation | None:
        facts = machine.node.state.ledger.log if machine.node is not None else []
        held: dict[tuple[str, str], None] = {(fact.origin, fact.id): None for fact in facts}
        self._held[machine.name] = held
        if len(held) < len(facts):
            return self.violation(machine.name, lab.world.now, f"{len(facts) - len(held)} facts are on the disk twice")
        return None

    def committed(self, lab: Lab, commit: Commit) -> Violation | None:
        held = self._held.setdefault(commit.machine.name, {})
        for fact in commit.facts:
            self.count += 1
            key = (fact.origin, fact.id)
            if key in held:
                return self.violation(commit.machine.name, commit.at_ns, f"fact {fact.id} was stored twice")
            held[key] = None
        return None

    def settled(self, lab: Lab) -> CheckResult:
        return CheckResult(self.name, True, f"{self.count} facts stored, each once a node")
