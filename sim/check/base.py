"""What every checker is: one property, watched while it can be broken and judged at the end.

A checker sees every commit, every answer put on the wire, every acknowledgement and every boot, and says what
is wrong the moment it is. A false alarm is as bad as a miss: each has a test that breaks its property on
purpose. To add one: a file here with a subclass, and a line in `sim/check/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sim.diagnostics.errors import Violation
from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine

__all__ = ["CheckResult", "Checker", "Commit"]


class Commit(NamedTuple):
    """One batch that became durable, and the facts and audit rows in it."""

    machine: Machine
    records: Sequence[Record]
    at_ns: int
    facts: Sequence[Fact]
    rows: Sequence[AuditRow]

    @property
    def turn_ms(self) -> int | None:
        """The node's own clock in the turn; every commit that stores facts has an audit row with it, which is the audit
        checker's to see to."""
        return self.rows[0].ts_us // 1000 if self.rows else None


class CheckResult(NamedTuple):
    """A checker's last word; `ok` is None when it could not be judged."""

    name: str
    ok: bool | None
    detail: str


class Checker:
    """One property; override what it needs to see."""

    name = ""
    liveness = False
    """Whether the property is about the end (then a run that was cut short cannot judge it)."""

    every_commit = True
    """Whether `committed` looks at every commit, or only at those with a fact, an audit row or a dead letter in them;
    most commits of a quiet federation hold nothing but the nonce of a token."""

    def on_commit(self, simulation: Simulation, commit: Commit) -> Violation | None:
        """A batch became durable on a machine."""
        return None

    def on_response(
        self, simulation: Simulation, machine: Machine, asker: str, request: Request, response: Response
    ) -> Violation | None:
        """A node is about to answer over the wire."""
        return None

    def on_acknowledged(self, simulation: Simulation, machine: Machine, response: Response) -> None:
        """A client got 201 for a write."""

    def on_boot(self, simulation: Simulation, machine: Machine) -> Violation | None:
        """A node has loaded its journal."""
        return None

    def on_disk_wiped(self, name: str) -> None:
        """A machine's disk was wiped on purpose: what this property knew of it no longer counts."""

    def is_quiet(self, simulation: Simulation) -> bool:
        """Whether the federation may be called settled as far as this property goes."""
        return True

    def result(self, simulation: Simulation) -> CheckResult:
        """The judgement at the end of a run without violations."""
        return CheckResult(self.name, True, "")

    def violation(self, node: str, at_ns: int, sentence: str) -> Violation:
        """A violation of this property."""
        return Violation(self.name, node, at_ns, sentence)
