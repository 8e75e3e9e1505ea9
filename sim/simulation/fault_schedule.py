"""Faults under way: when each is injected and when it is left, and what is told of it in figures.

A fault is a context manager (`sim.fault.base`); this is who enters and leaves it. Three cases:

* It lasts: entered at `at`, left `span()` later, or when all faults end.
* It is momentary and has no span: entered at `at` and over at once, but never left, for leaving it would undo it. Its
  guard is kept to the end of the run, since a generator that nobody keeps is closed, and closing it is leaving it.
* It is momentary and has a span: as one that lasts.

Faults are known by their numbers in the scenario: one value may stand there twice, and be used by several runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from sim.diagnostics.kind_errors import KindFailed, blame
from sim.fault import Fault
from sim.observation.conditions import FaultInterval
from sim.ports import FaultEnv
from sim.world.trace import Trace
from sim.world.world import World

__all__ = ["FaultSchedule"]


class _Running(NamedTuple):
    fault: Fault
    guard: AbstractContextManager[None]
    begin_ns: int


def _guard_of(fault: Fault, env: FaultEnv) -> AbstractContextManager[None]:
    guard: Any = fault.inject(env)
    if isinstance(guard, AbstractContextManager):
        return guard
    what = "nothing" if guard is None else f"a {type(guard).__name__}"
    raise KindFailed(
        fault,
        f"gave {what} from inject, where a context manager belongs: write @contextmanager, of contextlib, above it, "
        "and yield once",
    )


class FaultSchedule:
    """Every fault of a run."""

    def __init__(
        self, faults: Sequence[Fault], make_env: Callable[[int], FaultEnv], *, world: World, trace: Trace
    ) -> None:
        """`make_env` gives a fault, by its number in the scenario, what it may touch."""
        self.fault_intervals: list[FaultInterval] = []
        """Those that are over, in the order in which they ended."""
        self._faults = faults
        self._make_env = make_env
        self._world = world
        self._trace = trace
        self._active: dict[int, _Running] = {}
        self._kept: list[AbstractContextManager[None]] = []
        self._over: list[tuple[Fault, int]] = []
        """Those that are over, and when they ended, in that order."""

    @property
    def active(self) -> int:
        """How many have begun and not ended."""
        return len(self._active)

    def may_delay(self, first: str, second: str) -> bool:
        """Whether one of those that last may delay what two nodes say to each other."""
        return any(running.fault.strikes(first, second) for running in self._active.values())

    def ended_ns(self, first: str, second: str) -> int | None:
        """When the last of those that did so ended."""
        return next((end_ns for fault, end_ns in reversed(self._over) if fault.strikes(first, second)), None)

    def schedule(self) -> None:
        """Let each begin at its time."""
        for number, fault in enumerate(self._faults):
            self._world.at(fault.at, self._begin, number)

    def end_all(self) -> None:
        """End what still lasts, in the order in which it began."""
        for number in list(self._active):
            self._end(number)

    def unfinished(self) -> list[FaultInterval]:
        """What is in force now, as if it ended now, in the order of the scenario."""
        now = self._world.now
        return [
            FaultInterval(fault.label(), fault.nodes(), int(fault.at), now, fault.name)
            for number, fault in enumerate(self._faults)
            if number in self._active
        ]

    def _begin(self, number: int) -> None:
        fault = self._faults[number]
        self._trace.event("fault begins", fault.label(), list(fault.nodes()))
        try:
            guard = _guard_of(fault, self._make_env(number))
            self._active[number] = _Running(fault, guard, self._world.now)
            guard.__enter__()
        except Exception as error:
            blame(fault, error, "inject")
        span = fault.span()
        if span is not None:
            self._world.after(span, self._end, number)
        elif fault.momentary:
            self._kept.append(guard)
            self._close(number)

    def _end(self, number: int) -> None:
        running = self._active.get(number)
        if running is not None:
            self._trace.event("fault ends", running.fault.label(), list(running.fault.nodes()))
            try:
                running.guard.__exit__(None, None, None)
            except Exception as error:
                blame(running.fault, error, "inject, when it was left")
            self._close(number)

    def _close(self, number: int) -> None:
        fault, _, begin_ns = self._active.pop(number)
        now = self._world.now
        self._over.append((fault, now))
        self.fault_intervals.append(FaultInterval(fault.label(), fault.nodes(), begin_ns, now, fault.name))
