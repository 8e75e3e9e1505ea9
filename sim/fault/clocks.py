"""Clocks that go wrong: steps, freezes, strobes, slews and drift, of one node or of all.

When one of them ends, the clock shows what it would have shown without it: somebody has set it right. The
arithmetic is `sim.world.clocks`; this file says when and whose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.fault.base import NodeFault, all_of
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation
from sim.units import Duration, Positive, format_duration, parse_duration
from sim.world.clocks import ClockError, Drift, Freeze, Slew, Step, Strobe

__all__ = ["ClockDrift", "ClockFault", "ClockFreeze", "ClockSlew", "ClockStep", "ClockStrobe", "Ppm"]

Ppm = Annotated[int, Meta(gt=-500_000, lt=500_000)]
"""Parts per million; a clock half or twice as fast is broken, not wrong."""


class ClockFault(NodeFault):
    """A fault of clocks: of one node's, or of every node's."""

    def error(self) -> ClockError:
        """In which way the clocks are wrong."""
        raise NotImplementedError

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with all_of(machine.clock(self.error()) for machine in env.machines(self.node)):
            yield


@kind("clock-step")
class ClockStep(ClockFault, kw_only=True):
    """The wall clock is set `by` ahead, or back; for good, or with `for` until it steps back."""

    by: Duration
    """By how much the clock is set ahead, or back when negative."""
    momentary = True

    def label(self) -> str:
        return f"clock {'+' if self.by > 0 else ''}{format_duration(self.by)}"

    def check(self, federation: Federation) -> None:
        if self.by == 0:
            raise Misfit("by", "a step of nothing changes nothing; write for example '10m' or '-45s'")

    def error(self) -> ClockError:
        return Step(self.by)


@kind("clock-freeze")
class ClockFreeze(ClockFault, kw_only=True):
    """The wall clock stands still; at the end it jumps to where it would have been."""

    def error(self) -> ClockError:
        return Freeze()


@kind("clock-strobe")
class ClockStrobe(ClockFault, kw_only=True):
    """The wall clock is `by` off in every other `period`, beginning with the first."""

    by: Duration
    """How far the clock is off in every other period."""
    period: Positive = parse_duration("10s")
    """How long it is off, and how long it is right in between."""

    def check(self, federation: Federation) -> None:
        if self.by == 0:
            raise Misfit("by", "a strobe of nothing changes nothing; write for example '2s' or '-200ms'")

    def error(self) -> ClockError:
        return Strobe(self.by, self.period)


@kind("clock-slew")
class ClockSlew(ClockFault, kw_only=True):
    """The wall clock runs `ppm` parts per million fast or slow, as a time daemon makes it; timers do not."""

    ppm: Ppm
    """Parts per million by which the wall clock runs fast, or slow when negative."""

    def error(self) -> ClockError:
        return Slew(self.ppm)


@kind("clock-drift")
class ClockDrift(ClockFault, kw_only=True):
    """The oscillator runs `ppm` parts per million fast or slow instead of what it did: wall clock and timers."""

    ppm: Ppm
    """Parts per million by which the oscillator runs fast, or slow when negative."""

    def error(self) -> ClockError:
        return Drift(self.ppm)
