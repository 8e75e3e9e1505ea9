"""Laws of the hybrid logical clock (spec/hlc.md), for any walk of the physical clock and any remote stamp."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core import limits
from stigmem.core.hlc import (
    COUNTER_MAX,
    WALL_MS_MAX,
    ZERO,
    Stamp,
    check_skew,
    format_stamp,
    parse_stamp,
    receive,
    stamp,
    stamp_counter,
    stamp_wall_ms,
    tick,
)
from tests.builders import T0_MS, refused

FOREIGN_COUNTER_MAX = (1 << 20) - 1

near = st.integers(T0_MS - 20_000, T0_MS + 20_000)
ours = st.builds(stamp, near, st.integers(0, COUNTER_MAX))
anyones = st.builds(stamp, st.integers(0, WALL_MS_MAX), st.integers(0, FOREIGN_COUNTER_MAX + 1_000))
remotes = st.one_of(anyones, st.builds(stamp, near, st.integers(0, 2_000)))


@given(ours, near)
def test_a_tick_is_later_than_the_last_stamp_and_not_behind_the_physical_clock(last: Stamp, now: int) -> None:
    ticked = tick(last, now)
    assert ticked > last
    assert ticked >= stamp(now, 0)
    assert stamp_counter(ticked) <= COUNTER_MAX


@given(st.lists(near, min_size=2, max_size=50))
def test_stamps_grow_whatever_the_physical_clock_does(walk: list[int]) -> None:
    stamps = [ZERO]
    for now in walk:
        stamps.append(tick(stamps[-1], now))
    assert all(first < second for first, second in itertools.pairwise(stamps))


@given(ours, remotes, near)
def test_receiving_is_later_than_our_own_stamp_always(last: Stamp, remote: Stamp, now: int) -> None:
    moved = receive(last, remote, now)
    assert moved > last
    assert moved >= tick(last, now)
    assert stamp_counter(moved) <= COUNTER_MAX


@given(ours, remotes, near)
def test_receiving_is_later_than_a_remote_stamp_within_the_drag_bound(last: Stamp, remote: Stamp, now: int) -> None:
    if stamp_wall_ms(remote) < now + limits.DRAG_MS:
        assert receive(last, remote, now) > remote


@given(ours, remotes, near)
def test_no_remote_stamp_moves_us_more_than_the_drag_bound_ahead(last: Stamp, remote: Stamp, now: int) -> None:
    alone, moved = tick(last, now), receive(last, remote, now)
    assert moved == alone or stamp_wall_ms(moved) <= now + limits.DRAG_MS


@given(ours, st.lists(st.tuples(remotes, near), max_size=30))
def test_a_storm_of_remote_stamps_never_drags_us_beyond_the_bound(last: Stamp, storm: list[tuple[Stamp, int]]) -> None:
    clock = last
    furthest = max([stamp_wall_ms(last), *(now for _, now in storm)]) + limits.DRAG_MS
    for remote, now in storm:
        clock = receive(clock, remote, now)
    # Each stamp of the storm may also open one millisecond by using up the counter.
    assert stamp_wall_ms(clock) <= furthest + len(storm)


@given(st.integers(0, 10**13 - 1), st.integers(0, COUNTER_MAX))
def test_stamps_survive_their_text(wall: int, counter: int) -> None:
    value = stamp(wall, counter)
    text = format_stamp(value)
    assert parse_stamp(text) == value
    assert (stamp_wall_ms(value), stamp_counter(value)) == (wall, counter)
    assert parse_stamp(f"{wall}.{counter}") == value


@given(ours, ours)
def test_text_order_is_the_order_of_the_stamps_we_issue(first: Stamp, second: Stamp) -> None:
    assert (format_stamp(first) < format_stamp(second)) == (first < second)


@given(near, st.integers(0, 5_000))
def test_a_full_counter_opens_the_next_millisecond(wall: int, writes: int) -> None:
    value = stamp(wall, 0)
    for _ in range(3):
        value = tick(stamp(stamp_wall_ms(value), COUNTER_MAX), wall)
    assert (stamp_wall_ms(value), stamp_counter(value)) == (wall + 3, 0)
    assert tick(stamp(wall, writes % COUNTER_MAX), wall) == stamp(wall, writes % COUNTER_MAX + 1)


def test_foreign_counters_beyond_twenty_bits_count_as_the_last_one() -> None:
    assert parse_stamp("1795161344436.999999999") == stamp(1_795_161_344_436, FOREIGN_COUNTER_MAX)
    assert parse_stamp("1795161344436.1048575") == parse_stamp("1795161344436.1048576")
    assert parse_stamp("1795161344436.1048574") < parse_stamp("1795161344436.1048575")


@given(st.text(max_size=24))
def test_any_text_is_a_stamp_or_malformed(text: str) -> None:
    wall, _, counter = text.partition(".")
    code = refused(lambda: parse_stamp(text))
    if code is not None:
        assert code == "hlc_malformed"
        return
    value = parse_stamp(text)
    assert (stamp_wall_ms(value), stamp_counter(value)) == (int(wall), min(int(counter or 0), FOREIGN_COUNTER_MAX))


@given(remotes, near, st.integers(0, 10_000), st.integers(0, 10_000))
def test_skew_is_reported_with_its_direction_and_size(remote: Stamp, now: int, future: int, past: int) -> None:
    skew = stamp_wall_ms(remote) - now
    found = check_skew(remote, now, future_ms=future, past_ms=past)
    if future and skew > future:
        assert found == ("future", skew)
    elif past and skew < -past:
        assert found == ("past", skew)
    else:
        assert found is None


@pytest.mark.parametrize("bound", ["future_ms", "past_ms"])
def test_a_bound_of_zero_is_switched_off(bound: str) -> None:
    far = stamp(T0_MS + 10**9 if bound == "future_ms" else T0_MS - 10**10, 0)
    assert check_skew(far, T0_MS) is not None
    assert check_skew(far, T0_MS, **{bound: 0}) is None
