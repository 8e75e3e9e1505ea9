"""What machines tell the laboratory: every commit, boot, answer and power cut, passed on to measure and checkers.

One way only: an observer counts, writes the trace and asks the checkers; it never touches a machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from sim.check import Checker, Commit
from sim.observation.visibility import FactSeen
from sim.observation.expected import stays
from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import DeadLetter, Record
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab
    from sim.world.machine import Machine

__all__ = ["Observer"]


class Observer:
    """The watch (sim.world.machine.Watch) of every machine of a laboratory."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def committed(self, machine: Machine, records: Sequence[Record], payload: bytes) -> None:
        """A batch became durable on a machine."""
        lab = self._lab
        lab.trace.commit(machine.name, len(records), payload)
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
        commit = Commit(machine, records, lab.world.now, facts, rows)
        for checker in self._see_commits if telling or facts or rows else self._see_all_commits:
            violation = checker.committed(lab, commit)
            if violation is not None:
                lab.violated(violation)
                return

    def booted(self, machine: Machine) -> None:
        """A machine's node is running."""
        lab, node = self._lab, machine.node
        if node is None:
            return
        lab.name_of_node[node.node_id] = machine.name
        lab.trace.event("booted", machine.name, machine.boots, len(node.state.ledger))
        node.on_bug = lab.world.finish
        for fact in node.state.ledger.log:  # a batch may have survived a crash that nobody was told of
            known = lab.measure.number(lab.name_of_node.get(fact.origin, ""), fact.id) is not None
            if not known or fact.received_from is not None:
                self._stored(machine.name, fact)
        for checker in lab.checkers:
            violation = checker.booted(lab, machine)
            if violation is not None:
                lab.violated(violation)
                return

    def stopped(self, machine: Machine, how: str, fate: str) -> None:
        """A machine lost power."""
        self._lab.clients.cut_off(machine.name)
        self._lab.trace.event(how, machine.name, fate)

    def answered(self, machine: Machine, asker: str, request: Request, response: Response) -> None:
        """A node is about to put an answer on the wire."""
        lab = self._lab
        lab.requests += 1
        for checker in self._see_answers:
            violation = checker.served(lab, machine, asker, request, response)
            if violation is not None:
                lab.violated(violation)
                return

    # --- who looks at what: asked for when the first event comes, and fixed from then on ---

    @cached_property
    def _see_commits(self) -> list[Checker]:
        return [checker for checker in self._lab.checkers if type(checker).committed is not Checker.committed]

    @cached_property
    def _see_all_commits(self) -> list[Checker]:
        return [checker for checker in self._see_commits if checker.every_commit]

    @cached_property
    def _see_answers(self) -> list[Checker]:
        return [checker for checker in self._lab.checkers if type(checker).served is not Checker.served]

    def _stored(self, name: str, fact: Fact) -> None:
        lab, now = self._lab, self._lab.world.now
        origin = lab.name_of_node.get(fact.origin)
        if origin is None or fact.quarantine is not None:
            return
        if fact.received_from is None:
            home = stays(fact, owned_sources_only=lab.scenario.federation.owned_sources_only)
            lab.measure.written(FactSeen(fact.id, origin, fact.scope, fact.entity, fact.relation, now, home))
        else:
            lab.measure.saw(name, origin, fact.id, now)

    def _audited(self, row: AuditRow) -> None:
        if row.event in ("fact_write", "page_accepted"):
            return
        reason = msgspec.json.decode(row.detail).get("reason")
        if reason is not None:
            self._lab.rejections[reason] = self._lab.rejections.get(reason, 0) + 1
