"""When things happen again and again: a Poisson process, or once a period, until the faults end.

Only instants; what happens then is the caller's. Gaps are whole microseconds, drawn from the caller's stream, and
nanoseconds where a microsecond would be too coarse; never nothing, so that time goes on whatever the rate.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from sim.units import Duration
from sim.world.world import World

__all__ = ["Arrivals"]

_COARSE: Final = 100_000.0
"""Up to so many times a second a gap is ten microseconds on average, and whole ones will do."""


class Arrivals:
    """Repeats actions in a world whose faults end after `duration` ns."""

    def __init__(self, world: World, duration: int) -> None:
        self._world = world
        self._duration = duration

    def end_of(self, stop: Duration | None) -> int:
        """When a workload with this `stop` ends: the faults' end at the latest."""
        return self._duration if stop is None else min(stop, self._duration)

    def poisson(
        self, rng: Random, rate: float, start: int, stop: Duration | None, action: Callable[[int], None]
    ) -> None:
        """Call `action(0)`, `action(1)`... as a Poisson process of `rate` per second."""
        end = self.end_of(stop)

        def gap() -> int:
            drawn = rng.expovariate(rate)
            return round(drawn * 1e6) * 1_000 if rate <= _COARSE else max(round(drawn * 1e9), 1)

        def step(number: int) -> None:
            if self._world.now < end:
                action(number)
                self._world.after(gap(), step, number + 1)

        if rate > 0:
            self._world.at(start + gap(), step, 0)

    def every(self, period: int, start: int, stop: Duration | None, action: Callable[[int], None]) -> None:
        """Call `action(0)`, `action(1)`... once a period, the first time a period after `start`."""
        end = self.end_of(stop)

        def step(number: int) -> None:
            if self._world.now < end:
                action(number)
                self._world.after(period, step, number + 1)

        self._world.at(start + period, step, 0)
