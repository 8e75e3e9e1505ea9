"""Clocks that go wrong: steps, freezes, strobes, slews and drift, of one node or of all.

When one of them ends, the clock shows what it would have shown without it: somebody has set it right. The
arithmetic is `sim.world.clocks`; this file says when and whose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.fault.base import NodeFault
from sim.units import Duration, Positive, format_duration, parse_duration
from sim.world.clocks import NodeClock

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

__all__ = ["ClockDrift", "ClockFault", "ClockFreeze", "ClockSlew", "ClockStep", "ClockStrobe", "Ppm"]

Ppm = Annotated[int, Meta(gt=-500_000, lt=500_000)]
"""Parts per million; a clock half or twice as fast is broken, not wrong."""


class ClockFault(NodeFault):
    """A fault of wall clocks; it acts on each clock under its own name."""

    def wrong(self, clock: NodeClock, now: int) -> None:
        """Put a clock wrong at a true instant."""
        raise NotImplementedError

    def right(self, clock: NodeClock, now: int) -> None:
        """Put it right again."""
        raise NotImplementedError

    def begin(self, simulation: Simulation) -> None:
        for name in self.hit(simulation):
            self.wrong(simulation.machines[name].clock, simulation.world.now)

    def end(self, simulation: Simulation) -> None:
        for name in simulation.plan.nodes if self.node is None else (self.node,):
            self.right(simulation.machines[name].clock, simulation.world.now)


class ClockStep(ClockFault, tag="clock-step", kw_only=True):
    """The wall clock is set `by` ahead, or back; for good, or with `for` until it steps back."""

    by: Duration
    momentary = True

    def label(self) -> str:
        return f"clock {'+' if self.by > 0 else ''}{format_duration(self.by)}"

    def check(self, plan: Plan) -> None:
        if self.by == 0:
            raise Misfit("by", "a step of nothing changes nothing; write for example '10m' or '-45s'")

    def wrong(self, clock: NodeClock, now: int) -> None:
        clock.step(id(self), self.by)

    def right(self, clock: NodeClock, now: int) -> None:
        clock.unstep(id(self))


class ClockFreeze(ClockFault, tag="clock-freeze", kw_only=True):
    """The wall clock stands still; at the end it jumps to where it would have been."""

    def wrong(self, clock: NodeClock, now: int) -> None:
        clock.freeze(id(self), now)

    def right(self, clock: NodeClock, now: int) -> None:
        clock.thaw(id(self))


class ClockStrobe(ClockFault, tag="clock-strobe", kw_only=True):
    """The wall clock is `by` off in every other `period`, beginning with the first."""

    by: Duration
    period: Positive = parse_duration("10s")

    def check(self, plan: Plan) -> None:
        if self.by == 0:
            raise Misfit("by", "a strobe of nothing changes nothing; write for example '2s' or '-200ms'")

    def wrong(self, clock: NodeClock, now: int) -> None:
        clock.strobe(id(self), now, self.by, self.period)

    def right(self, clock: NodeClock, now: int) -> None:
        clock.unstrobe(id(self))


class ClockSlew(ClockFault, tag="clock-slew", kw_only=True):
    """The wall clock runs `ppm` parts per million fast or slow, as a time daemon makes it; timers do not."""

    ppm: Ppm

    def wrong(self, clock: NodeClock, now: int) -> None:
        clock.slew(id(self), now, self.ppm)

    def right(self, clock: NodeClock, now: int) -> None:
        clock.unslew(id(self))


class ClockDrift(ClockFault, tag="clock-drift", kw_only=True):
    """The oscillator runs `ppm` parts per million fast or slow instead of what it did: wall clock and timers."""

    ppm: Ppm

    def wrong(self, clock: NodeClock, now: int) -> None:
        clock.drift(id(self), now, self.ppm)

    def right(self, clock: NodeClock, now: int) -> None:
        clock.undrift(id(self), now)
