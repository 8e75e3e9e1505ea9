"""Convergence: after the faults end, everybody who may hold a fact holds it, and nobody else does."""

from __future__ import annotations

from sim.check.base import Checker, CheckResult
from sim.check.missing_copy import explain
from sim.observation.node_view import NodeView
from sim.observation.visibility import NEVER
from sim.units import format_duration

__all__ = ["Convergence"]


class Convergence(Checker):
    """Equal knowledge on all nodes that may hold it, scope by scope, within `settle`: as it was seen being stored, and
    as the ledgers show it at the end."""

    name = "convergence"

    def is_quiet(self) -> bool:
        return not self._waiting()

    def _waiting(self) -> list[str]:
        """Nodes on which honest facts that are stamped too far ahead wait to become due; what hostile peers date
        into the future keeps nobody waiting."""
        origins, visibility = self.observed.federation.nodes, self.observed.visibility

        def waits(node: NodeView) -> bool:
            return any(visibility.is_awaited(origin, name) for _, name in node.deferred for origin in origins)

        gone = self.observed.gone
        return [name for name, node in self.observed.nodes.items() if name not in gone and waits(node)]

    def result(self) -> CheckResult:
        seen = self.observed
        if not seen.must_converge:
            return self.vacuous(f"not expected; {seen.visibility.missing} copies are missing")
        if seen.converged_at is None:
            self.fail("", self._why())
        sentence = self._too_much() or self._too_little()
        if sentence is not None:
            self.fail("", sentence)
        if not self._is_shared():
            return self.unjudged("nothing that was written is for any other node, so nothing had to go anywhere")
        took = format_duration(seen.converged_at - seen.faults_end_ns)
        return self.holds(f"{len(seen.visibility.facts)} facts everywhere, {took} after the faults ended")

    def _is_shared(self) -> bool:
        """Whether anything was written that another node than its origin may hold."""
        kinds = dict.fromkeys(
            (fact.origin, fact.scope) for fact in self.observed.visibility.facts if not fact.stays_local
        )
        return any(len(self.observed.federation.readers(*kind)) > 1 for kind in kinds)

    def _too_much(self) -> str | None:
        visibility = self.observed.visibility
        known: dict[tuple[str, str], tuple[str, ...]] = {}
        for number, fact in enumerate(visibility.facts):
            key = (fact.origin, "local" if fact.stays_local else fact.scope)
            readers = known.get(key)
            if readers is None:
                readers = known[key] = self.observed.federation.readers(*key)
            for name, times in visibility.held_since.items():
                if times[number] != NEVER and name not in readers:
                    return f"{name} holds a {fact.scope} fact of {fact.origin} that it may not hold"
        return None

    def _too_little(self) -> str | None:
        """What was stored once and is not there any more."""
        visibility = self.observed.visibility
        node_ids = {name: node_id for node_id, name in self.observed.names.items()}
        held = {
            name: {(fact.origin, fact.id) for fact in node.ledger.log} for name, node in self.observed.nodes.items()
        }
        for number, name in visibility.expected():
            fact = visibility.facts[number]
            if name in held and (node_ids[fact.origin], fact.id) not in held[name]:
                return f"{name} stored fact {fact.id} of {fact.origin} and does not hold it any more"
        return None

    def _handshake(self, newcomer: str, host: str) -> str:
        """How the registrations of one node at another ended, and why where that can be told."""
        tried = self.observed.tried(newcomer, host)
        if not tried:
            return f"it never came to register, because {newcomer} was off"
        counts = ", ".join(f"{count} {how}" for how, count in tried.items())
        told = f"its registrations ended so: {counts}"
        way_ns = self.observed.conditions.network.way_ns
        longest_ns = way_ns(newcomer, host) + way_ns(host, newcomer)
        patience_ns = self.observed.settings(host).discovery_timeout_ns
        if longest_ns > patience_ns:
            told += (
                f"; a round trip on this link takes up to {format_duration(longest_ns)}, and discovery_timeout is "
                f"{format_duration(patience_ns)}"
            )
        return told

    def _why(self) -> str:
        unlinked = self.observed.unlinked()
        if unlinked:
            newcomer, host = unlinked[0]
            rest = f", and {len(unlinked) - 1} more" if len(unlinked) > 1 else ""
            return f"{newcomer} never became a peer of {host}{rest}: {self._handshake(newcomer, host)}"
        visibility = self.observed.visibility
        lacking = visibility.lacking()
        if lacking:
            fact, node = lacking[0]
            return (
                f"{visibility.missing} copies are missing; for example {node} lacks fact {fact.id} "
                f"({fact.scope}), written by {fact.origin} at {format_duration(fact.written_ns)}: "
                f"{explain(self.observed, fact, node)}"
            )
        waiting = self._waiting()
        if waiting:
            return f"facts stamped too far ahead still wait on {', '.join(waiting)}"
        return "every fact is everywhere, but the nodes do not agree on what is in conflict"
