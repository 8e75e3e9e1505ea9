"""Node clocks that are wrong: offset, drift, steps, freezes, strobes and slews, apart from true time.

Integer arithmetic on true nanoseconds. A clock has three faces: the wall clock, which every fault moves; the monotonic
clock, which only drifts, and stops while the machine is suspended; and the elapsed time, which is the monotonic clock
without that stop. Each fault is kept under a key of its own and is gone without a trace when it
is taken back, in whatever order they end; only the world knows true time (spec/simulation.md, 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

__all__ = ["EPOCH_NS", "ClockError", "Drift", "Freeze", "NodeClock", "Slew", "Step", "Strobe", "Suspension"]

EPOCH_NS: Final = 1_780_272_000_000_000_000
"""True wall time at the start of every scenario: 2026-06-01T00:00:00Z."""

_PPM: Final = 1_000_000


class _Strobe(NamedTuple):
    begin: int
    swing_ns: int
    period_ns: int

    def shown(self, true_ns: int) -> int:
        """By how much the clock is off now."""
        return self.swing_ns if (true_ns - self.begin) // self.period_ns % 2 == 0 else 0


class _Rate(NamedTuple):
    """So many parts per million too fast since an instant."""

    begin: int
    ppm: int

    def gained(self, true_ns: int) -> int:
        return (true_ns - self.begin) * self.ppm // _PPM


class _Suspended(NamedTuple):
    begin: int
    virtual: bool


class NodeClock:
    """The clock of one node as a function of true time, in nanoseconds."""

    def __init__(self, *, offset_ns: int = 0, drift_ppm: int = 0) -> None:
        self._offset = EPOCH_NS + offset_ns
        self._own = _Rate(0, drift_ppm)
        self._kept = 0
        """What drifts that are over have added to the monotonic clock, which cannot give it back."""
        self._steps: dict[object, int] = {}
        self._drifts: dict[object, _Rate] = {}
        self._slews: dict[object, _Rate] = {}
        self._strobes: dict[object, _Strobe] = {}
        self._frozen: dict[object, int] = {}
        self._suspended: dict[object, _Suspended] = {}
        self._lost = 0
        """What the monotonic clock has not counted of suspensions that are over."""
        self._unseen = 0
        """What no clock of the machine has counted of them: it was a virtual one."""

    def wall(self, true_ns: int) -> int:
        """What the node's wall clock shows."""
        if self._frozen:
            return next(iter(self._frozen.values()))
        wall = self._offset + true_ns
        if self._own.ppm:
            wall += self._own.gained(true_ns)
        if self._steps:
            wall += sum(self._steps.values())
        if self._drifts:
            wall += sum(rate.gained(true_ns) for rate in self._drifts.values())
        if self._slews:
            wall += sum(rate.gained(true_ns) for rate in self._slews.values())
        if self._strobes:
            wall += sum(strobe.shown(true_ns) for strobe in self._strobes.values())
        return wall

    def monotonic(self, true_ns: int) -> int:
        """Nanoseconds of this node's own time since the start of the scenario; never runs back."""
        shown = true_ns + self._kept - self._lost
        if self._suspended:
            shown -= self._away(true_ns)
        if self._own.ppm:
            shown += self._own.gained(true_ns)
        for rate in self._drifts.values():
            shown += rate.gained(true_ns)
        return shown

    def elapsed(self, true_ns: int) -> int:
        """As `monotonic`, with the time for which the machine was suspended; without it for a virtual one, which does
        not know."""
        away = self._lost - self._unseen
        if self._suspended and not any(each.virtual for each in self._suspended.values()):
            away += self._away(true_ns)
        return self.monotonic(true_ns) + away

    def _away(self, true_ns: int) -> int:
        return true_ns - min(each.begin for each in self._suspended.values())

    def to_true(self, local_ns: int) -> int:
        """True duration of a duration that this node's oscillator measures."""
        ppm = self._own.ppm
        for rate in self._drifts.values():
            ppm += rate.ppm
        return local_ns * _PPM // (_PPM + ppm)

    # --- faults: each under the key of whoever makes it ---

    def step(self, key: object, by_ns: int) -> None:
        """Set the wall clock forward (or back, when negative)."""
        self._steps[key] = self._steps.get(key, 0) + by_ns
        self._frozen = {other: shown + by_ns for other, shown in self._frozen.items()}

    def unstep(self, key: object) -> None:
        """Take a step back."""
        by_ns = self._steps.pop(key, 0)
        self._frozen = {other: shown - by_ns for other, shown in self._frozen.items()}

    def drift(self, key: object, true_ns: int, ppm: int) -> None:
        """Let the oscillator run `ppm` parts per million fast (slow, when negative), whatever its own drift."""
        self._drifts[key] = _Rate(true_ns, ppm - self._own.ppm)

    def undrift(self, key: object, true_ns: int) -> None:
        """Back to the oscillator's own drift; the wall clock is set right, the monotonic clock keeps its gain."""
        self._kept += self._drifts.pop(key, _Rate(true_ns, 0)).gained(true_ns)

    def slew(self, key: object, true_ns: int, ppm: int) -> None:
        """Run the wall clock fast or slow by a rate, as a time daemon does; the oscillator stays true."""
        self._slews[key] = _Rate(true_ns, ppm)

    def unslew(self, key: object) -> None:
        """End a slew and take back what it has reached."""
        self._slews.pop(key, None)

    def freeze(self, key: object, true_ns: int) -> None:
        """Stop the wall clock."""
        self._frozen[key] = self.wall(true_ns)

    def thaw(self, key: object) -> None:
        """Let the wall clock jump to where it would have been."""
        self._frozen.pop(key, None)

    def suspend(self, key: object, true_ns: int, *, virtual: bool) -> None:
        """Stop the monotonic clock, and of a virtual machine the elapsed time too."""
        self._suspended[key] = _Suspended(true_ns, virtual)

    def wake(self, key: object, true_ns: int) -> None:
        """End a suspension; the clocks that stood go on from where they were when the last one ends."""
        if key in self._suspended:
            away = self._away(true_ns)
            virtual = any(each.virtual for each in self._suspended.values())
            del self._suspended[key]
            begin = true_ns - away
            self._suspended = {other: _Suspended(begin, each.virtual) for other, each in self._suspended.items()}
            if not self._suspended:
                self._lost += away
                self._unseen += away if virtual else 0

    def strobe(self, key: object, true_ns: int, swing_ns: int, period_ns: int) -> None:
        """Show a time off by `swing_ns` in every other period."""
        self._strobes[key] = _Strobe(true_ns, swing_ns, period_ns)

    def unstrobe(self, key: object) -> None:
        """End a strobe."""
        self._strobes.pop(key, None)


