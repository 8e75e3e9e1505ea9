"""What machines tell the simulation: every commit, boot, answer and power cut, passed on to measure and checkers.

One way only: an observer counts, writes the trace and asks the checkers; it never touches a machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from sim.check import Checker, Commit
from sim.observation.expected import stays_local
from sim.observation.visibility import TrackedFact
from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import DeadLetter, Record
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine

__all__ = ["EventRelay"]


class EventRelay:
    """The watch (sim.world.machine.Watch) of every machine of a simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def committed(self, machine: Machine, records: Sequence[Record], payload: bytes) -> None:
        """A batch became durable on a machine."""
        simulation = self._simulation
        simulation.trace.commit(machine.name, len(records), payload)
        facts, rows, telling = [], [], False
        for record in records:
            if isinstance(record, SpentNonce):
                continue  # all that most commits hold
            if isinstance(record, Fact):
                facts.append(record)
                self._stored(machine.name, record)
            elif isinstance(record, AuditRow):
                rows.append(record)
                self._audited(record)
            elif isinstance(record, DeadLetter):
                telling = True
        commit = Commit(machine, records, simulation.world.now, facts, rows)
        for checker in self._see_commits if telling or facts or rows else self._see_all_commits:
            violation = checker.on_commit(simulation, commit)
            if violation is not None:
                simulation.violated(violation)
                return

    def booted(self, machine: Machine) -> None:
        """A machine's node is running."""
        simulation, node = self._simulation, machine.node
        if node is None:
            return
        simulation.name_of_node[node.node_id] = machine.name
        simulation.trace.event("booted", machine.name, machine.boots, len(node.state.ledger))
        node.on_bug = simulation.world.finish
        for fact in node.state.ledger.log:  # a batch may have survived a crash that nobody was told of
            known = simulation.visibility.number(simulation.name_of_node.get(fact.origin, ""), fact.id) is not None
            if not known or fact.received_from is not None:
                self._stored(machine.name, fact)
        for checker in simulation.checkers:
            violation = checker.on_boot(simulation, machine)
            if violation is not None:
                simulation.violated(violation)
                return

    def stopped(self, machine: Machine, how: str, fate: str) -> None:
        """A machine lost power."""
        self._simulation.clients.cut_off(machine.name)
        self._simulation.trace.event(how, machine.name, fate)

    def answered(self, machine: Machine, asker: str, request: Request, response: Response) -> None:
        """A node is about to put an answer on the wire."""
        simulation = self._simulation
        simulation.requests += 1
        for checker in self._see_answers:
            violation = checker.on_response(simulation, machine, asker, request, response)
            if violation is not None:
                simulation.violated(violation)
                return

    # --- who looks at what: asked for when the first event comes, and fixed from then on ---

    @cached_property
    def _see_commits(self) -> list[Checker]:
        return [checker for checker in self._simulation.checkers if type(checker).on_commit is not Checker.on_commit]

    @cached_property
    def _see_all_commits(self) -> list[Checker]:
        return [checker for checker in self._see_commits if checker.every_commit]

    @cached_property
    def _see_answers(self) -> list[Checker]:
        return [
            checker for checker in self._simulation.checkers if type(checker).on_response is not Checker.on_response
        ]

    def _stored(self, name: str, fact: Fact) -> None:
        simulation, now = self._simulation, self._simulation.world.now
        origin = simulation.name_of_node.get(fact.origin)
        if origin is None or fact.quarantine is not None:
            return
        if fact.received_from is None:
            home = stays_local(fact, owned_sources_only=simulation.scenario.federation.owned_sources_only)
            simulation.visibility.written(
                TrackedFact(fact.id, origin, fact.scope, fact.entity, fact.relation, now, home)
            )
        else:
            simulation.visibility.saw(name, origin, fact.id, now)

    def _audited(self, row: AuditRow) -> None:
        if row.event in ("fact_write", "page_accepted"):
            return
        reason = msgspec.json.decode(row.detail).get("reason")
        if reason is not None:
            self._simulation.rejections[reason] = self._simulation.rejections.get(reason, 0) + 1
