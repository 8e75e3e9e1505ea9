"""Convergence: after the faults end, everybody who may hold a fact holds it, and nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult
from sim.observation.visibility import NEVER
from sim.units import format_duration

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine

__all__ = ["Convergence"]


class Convergence(Checker):
    """Equal knowledge on all nodes that may hold it, scope by scope, within `settle`: as the simulation saw it being
    stored, and as the ledgers show it at the end."""

    name = "convergence"
    liveness = True

    def is_quiet(self, simulation: Simulation) -> bool:
        return not self._waiting(simulation)

    def _waiting(self, simulation: Simulation) -> list[str]:
        """Nodes on which honest facts that are stamped too far ahead wait to become due; what hostile peers date
        into the future keeps nobody waiting."""

        def waits(machine: Machine) -> bool:
            names = (
                machine.node.state.deferred if machine.node is not None and machine.name not in simulation.gone else ()
            )
            return any(
                simulation.visibility.number(origin, name) is not None
                for _, name in names
                for origin in simulation.plan.nodes
            )

        return [machine.name for machine in simulation.machines.values() if waits(machine)]

    def result(self, simulation: Simulation) -> CheckResult:
        if not simulation.scenario.scenario.converges:
            return CheckResult(self.name, True, f"not expected; {simulation.visibility.missing} copies are missing")
        if simulation.converged_at is None:
            return CheckResult(self.name, False, self._why(simulation))
        sentence = self._too_much(simulation) or self._too_little(simulation)
        if sentence is not None:
            return CheckResult(self.name, False, sentence)
        took = format_duration(simulation.converged_at - simulation.duration)
        return CheckResult(
            self.name, True, f"{len(simulation.visibility.facts)} facts everywhere, {took} after the faults ended"
        )

    def _too_much(self, simulation: Simulation) -> str | None:
        visibility = simulation.visibility
        known: dict[tuple[str, str], tuple[str, ...]] = {}
        for number, fact in enumerate(visibility.facts):
            key = (fact.origin, "local" if fact.stays_local else fact.scope)
            readers = known.get(key)
            if readers is None:
                readers = known[key] = simulation.plan.readers(*key)
            for name, times in visibility.visible.items():
                if times[number] != NEVER and name not in readers:
                    return f"{name} holds a {fact.scope} fact of {fact.origin} that it may not hold"
        return None

    def _too_little(self, simulation: Simulation) -> str | None:
        """What was stored once and is not there any more."""
        node_ids = {name: node_id for node_id, name in simulation.name_of_node.items()}
        held = {
            name: {(fact.origin, fact.id) for fact in machine.node.state.ledger.log}
            for name, machine in simulation.machines.items()
            if machine.node is not None
        }
        for number, name in simulation.visibility.expected():
            fact = simulation.visibility.facts[number]
            if name in held and (node_ids[fact.origin], fact.id) not in held[name]:
                return f"{name} stored fact {fact.id} of {fact.origin} and does not hold it any more"
        return None

    def _why(self, simulation: Simulation) -> str:
        if not simulation.handshakes.all_linked():
            return _strangers(simulation)
        lacking = simulation.visibility.lacking()
        if lacking:
            fact, node = lacking[0]
            return (
                f"{simulation.visibility.missing} copies are missing; for example {node} lacks fact {fact.id} "
                f"({fact.scope}), written by {fact.origin} at {format_duration(fact.written_ns)}"
            )
        waiting = self._waiting(simulation)
        if waiting:
            return f"facts stamped too far ahead still wait on {', '.join(waiting)}"
        return "every fact is everywhere, but the nodes do not agree on what is in conflict"


def _strangers(simulation: Simulation) -> str:
    pairs = simulation.handshakes.unlinked()
    newcomer, host = pairs[0]
    rest = f", and {len(pairs) - 1} more" if len(pairs) > 1 else ""
    return f"{newcomer} never became a peer of {host}{rest}: no handshake came to its end"
