"""Convergence: after the faults end, everybody who may hold a fact holds it, and nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult
from sim.measure import NEVER
from sim.units import format_duration

if TYPE_CHECKING:
    from sim.lab import Lab

__all__ = ["Convergence"]


class Convergence(Checker):
    """Equal knowledge on all nodes that may hold it, scope by scope, within `settle`."""

    name = "convergence"
    liveness = True

    def settled(self, lab: Lab) -> CheckResult:
        if not lab.scenario.scenario.converges:
            return CheckResult(self.name, True, f"not expected; {lab.measure.missing} copies are missing")
        if lab.converged_at is None:
            return CheckResult(self.name, False, self._why(lab))
        measure = lab.measure
        for number, fact in enumerate(measure.facts):
            readers = measure.readers(number)
            for name, times in measure.visible.items():
                if times[number] != NEVER and name not in readers and name not in lab.gone and name != fact.origin:
                    return CheckResult(self.name, False, f"{name} holds a {fact.scope} fact of {fact.origin} that it may not hold")
        took = format_duration(lab.converged_at - lab.duration)
        return CheckResult(self.name, True, f"{len(measure.facts)} facts everywhere, {took} after the faults ended")

    def _why(self, lab: Lab) -> str:
        if not lab.operator.all_linked():
            return "some nodes never became peers"
        lacking = lab.measure.lacking()
        if lacking:
            fact, node = lacking[0]
            return (
                f"{lab.measure.missing} copies are missing; for example {node} lacks fact {fact.id} "
                f"({fact.scope}), written by {fact.origin} at {format_duration(fact.written_ns)}"
            )
        waiting = [m.name for m in lab.machines.values() if m.node is not None and m.node.state.deferred]
        if waiting:
            return f"facts stamped too far ahead still wait on {', '.join(waiting)}"
        return "every fact is everywhere, but the nodes do not agree on what is in conflict"
