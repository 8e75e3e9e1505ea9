"""Nobody silently erases what somebody else knows: an honest fact that a hostile one ended still shows as disputed."""

from __future__ import annotations

from sim.check.base import Checker, CheckResult
from sim.check.conflict_views import resolutions_of, voided_of
from sim.observation.node_view import LedgerReader, NodeView
from sim.ports import Observed
from stigmem.core.contradiction import evaluate
from stigmem.core.fact import Fact
from stigmem.core.resolution import Resolution

__all__ = ["Erasure"]


class Erasure(Checker):
    """Take the facts of hostile origins away: whatever stands then stands with them too, or is listed by an open or
    settled conflict with all that was said. And nobody speaks for another: what ended an honest fact comes from the
    fact's own node, whatever source it claims."""

    name = "no-silent-erasure"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.disputed = 0

    def result(self) -> CheckResult:
        if not self.observed.hostile:
            return self.vacuous("nobody hostile")
        for node in self.observed.nodes.values():
            erased = self._erased(node)
            if erased is not None:
                origin = self.observed.names[erased.origin]
                self.fail(
                    "",
                    f"on {node.name} fact {erased.id} of {origin} was ended by a hostile one, and no conflict tells "
                    "of it",
                )
        return self.holds(f"{self.disputed} honest facts ended by others, all of them listed")

    def _erased(self, node: NodeView) -> Fact | None:
        ledger = node.ledger
        resolutions, voided = resolutions_of(ledger), voided_of(ledger)
        listed = {fact.id for conflict in node.conflicts() for fact in conflict.members}
        for fact in ledger.log:
            ending = ledger.ended_by(fact)
            if fact.origin in self.observed.names and ending is not None and ending.origin != fact.origin:
                return fact
            if fact.origin not in self.observed.names or fact.is_retraction or not ledger.overridden(fact):
                continue
            if (fact.origin, fact.id) in voided:
                continue  # by its own origin
            if fact.id in listed:
                self.disputed += 1
            elif not ledger.expired(fact) and self._stands(ledger, fact, resolutions.get(fact.slot, []), voided):
                return fact
        return None

    def _stands(
        self, ledger: LedgerReader, fact: Fact, resolutions: list[Resolution], voided: frozenset[tuple[str, str]]
    ) -> bool:
        """Whether a fact stands among what honest nodes wrote."""
        names = self.observed.names
        honest = [other for other in ledger.facts_of(fact.slot) if other.origin in names]
        theirs = [resolution for resolution in resolutions if resolution.fact.origin in names]
        hostile = [resolution for resolution in resolutions if resolution.fact.origin not in names]
        state = evaluate(
            fact.slot, honest, theirs, ledger.horizon_us,
            cardinality=ledger.cardinality(fact.relation), voided=voided, unapplied=hostile,
        )  # fmt: skip
        return fact in state.live
