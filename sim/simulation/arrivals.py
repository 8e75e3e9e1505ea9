"""When things happen: at an instant, again and again as a Poisson process, or once a period, until the faults end.

Only instants; what happens then is the caller's. Gaps are whole microseconds, drawn from the caller's stream, and
nanoseconds where a microsecond would be too coarse; never nothing, so that time goes on whatever the rate.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from sim.world.world import World

__all__ = ["Arrivals"]

_COARSE: Final = 100_000.0
"""Up to so many times a second a gap is ten microseconds on average, and whole ones will do."""


class Arrivals:
    """Schedules actions in a world whose faults end after `duration` ns."""

    def __init__(self, world: World, duration: int) -> None:
        self._world = world
        self._duration = duration

    @property
    def now_ns(self) -> int:
        """Simulated nanoseconds since the run began."""
        return self._world.now

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        """Call an action at an instant, or now if it has passed."""
        self._world.at(when_ns, _call, action)

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Call an action after a delay."""
        self._world.after(delay_ns, _call, action)

    def end_of(self, stop: int | None) -> int:
        """When a workload with this `stop` ends: the faults' end at the latest."""
        return self._duration if stop is None else min(stop, self._duration)

    def poisson(
        self, rng: Random, rate: float, start_ns: int, stop_ns: int | None, action: Callable[[int], None]
    ) -> None:
        """Call `action(0)`, `action(1)`... as a Poisson process of `rate` per second."""
        end = self.end_of(stop_ns)

        def gap() -> int:
            drawn = rng.expovariate(rate)
            return round(drawn * 1e6) * 1_000 if rate <= _COARSE else max(round(drawn * 1e9), 1)

        def step(number: int) -> None:
            if self._world.now < end:
                action(number)
                self._world.after(gap(), step, number + 1)

        if rate > 0:
            self._world.at(start_ns + gap(), step, 0)

    def every(self, period_ns: int, start_ns: int, stop_ns: int | None, action: Callable[[int], None]) -> None:
        """Call `action(0)`, `action(1)`... once a period, the first time a period after `start_ns`."""
        end = self.end_of(stop_ns)

        def step(number: int) -> None:
            if self._world.now < end:
                action(number)
                self._world.after(period_ns, step, number + 1)

        self._world.at(start_ns + period_ns, step, 0)


def _call(action: Callable[[], None]) -> None:
    action()
