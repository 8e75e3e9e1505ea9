"""No fact changes: not on its way, not on a disk, not in memory; every node holds it as its origin wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult, Commit
from sim.diagnostics.errors import Violation
from stigmem.core.fact import Fact

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine

__all__ = ["Mutation"]


class Mutation(Checker):
    """Content, stamp, time, expiry, provenance and scope are equal on all nodes, in every commit, after every boot
    and at the end. Facts of hostile origins too, if their ids commit to their content."""

    name = "no-mutation"
    every_commit = False

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], int] = {}
        self.compared = 0

    def on_commit(self, simulation: Simulation, commit: Commit) -> Violation | None:
        for fact in commit.facts:
            if not self._unchanged(simulation, fact):
                return self.violation(commit.machine.name, commit.at_ns, self._sentence(simulation, fact))
        return None

    def on_boot(self, simulation: Simulation, machine: Machine) -> Violation | None:
        changed = self._changed(simulation, machine)
        if changed is None:
            return None
        return self.violation(
            machine.name, simulation.world.now, f"{self._sentence(simulation, changed)}, since boot {machine.boots}"
        )

    def result(self, simulation: Simulation) -> CheckResult:
        for machine in simulation.machines.values():
            changed = self._changed(simulation, machine)
            if changed is not None:
                return CheckResult(self.name, False, f"{machine.name}: {self._sentence(simulation, changed)}")
        return CheckResult(self.name, True, f"{self.compared} copies compared")

    def _changed(self, simulation: Simulation, machine: Machine) -> Fact | None:
        facts = machine.node.state.ledger.log if machine.node is not None else []
        return next((fact for fact in facts if not self._unchanged(simulation, fact)), None)

    def _unchanged(self, simulation: Simulation, fact: Fact) -> bool:
        # An uncertified id of a hostile origin may stand for different facts on different nodes.
        if not (fact.certified or fact.origin in simulation.name_of_node):
            return True
        self.compared += 1
        found = _print(fact)
        return self._written.setdefault((fact.origin, fact.id), found) == found

    def _sentence(self, simulation: Simulation, fact: Fact) -> str:
        origin = simulation.name_of_node.get(fact.origin, fact.origin)
        return f"fact {fact.id} of {origin} is not what {origin} wrote"


def _print(fact: Fact) -> int:
    # A hash is compared with another of this process only, where equal texts have equal hashes.
    return hash((
        fact.stamp, fact.entity, fact.relation, fact.scope, fact.source, fact.kind, fact.text, fact.interpret_as,
        fact.confidence, fact.timestamp_us, fact.valid_until, fact.derived_from,
    ))  # fmt: skip
