"""Token buckets: never more than the burst and the refill together, and a waiting time that is true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.token_bucket import TokenBucket

S = 1_000_000_000
steps = st.lists(st.tuples(st.integers(0, 20), st.floats(0.1, 5.0)), max_size=60)


@given(steps, st.floats(1.0, 30.0), st.floats(0.1, 10.0))
def test_nobody_gets_more_than_burst_and_refill(walk: list[tuple[int, float]], burst: float, per_s: float) -> None:
    bucket, now, taken = TokenBucket(burst, per_s, 0), 0, 0.0
    for rest_s, amount in walk:
        now += rest_s * S
        if bucket.take(now, amount) == 0.0:
            taken += amount
    assert taken <= burst + per_s * now / S + 1e-6


@given(steps, st.floats(1.0, 30.0), st.floats(0.1, 10.0), st.floats(0.1, 1.0))
def test_who_waits_as_told_gets_what_was_asked_for(
    walk: list[tuple[int, float]], burst: float, per_s: float, amount: float
) -> None:
    bucket, now = TokenBucket(burst, per_s, 0), 0
    for rest_s, other in walk:
        now += rest_s * S
        bucket.take(now, other)
    wait_s = bucket.take(now, amount)
    if wait_s:
        early = now + int(wait_s * 0.9 * S)
        assert bucket.take(early, amount) > 0.0
        assert bucket.take(now + int(wait_s * S) + 1_000, amount) == 0.0


def test_the_same_seconds_refill_once() -> None:
    bucket = TokenBucket(10.0, 1.0, 0)
    assert sum(bucket.take(10 * S) == 0.0 for _ in range(30)) == 10
    assert sum(bucket.take(13 * S) == 0.0 for _ in range(30)) == 3


def test_a_refusal_takes_nothing() -> None:
    bucket = TokenBucket(2.0, 1.0, 0)
    assert [bucket.take(0), bucket.take(0)] == [0.0, 0.0]
    waits = [bucket.take(0) for _ in range(5)]
    assert waits == [pytest.approx(1.0)] * 5
    assert bucket.take(1 * S) == 0.0


def test_a_clock_that_stands_or_runs_back_refills_nothing() -> None:
    bucket = TokenBucket(1.0, 1.0, 10 * S)
    assert bucket.take(10 * S) == 0.0
    assert bucket.take(5 * S) == pytest.approx(1.0)
    assert bucket.take(5 * S) == pytest.approx(1.0)


def test_a_bucket_without_refill_is_empty_for_good() -> None:
    bucket = TokenBucket(1.0, 0.0, 0)
    assert bucket.take(0) == 0.0
    assert bucket.take(10**18) == float("inf")