# --- the same as values, for whoever says which error and leaves it to others when and whose ---


class ClockError(Protocol):
    """A way in which a clock can be wrong for a while. `key` is whoever makes it so, `true_ns` the present instant."""

    def begin(self, clock: NodeClock, key: object, true_ns: int) -> None: ...

    def end(self, clock: NodeClock, key: object, true_ns: int) -> None: ...


@dataclass(frozen=True)
class Step:
    """Set ahead, or back when below 0."""

    by_ns: int

    def begin(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.step(key, self.by_ns)

    def end(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.unstep(key)


@dataclass(frozen=True)
class Freeze:
    """Standing still."""

    def begin(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.freeze(key, true_ns)

    def end(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.thaw(key)


@dataclass(frozen=True)
class Strobe:
    """Off by `swing_ns` in every other period, beginning with the first."""

    swing_ns: int
    period_ns: int

    def begin(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.strobe(key, true_ns, self.swing_ns, self.period_ns)

    def end(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.unstrobe(key)


@dataclass(frozen=True)
class Slew:
    """Run fast, or slow when below 0, as a time daemon makes it: timers stay right."""

    ppm: int

    def begin(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.slew(key, true_ns, self.ppm)

    def end(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.unslew(key)


@dataclass(frozen=True)
class Drift:
    """An oscillator that runs fast or slow instead of what it did: wall clock and timers."""

    ppm: int

    def begin(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.drift(key, true_ns, self.ppm)

    def end(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.undrift(key, true_ns)


@dataclass(frozen=True)
class Suspension:
    """A machine that sleeps: its wall clock is right when it wakes, its monotonic clock has stood still. A virtual one
    that was stopped does not know for how long: its elapsed time has stood still as well."""

    virtual: bool

    def begin(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.suspend(key, true_ns, virtual=self.virtual)

    def end(self, clock: NodeClock, key: object, true_ns: int) -> None:
        clock.wake(key, true_ns)
