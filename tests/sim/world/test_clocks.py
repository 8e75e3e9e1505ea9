"""Clocks that are wrong (spec/simulation.md, 3): each fault alone, all of them together, and none left over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.world.clocks import EPOCH_NS, NodeClock

S = 1_000_000_000

BEGIN: dict[str, Callable[[NodeClock, object, int], None]] = {
    "step": lambda clock, key, now: clock.step(key, -600 * S),
    "drift": lambda clock, key, now: clock.drift(key, now, 40_000),
    "slew": lambda clock, key, now: clock.slew(key, now, -30_000),
    "freeze": lambda clock, key, now: clock.freeze(key, now),
    "strobe": lambda clock, key, now: clock.strobe(key, now, 7 * S, 3 * S),
}
END: dict[str, Callable[[NodeClock, object, int], None]] = {
    "step": lambda clock, key, now: clock.unstep(key),
    "drift": lambda clock, key, now: clock.undrift(key, now),
    "slew": lambda clock, key, now: clock.unslew(key),
    "freeze": lambda clock, key, now: clock.thaw(key),
    "strobe": lambda clock, key, now: clock.unstrobe(key),
}


def test_a_clock_shows_true_time_plus_its_offset_and_what_its_drift_has_gained() -> None:
    clock = NodeClock(offset_ns=-45 * S, drift_ppm=120)
    assert clock.wall(0) == EPOCH_NS - 45 * S
    assert clock.wall(1_000 * S) == EPOCH_NS - 45 * S + 1_000 * S + 120_000_000


def test_a_drifting_oscillator_measures_durations_by_its_own_rate() -> None:
    clock = NodeClock(drift_ppm=100_000)
    assert clock.monotonic(10 * S) == 11 * S
    assert clock.to_true(11 * S) == 10 * S


def test_a_step_moves_the_wall_clock_and_not_the_monotonic_one() -> None:
    clock = NodeClock()
    clock.step("fault", 600 * S)
    assert clock.wall(5 * S) == EPOCH_NS + 605 * S
    assert clock.monotonic(5 * S) == 5 * S


def test_a_frozen_clock_stands_still_and_thaws_to_where_it_would_have_been() -> None:
    clock = NodeClock()
    clock.freeze("fault", 10 * S)
    assert clock.wall(10 * S) == clock.wall(25 * S) == EPOCH_NS + 10 * S
    clock.thaw("fault")
    assert clock.wall(25 * S) == EPOCH_NS + 25 * S


def test_a_step_moves_what_a_frozen_clock_shows() -> None:
    clock = NodeClock()
    clock.freeze("freeze", 10 * S)
    clock.step("step", -2 * S)
    assert clock.wall(20 * S) == EPOCH_NS + 8 * S
    clock.unstep("step")
    assert clock.wall(20 * S) == EPOCH_NS + 10 * S


def test_a_strobe_is_off_in_every_other_period() -> None:
    clock = NodeClock()
    clock.strobe("fault", 10 * S, 7 * S, 2 * S)
    shown = [clock.wall(second * S) - EPOCH_NS - second * S for second in range(10, 18)]
    assert shown == [7 * S, 7 * S, 0, 0, 7 * S, 7 * S, 0, 0]


def test_a_slew_moves_the_wall_clock_little_by_little_and_timers_not_at_all() -> None:
    clock = NodeClock()
    clock.slew("fault", 0, 1_000)
    assert clock.wall(100 * S) == EPOCH_NS + 100 * S + S // 10
    assert clock.to_true(S) == S


def test_a_drift_of_a_while_stays_in_the_monotonic_clock_and_leaves_the_wall_clock() -> None:
    clock = NodeClock()
    clock.drift("fault", 0, 100_000)
    clock.undrift("fault", 10 * S)
    assert clock.monotonic(10 * S) == 11 * S
    assert clock.monotonic(20 * S) == 21 * S
    assert clock.wall(20 * S) == EPOCH_NS + 20 * S


@pytest.mark.parametrize("kind", BEGIN)
def test_ending_what_never_began_changes_nothing(kind: str) -> None:
    clock, untouched = NodeClock(offset_ns=3), NodeClock(offset_ns=3)
    END[kind](clock, "fault", 9 * S)
    assert clock.wall(20 * S) == untouched.wall(20 * S)
    assert clock.monotonic(20 * S) == untouched.monotonic(20 * S)


@st.composite
def troubles(draw: st.DrawFn) -> list[tuple[int, bool, str, int]]:
    """(true time, begins?, kind, key) of several faults that overlap as they like."""
    found = []
    for key in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(sorted(BEGIN)))
        begin = draw(st.integers(0, 500))
        found += [(begin * S, True, kind, key), ((begin + draw(st.integers(1, 500))) * S, False, kind, key)]
    return sorted(found, key=lambda event: event[0])


@given(events=troubles(), offset=st.integers(-100, 100), drift=st.integers(-1_000, 1_000))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_when_all_faults_are_over_the_wall_clock_is_as_if_they_had_never_been(
    events: list[tuple[int, bool, str, int]], offset: int, drift: int
) -> None:
    clock, undisturbed = (NodeClock(offset_ns=offset * S, drift_ppm=drift) for _ in range(2))
    last = clock.monotonic(0)
    for now, begins, kind, key in events:
        assert clock.monotonic(now) >= last, "the monotonic clock ran back"
        last = clock.monotonic(now)
        (BEGIN if begins else END)[kind](clock, key, now)
        assert clock.monotonic(now) == last, "the monotonic clock jumped"
    end = events[-1][0]
    assert clock.wall(end) == undisturbed.wall(end)
    assert clock.wall(end + 3_600 * S) == undisturbed.wall(end + 3_600 * S)
    assert clock.to_true(S) == undisturbed.to_true(S)
