"""Rhythms: how often things happen, and that time goes on however often they should."""

from __future__ import annotations

from random import Random

import pytest
import trio

from sim.simulation.arrivals import Arrivals
from sim.world.world import World, simulate

S = 1_000_000_000


def times_of(rate: float, duration: int) -> list[int]:
    """When a process of that rate strikes."""
    world = World()
    seen: list[int] = []
    Arrivals(world, duration).poisson(Random(7), rate, 0, None, lambda _: seen.append(world.now))
    world.at(duration, lambda _: world.finish())

    async def main() -> None:
        with trio.fail_after(2 * duration / S):
            await world.run()

    simulate(world, main)
    return seen


@pytest.mark.parametrize(
    ("rate", "duration"), [(2.0, 1_000 * S), (1e5, S // 50), (1e7, S // 5_000), (1e9, S // 100_000)]
)
def test_a_process_keeps_its_rate_however_high_it_is(rate: float, duration: int) -> None:
    seen = times_of(rate, duration)
    # At a nanosecond on average the shortest gap, one nanosecond, is as long as the usual one.
    assert rate * duration / S * 0.5 < len(seen) < rate * duration / S * 1.1
    assert seen == sorted(seen)
    assert all(at % 1_000 == 0 for at in seen) == (rate <= 1e5)
