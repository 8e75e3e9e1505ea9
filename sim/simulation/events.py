"""The relay of events: what happens on machines, told to the trace, to what is measured, and to the checkers.

One way only: the relay counts, writes the trace and calls the hooks of checkers; it never touches a machine. Every
hook of every checker is called from this file, so that whoever writes one finds here when it is called:

  on_commit        `committed`: the batch is on the disk. Facts in it are already in `Visibility`; the node has neither
                   applied the batch nor answered anybody, since this happens inside its journal's commit
  on_response      `answered`: inside the node's turn, before the answer's bytes are put on the wire
  on_asked         `asked`: a pull of a node has arrived at a hostile peer, whose answer is made and not yet on the wire
  on_acknowledged  `acknowledged`: a client of the machine has its 201, or the 200 of a resolution
  on_read          `read`: a client has the last page of what its node shows of an entity
  on_boot          `booted`: the node has loaded its journal and started its tasks, none of which has run yet
  on_disk_wiped    `disk_wiped`: the machine is off
  is_quiet         `is_quiet`: after the faults ended, as long as everything else is settled too
  result           `results`: the run is over and nothing was violated

A property that does not hold is told by `PropertyViolated`. It is caught here, in each of these methods, and goes no
further: most hooks run inside a turn of a node, which would take the exception for a bug of its own handler and answer
500. The first violation ends the run, and the checkers that come after the one that failed do not see that event; with
`keep_going` the run and the other checkers go on, and the one that failed is asked nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from sim.check import Asked, Boot, Checker, CheckResult, Commit, Commits, PropertyViolated, Served
from sim.diagnostics.errors import Violation
from sim.diagnostics.kind_errors import blame, failure
from sim.observation.expected import stays_local
from sim.observation.node_view import NodeView
from sim.observation.reads import Read
from sim.observation.visibility import TrackedFact
from sim.simulation.observed import RunView
from sim.units import format_duration
from sim.world.clocks import EPOCH_NS
from sim.world.machine import Machine
from sim.world.trace import Trace
from sim.world.world import World
from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp_wall_ms
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import DeadLetter, Husk, Record
from stigmem.core.uris import VOID_PREFIX
from stigmem.core.voiding import read_voiding
from stigmem.core.wire import Request, Response

__all__ = ["EventRelay"]

_WHO_LOOKS: Final = (
    "_watching", "_see_commits", "_see_all_commits", "_see_answers", "_see_questions", "_see_acknowledgements",
    "_see_reads",
)  # fmt: skip
"""What of a relay is worked out anew when a checker has had its last word."""


class EventRelay:
    """The watch (sim.world.machine.Watch) of every machine of a run, and the one caller of its checkers."""

    def __init__(
        self,
        world: World,
        trace: Trace,
        observed: RunView,
        *,
        owned_sources_only: bool,
        cut_off: Callable[[str], None],
        keep_going: bool = False,
    ) -> None:
        """`owned_sources_only`: what receivers take, for which facts are expected where. `cut_off` is called with the
        name of a machine that lost power. `keep_going`: whether a violation leaves the run going on."""
        self.checkers: list[Checker] = []
        """Set before the first event, and left alone from then on."""
        self.violation: Violation | None = None
        """The first property that did not hold while the run went on."""
        self.violations: dict[str, Violation] = {}
        """The first violation of each property that did not hold, by its name; more than one only with `keep_going`."""
        self.rejections: dict[str, int] = {}
        """Reason -> how often it was audited, over all nodes."""
        self.audit_events: dict[str, int] = {}
        """Event of the audit log -> how often it was written, over all nodes."""
        self._world = world
        self._trace = trace
        self._observed = observed
        self._owned_sources_only = owned_sources_only
        self._cut_off = cut_off
        self._keep_going = keep_going
        self._kept_ns: dict[str, int] = {}
        """Machine -> when the batch that was on its way became durable in a power cut, until its node has told."""

    # --- what machines tell ---

    def committed(self, machine: Machine, records: Sequence[Record], payload: bytes) -> None:
        """A batch became durable on a machine."""
        facts, rows, letters = [], [], []
        for record in records:
            if isinstance(record, SpentNonce):
                continue  # all that most commits hold
            if isinstance(record, Fact):
                facts.append(record)
                self._stored(machine.name, record, self._world.now)
            elif isinstance(record, AuditRow):
                rows.append(record)
                self._audited(record)
            elif isinstance(record, DeadLetter):
                letters.append(record)
            elif isinstance(record, Husk):
                seen = self._observed
                seen.visibility.erased(seen.names.get(record.fact.origin, ""), record.fact.id, self._world.now)
        self._trace.commit(machine.name, len(records), payload, _told_of(facts, letters))
        commit = Commit(machine.name, records, self._world.now, facts, rows)
        for checker in self._see_commits if letters or facts or rows else self._see_all_commits:
            try:
                checker.on_commit(commit)
            except PropertyViolated as broken:
                self.violated(broken.violation)
                if not self._keep_going:
                    return
            except Exception as error:
                self._failed(checker, error, "on_commit")
                return

    def booted(self, machine: Machine) -> None:
        """A machine's node is running."""
        node, seen = machine.node, self._observed
        if node is None:
            return
        view = seen.views[machine.name] = NodeView(machine.name, node)
        seen.names[node.node_id] = machine.name
        self._trace.event("booted", machine.name, machine.boots, len(view.ledger.log))
        seen.visibility.joined(machine.name, self._world.now)
        stored_ns = self._kept_ns.pop(machine.name, self._world.now)
        for fact in view.ledger.log:  # a batch may have survived a crash that nobody was told of
            known = seen.visibility.number(seen.names.get(fact.origin, ""), fact.id) is not None
            if not known or fact.received_from is not None:
                self._stored(machine.name, fact, stored_ns)
        boot = Boot(machine.name, machine.boots, machine.disk.batches)
        for checker in self._watching:
            try:
                checker.on_boot(boot)
            except PropertyViolated as broken:
                self.violated(broken.violation)
                if not self._keep_going:
                    return
            except Exception as error:
                self._failed(checker, error, "on_boot")
                return

    def stopped(self, machine: Machine, how: str, fate: str) -> None:
        """A machine lost power."""
        self._observed.views.pop(machine.name, None)
        self._cut_off(machine.name)
        if fate == "kept":
            self._kept_ns[machine.name] = self._world.now
        self._trace.event(how, machine.name, fate)

    def answered(self, machine: Machine, asker: str, request: Request, response: Response) -> None:
        """A node is about to put an answer on the wire."""
        served = Served(machine.name, asker, request, response)
        self._observed.pages.passed(machine.name, asker, self._world.now, request, response)
        for checker in self._see_answers:
            try:
                checker.on_response(served)
            except PropertyViolated as broken:
                self.violated(broken.violation)
                if not self._keep_going:
                    return
            except Exception as error:
                self._failed(checker, error, "on_response")
                return

    def asked(self, asked: Asked) -> None:
        """A node asked a hostile peer for facts."""
        peer = self._observed.hostile[asked.peer]
        self._observed.statements.passed(peer.name, peer.public_key, asked.answer)
        for checker in self._see_questions:
            try:
                checker.on_asked(asked)
            except PropertyViolated as broken:
                self.violated(broken.violation)
                if not self._keep_going:
                    return
            except Exception as error:
                self._failed(checker, error, "on_asked")
                return

    def bug(self, error: Exception) -> None:
        """A node met a bug of its own: the run ends with it."""
        self._world.finish(error)

    # --- what the rest of the simulation tells and asks ---

    def acknowledged(self, machine: str, fact_id: str) -> None:
        """A client on a machine was told that its write is stored."""
        for checker in self._see_acknowledgements:
            try:
                checker.on_acknowledged(machine, fact_id)
            except PropertyViolated as broken:
                self.violated(broken.violation)
                if not self._keep_going:
                    return
            except Exception as error:
                self._failed(checker, error, "on_acknowledged")
                return

    def read(self, read: Read) -> None:
        """A client has read all that its node shows of an entity."""
        for checker in self._see_reads:
            try:
                checker.on_read(read)
            except PropertyViolated as broken:
                self.violated(broken.violation)
                if not self._keep_going:
                    return
            except Exception as error:
                self._failed(checker, error, "on_read")
                return

    def disk_wiped(self, machine: str) -> None:
        """A machine's disk was wiped on purpose."""
        for checker in self._watching:
            try:
                checker.on_disk_wiped(machine)
            except PropertyViolated as broken:
                self.violated(broken.violation)
                if not self._keep_going:
                    return
            except Exception as error:
                self._failed(checker, error, "on_disk_wiped")
                return

    def is_quiet(self) -> bool:
        """Whether every checker says that the federation may be called settled."""
        for checker in self._watching:
            try:
                if not checker.is_quiet():
                    return False
            except PropertyViolated as broken:
                self.violated(broken.violation)
                if not self._keep_going:
                    return False
            except Exception as error:
                self._failed(checker, error, "is_quiet")
                return False
        return True

    def _failed(self, checker: Checker, error: Exception, hook: str) -> None:
        """A checker raised what is no word of it. Somebody else's ends the run by its name, at once: in a node's turn
        it would pass for a bug of the node. One of ours is a bug."""
        known = failure(checker, error, hook)
        if known is error:
            raise error
        known.__cause__ = error
        self._world.finish(known)

    def violated(self, violation: Violation) -> None:
        """A property does not hold. The run is over, or goes on without the checker that said so."""
        if self.violation is not None and (not self._keep_going or violation.checker in self.violations):
            return
        if self.violation is None:
            self.violation = violation
        self.violations[violation.checker] = violation
        self._trace.event("violated", violation.checker, violation.sentence)
        if not self._keep_going:
            self._world.finish()
            return
        for name in _WHO_LOOKS:
            vars(self).pop(name, None)  # a property that is known to be broken is not looked at again

    def last_word(self, checker: Checker) -> CheckResult:
        """What a checker says at the end, or of a run that was cut short; what it said before that stands."""
        known = self.violations.get(checker.name)
        if known is not None:
            where = f"{known.node} at {format_duration(known.at_ns)}"
            return CheckResult(checker.name, False, f"{where}: {known.sentence}")
        try:
            word: Any = checker.result()
        except PropertyViolated as broken:
            _, machine, _, sentence = broken.violation
            return CheckResult(checker.name, False, f"{machine}: {sentence}" if machine else sentence)
        except Exception as error:
            blame(checker, error, "result")
        if not isinstance(word, CheckResult):
            raise TypeError(f"{checker.name}: result gave {word!r:.60} and no CheckResult; return self.holds(...)")
        return word

    def results(self) -> list[CheckResult]:
        """Every checker's last word, after a run that came to its end."""
        return [self.last_word(checker) for checker in self.checkers]

    @property
    def ended_early(self) -> bool:
        """Whether a violation ended the run."""
        return self.violation is not None and not self._keep_going

    # --- who looks at what: worked out when the first event comes, and fixed from then on ---

    def _that_override(self, hook: str) -> list[Checker]:
        default = getattr(Checker, hook)
        return [checker for checker in self._watching if getattr(type(checker), hook) is not default]

    @cached_property
    def _watching(self) -> list[Checker]:
        return [checker for checker in self.checkers if checker.name not in self.violations]

    @cached_property
    def _see_commits(self) -> list[Checker]:
        return self._that_override("on_commit")

    @cached_property
    def _see_all_commits(self) -> list[Checker]:
        return [checker for checker in self._see_commits if checker.sees is Commits.ALL]

    @cached_property
    def _see_answers(self) -> list[Checker]:
        return self._that_override("on_response")

    @cached_property
    def _see_questions(self) -> list[Checker]:
        return self._that_override("on_asked")

    @cached_property
    def _see_acknowledgements(self) -> list[Checker]:
        return self._that_override("on_acknowledged")

    @cached_property
    def _see_reads(self) -> list[Checker]:
        return self._that_override("on_read")

    # --- measuring ---

    def _stored(self, name: str, fact: Fact, now: int) -> None:
        """A machine has held a fact on its disk since `now`, which is earlier than the present for a kept batch."""
        seen = self._observed
        origin = seen.names.get(fact.origin)
        if origin is None or fact.quarantine is not None:
            return
        if fact.received_from is None:
            home = stays_local(fact, owned_sources_only=self._owned_sources_only)
            ahead = stamp_wall_ms(fact.stamp) * 1_000_000 - EPOCH_NS - now
            about = (fact.id, origin, fact.scope, fact.entity, fact.relation)
            seen.visibility.written(TrackedFact(*about, now, home, ahead))
            if fact.entity.startswith(VOID_PREFIX) and (voiding := read_voiding(fact)) is not None:
                seen.visibility.voided(origin, voiding.names, now)
        else:
            seen.visibility.saw(name, origin, fact.id, now)

    def _audited(self, row: AuditRow) -> None:
        self.audit_events[row.event] = self.audit_events.get(row.event, 0) + 1
        if row.event in ("fact_write", "page_accepted"):
            return
        reason = msgspec.json.decode(row.detail).get("reason")
        if reason is not None:
            self.rejections[reason] = self.rejections.get(reason, 0) + 1


def _told_of(facts: Sequence[Fact], letters: Sequence[DeadLetter]) -> dict[str, Any]:
    """What the trace file says of a batch: the ids of its facts, and what was refused with which code."""
    told: dict[str, Any] = {}
    if facts:
        told["facts"] = [fact.id for fact in facts]
    if letters:
        told["refused"] = [[letter.name, letter.code] for letter in letters]
    return told
