"""Nobody silently erases what somebody else knows: an honest fact that a hostile one ended still shows as disputed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult
from sim.check.conflict_views import conflicts_of, resolutions_of
from stigmem.core.contradiction import evaluate
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import Resolution

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from stigmem.node.node import Node

__all__ = ["Erasure"]


class Erasure(Checker):
    """Take the facts of hostile origins away: whatever stands then stands with them too, or is listed by an open or
    settled conflict with all that was said. Retractions under the fact's own source are left in: the protocol lets
    a source take back what it said, wherever it says so, and who may use a source is for `owned_sources_only`."""

    name = "no-silent-erasure"

    def __init__(self) -> None:
        self.disputed = 0

    def result(self, simulation: Simulation) -> CheckResult:
        if not simulation.adversaries:
            return CheckResult(self.name, True, "nobody hostile")
        for machine in simulation.machines.values():
            erased = None if machine.node is None else self._erased(simulation, machine.node)
            if erased is not None:
                return CheckResult(
                    self.name,
                    False,
                    f"on {machine.name} fact {erased.id} of {simulation.name_of_node[erased.origin]} was ended by a "
                    "hostile one, and no conflict tells of it",
                )
        return CheckResult(self.name, True, f"{self.disputed} honest facts ended by others, all of them listed")

    def _erased(self, simulation: Simulation, node: Node) -> Fact | None:
        ledger = node.state.ledger
        resolutions = resolutions_of(ledger)
        listed = {fact.id for conflict in conflicts_of(node) for fact in conflict.members}
        for fact in ledger.log:
            if fact.origin not in simulation.name_of_node or fact.is_retraction or not ledger.superseded(fact):
                continue
            if fact.id in listed:
                self.disputed += 1
            elif not ledger.expired(fact) and _stands(simulation, ledger, fact, resolutions.get(fact.slot, [])):
                return fact
        return None


def _stands(simulation: Simulation, ledger: Ledger, fact: Fact, resolutions: list[Resolution]) -> bool:
    """Whether a fact stands among what honest nodes wrote."""
    honest = [
        other
        for other in ledger.facts_of(fact.slot)
        if other.origin in simulation.name_of_node or (other.is_retraction and other.source == fact.source)
    ]
    theirs = [resolution for resolution in resolutions if resolution.fact.origin in simulation.name_of_node]
    hostile = [resolution for resolution in resolutions if resolution.fact.origin not in simulation.name_of_node]
    return fact in evaluate(fact.slot, honest, theirs, ledger.horizon_us, unapplied=hostile).live
