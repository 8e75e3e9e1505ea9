"""Units as people write them: what is read, what is refused, and that reading is exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.units import format_duration, parse_duration, parse_rate, parse_speed

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("30s", 30 * SECOND), ("1m30s", 90 * SECOND), ("250ms", SECOND // 4), ("72h", 259_200 * SECOND),
        ("-45s", -45 * SECOND), ("+5min", 300 * SECOND), ("0s", 0), ("1.5h", 5_400 * SECOND),
        ("2d 3h", 183_600 * SECOND),
        (" 7us ", 7_000), ("1ns", 1), ("0.1s", SECOND // 10), ("- 3 s", -3 * SECOND),
        ("36500d", 36_500 * 86_400 * SECOND), ("3153599999.999999999s", 36_500 * 86_400 * SECOND - 1),
    ],
)  # fmt: skip
def test_a_duration_is_read_exactly(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text", ["", "20", "s", "5 sec", "1h30", "five minutes", "1,5s", "1e3s", "--5s", "5s-3s", "٣s", "9" * 70]
)
def test_a_text_that_is_no_duration_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write a number with a unit, such as '30s'"):
        parse_duration(text)


def test_a_duration_of_more_than_a_hundred_years_is_refused() -> None:
    with pytest.raises(ValueError, match="'36501d' is too long; a duration is at most 36500d"):
        parse_duration("36501d")


@pytest.mark.parametrize(
    ("text", "per_second"), [("2/s", 2.0), ("30/m", 0.5), ("1/h", 1 / 3600), ("0/s", 0.0), ("1.5 / min", 0.025)]
)
def test_a_rate_is_events_per_second(text: str, per_second: float) -> None:
    assert parse_rate(text) == per_second


@pytest.mark.parametrize("text", ["2", "2s", "/s", "2/", "-1/s", "2/year", "nan/s", "1" * 80 + "/s"])
def test_a_text_that_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a rate; write events per time, such as '2/s'"):
        parse_rate(text)


def test_a_rate_at_which_time_would_stand_still_is_refused() -> None:
    assert parse_rate("100000/s") == 100_000.0
    with pytest.raises(ValueError, match="too fast; a rate is at most 100000/s"):
        parse_rate("100001/s")


@pytest.mark.parametrize(
    ("text", "bits"), [("10Mbit/s", 10_000_000), ("256kbit/s", 256_000), ("1 bit/s", 1), ("1.5Gbit/s", 1_500_000_000)]
)
def test_a_bandwidth_is_bits_per_second(text: str, bits: int) -> None:
    assert parse_speed(text) == bits


@pytest.mark.parametrize("text", ["10", "10MB/s", "10 mbit/s", "fast", "-1bit/s"])
def test_a_text_that_is_no_bandwidth_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a bandwidth; write for example '10Mbit/s'"):
        parse_speed(text)


def test_a_bandwidth_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="'0kbit/s' carries nothing"):
        parse_speed("0kbit/s")


def test_a_long_text_is_cut_in_its_error() -> None:
    with pytest.raises(ValueError, match="…") as caught:
        parse_duration("x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"), (1_500, "1.5us"), (250_000_000, "250ms"), (12 * SECOND, "12s"), (90 * SECOND, "1m30s"),
        (3_600 * SECOND, "1h"), (-45 * SECOND, "-45s"), (90_061 * SECOND, "1d1h"),
    ],
)  # fmt: skip
def test_a_duration_is_shown_in_its_two_largest_units(ns: int, text: str) -> None:
    assert format_duration(ns) == text


@given(st.integers(-(10**18), 10**18))
def test_nanoseconds_written_out_are_read_back(ns: int) -> None:
    assert parse_duration(f"{ns}ns") == ns


@given(st.integers(0, 36_499), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999_999))
def test_parts_of_a_duration_add_up(days: int, hours: int, minutes: int, seconds: int, rest: int) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s{rest}ns"
    assert parse_duration(text) == ((days * 24 + hours) * 60 + minutes) * 60 * SECOND + seconds * SECOND + rest
