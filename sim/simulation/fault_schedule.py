"""Faults under way: when each begins and ends, which rules of the wire it holds, and what is left of it for figures.

What a fault does is its own business (`sim.fault`); what it must remember while it lasts is kept here, so that one
scenario can run many times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault import Fault
from sim.observation.conditions import FaultInterval
from sim.world.network import Rule

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["FaultSchedule"]


class FaultSchedule:
    """Every fault of a simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.fault_intervals: list[FaultInterval] = []
        self._rules: dict[int, list[Rule]] = {}
        self._active: dict[int, tuple[Fault, int]] = {}
        self._numbers = {id(fault): number for number, fault in enumerate(simulation.scenario.fault)}

    def schedule(self) -> None:
        """Let each begin at its time."""
        for fault in self._simulation.scenario.fault:
            self._simulation.world.at(fault.at, self._begin, fault)

    def end_all(self) -> None:
        """End what still lasts."""
        for fault, _ in list(self._active.values()):
            self._end(fault)

    def stream_of(self, fault: Fault) -> str:
        """The name of a fault's own random stream."""
        return f"fault/{self._numbers[id(fault)]}"

    @property
    def active(self) -> int:
        """How many have begun and not ended."""
        return len(self._active)

    def is_active(self, fault: Fault) -> bool:
        """Whether a fault has begun and not ended."""
        return id(fault) in self._active

    def rule_on(self, fault: Fault, rule: Rule) -> None:
        """Put a rule in force on behalf of a fault."""
        self._rules.setdefault(id(fault), []).append(rule)
        self._simulation.network.add_rule(rule)

    def rules_off(self, fault: Fault) -> None:
        """Lift a fault's rules."""
        for rule in self._rules.pop(id(fault), []):
            self._simulation.network.remove_rule(rule)

    def _begin(self, fault: Fault) -> None:
        simulation = self._simulation
        simulation.trace.event("fault begins", fault.label(), list(fault.nodes()))
        self._active[id(fault)] = (fault, simulation.world.now)
        fault.begin(simulation)
        span = fault.span()
        if span is not None:
            simulation.world.after(span, self._end, fault)
        elif fault.momentary:
            self._close(fault)

    def _end(self, fault: Fault) -> None:
        if self.is_active(fault):
            self._simulation.trace.event("fault ends", fault.label(), list(fault.nodes()))
            fault.end(self._simulation)
            self._close(fault)

    def _close(self, fault: Fault) -> None:
        _, began = self._active.pop(id(fault))
        self.fault_intervals.append(FaultInterval(fault.label(), fault.nodes(), began, self._simulation.world.now))
