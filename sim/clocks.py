"""Node clocks that are wrong: offset, drift, steps, freezes, strobes and slews, apart from true time.

Integer arithmetic on true nanoseconds. A clock has two faces: the wall clock, which faults move, and the
monotonic clock, which only drifts. Only the world knows true time (spec/simulation.md, 3).
"""

from __future__ import annotations

from typing import Final

__all__ = ["EPOCH_NS", "NodeClock"]

EPOCH_NS: Final = 1_780_272_000_000_000_000
"""True wall time at the start of every scenario: 2026-06-01T00:00:00Z."""


class NodeClock:
    """The clock of one node as a function of true time, in nanoseconds."""

    def __init__(self, *, offset_ns: int = 0, drift_ppm: int = 0) -> None:
        self._drift_ppm = drift_ppm
        self._anchor_true = 0
        self._anchor_wall = EPOCH_NS + offset_ns
        self._anchor_monotonic = 0
        self._rate_ppm = drift_ppm
        self._frozen_at: int | None = None
        self._strobe: tuple[int, int, int] | None = None
        self._slew: tuple[int, int] | None = None

    def wall(self, true_ns: int) -> int:
        """What the node's wall clock shows."""
        if self._frozen_at is not None:
            return self._frozen_at
        wall = self._running(true_ns)
        if self._strobe is not None:
            begin, swing, period = self._strobe
            if (true_ns - begin) // period % 2 == 0:
                wall += swing
        return wall

    def _running(self, true_ns: int) -> int:
        elapsed = true_ns - self._anchor_true
        wall = self._anchor_wall + elapsed + elapsed * self._rate_ppm // 1_000_000
        if self._slew is not None:
            begin, rate_ppm = self._slew
            wall += (true_ns - begin) * rate_ppm // 1_000_000
        return wall

    def monotonic(self, true_ns: int) -> int:
        """Nanoseconds of this node's own time since the start of the scenario; never runs back."""
        elapsed = true_ns - self._anchor_true
        return self._anchor_monotonic + elapsed + elapsed * self._rate_ppm // 1_000_000

    def to_true(self, local_ns: int) -> int:
        """True duration of a duration that this node's oscillator measures."""
        return local_ns * 1_000_000 // (1_000_000 + self._rate_ppm)

    # --- faults ---

    def step(self, true_ns: int, by_ns: int) -> None:
        """Set the wall clock forward (or back, when negative)."""
        self._anchor(true_ns)
        self._anchor_wall += by_ns
        if self._frozen_at is not None:
            self._frozen_at += by_ns

    def drift(self, true_ns: int, ppm: int) -> None:
        """Change the oscillator's error."""
        self._anchor(true_ns)
        self._rate_ppm = ppm

    def restore_drift(self, true_ns: int) -> None:
        """Back to the drift the node began with."""
        self.drift(true_ns, self._drift_ppm)

    def freeze(self, true_ns: int) -> None:
        """Stop the wall clock."""
        self._frozen_at = self.wall(true_ns)

    def thaw(self) -> None:
        """Let the wall clock jump to where it would have been."""
        self._frozen_at = None

    def strobe(self, true_ns: int, swing_ns: int, period_ns: int) -> None:
        """Show a time off by `swing_ns` in every other period."""
        self._strobe = (true_ns, swing_ns, period_ns)

    def steady(self) -> None:
        """End a strobe."""
        self._strobe = None

    def slew(self, true_ns: int, rate_ppm: int) -> None:
        """Run the wall clock fast or slow by a rate, as a time daemon does to remove an offset."""
        self._anchor(true_ns)
        self._slew = (true_ns, rate_ppm)

    def end_slew(self, true_ns: int) -> None:
        """Keep the offset that the slew has reached."""
        self._anchor(true_ns)
        self._slew = None

    def _anchor(self, true_ns: int) -> None:
        self._anchor_wall, self._anchor_monotonic = self._running(true_ns), self.monotonic(true_ns)
        self._anchor_true = true_ns
        if self._slew is not None:
            self._slew = (true_ns, self._slew[1])
