"""No acknowledged fact is lost: not by a crash, not by a restart, not on the way to those who should have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sim.check.base import Checker, CheckResult
from sim.diagnostics.errors import Violation
from stigmem.core.wire import Response

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine

__all__ = ["Durability"]


class _Answer(msgspec.Struct):
    id: str


class Durability(Checker):
    """An answer of 201 means that the fact is on that machine's disk, now and after every crash."""

    name = "durability"

    def __init__(self) -> None:
        self._acknowledged: dict[str, dict[str, None]] = {}
        self._wiped: dict[str, None] = {}
        self.count = 0

    def on_acknowledged(self, simulation: Simulation, machine: Machine, response: Response) -> None:
        fact_id = msgspec.json.decode(response.body, type=_Answer).id
        self._acknowledged.setdefault(machine.name, {})[fact_id] = None
        self.count += 1
        on_disk = any(
            simulation.visibility.number(origin, fact_id) is not None
            for origin in (machine.name, *simulation.plan.nodes)
        )
        if not on_disk:
            simulation.violated(
                self.violation(
                    machine.name, simulation.world.now, f"fact {fact_id} was acknowledged before it was durable"
                )
            )

    def on_disk_wiped(self, name: str) -> None:
        """The machine's disk was wiped on purpose; nothing is owed of what was only there."""
        self._acknowledged.pop(name, None)

    def on_boot(self, simulation: Simulation, machine: Machine) -> Violation | None:
        return self._missing(simulation, machine)

    def _missing(self, simulation: Simulation, machine: Machine) -> Violation | None:
        node = machine.node
        if node is None:
            return None
        for fact_id in self._acknowledged.get(machine.name, {}):
            if not node.state.ledger.find(fact_id):
                return self.violation(
                    machine.name,
                    simulation.world.now,
                    f"fact {fact_id} was acknowledged and is gone after boot {machine.boots}",
                )
        return None

    def result(self, simulation: Simulation) -> CheckResult:
        for machine in simulation.machines.values():
            violation = self._missing(simulation, machine)
            if violation is not None:
                return CheckResult(self.name, False, violation.sentence)
        return CheckResult(self.name, True, f"{self.count} acknowledged writes, all there")
