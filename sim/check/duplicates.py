"""No fact is stored twice on one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult, Commit
from sim.diagnostics.errors import Violation

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine

__all__ = ["Duplicates"]


class Duplicates(Checker):
    """(origin, id) is unique on a node, however often a page comes."""

    name = "no-duplicates"
    every_commit = False

    def __init__(self) -> None:
        self._held: dict[str, dict[tuple[str, str], None]] = {}
        self.count = 0

    def on_boot(self, simulation: Simulation, machine: Machine) -> Violation | None:
        facts = machine.node.state.ledger.log if machine.node is not None else []
        held: dict[tuple[str, str], None] = {(fact.origin, fact.id): None for fact in facts}
        self._held[machine.name] = held
        if len(held) < len(facts):
            return self.violation(
                machine.name, simulation.world.now, f"{len(facts) - len(held)} facts are on the disk twice"
            )
        return None

    def on_commit(self, simulation: Simulation, commit: Commit) -> Violation | None:
        held = self._held.setdefault(commit.machine.name, {})
        for fact in commit.facts:
            self.count += 1
            key = (fact.origin, fact.id)
            if key in held:
                return self.violation(commit.machine.name, commit.at_ns, f"fact {fact.id} was stored twice")
            held[key] = None
        return None

    def result(self, simulation: Simulation) -> CheckResult:
        return CheckResult(self.name, True, f"{self.count} facts stored, each once a node")
