"""Timers: how long they sleep, whatever it is that falls due first, and that they ring when nothing else happens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stigmem.core.timestamps import format_us
from stigmem.node.timers import _REST_NS_MAX, _REST_NS_MIN, Timers
from tests.node.api import NOW_MS
from tests.node.fresh import fresh

NOW_NS = NOW_MS * 1_000_000


def rest_ns(expiry_us: int | None = None, deferred_ns: int | None = None, poll_ns: int | None = None) -> int:
    """The sleep of timers of which the parts say when their next thing is due."""
    timers: Any = Timers.__new__(Timers)
    timers._state = SimpleNamespace(slots_to_rederive=0)
    timers._clock = SimpleNamespace(wall_ns=lambda: NOW_NS, monotonic_ns=lambda: 5_000)
    timers._ledger = SimpleNamespace(next_expiry_us=lambda: expiry_us)
    timers._deferred = SimpleNamespace(rest_ns=lambda: deferred_ns)
    timers._long_polls = SimpleNamespace(next_deadline_ns=lambda: poll_ns)
    found: int = timers._rest_ns()
    return found


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        ({}, _REST_NS_MAX),
        ({"expiry_us": NOW_NS // 1_000 + 7_000}, 7_000_000),
        ({"deferred_ns": 8_000_000}, 8_000_000),
        ({"poll_ns": 9_005_000}, 9_000_000),
        ({"expiry_us": NOW_NS // 1_000 + 7_000, "deferred_ns": 3_000_000, "poll_ns": 9_005_000}, 3_000_000),
        ({"deferred_ns": 2 * _REST_NS_MAX}, _REST_NS_MAX),
        ({"expiry_us": NOW_NS // 1_000 - 50_000}, _REST_NS_MIN),
        ({"poll_ns": 5_001}, _REST_NS_MIN),
    ],
)
def test_timers_sleep_until_the_first_thing_is_due_and_never_for_no_time(due: Any, expected: int) -> None:
    assert rest_ns(**due) == expected


async def test_a_fact_expires_when_nobody_asks_anything() -> None:
    async with fresh() as node:
        await node.say(valid_until=format_us((NOW_MS + 3_000) * 1_000))
        await node.bench.settle()
        before = node.node.state.ledger.horizon_us
        await node.bench.clock.advance(4.0)
        await node.bench.settle()
        assert node.node.state.ledger.horizon_us >= before + 2_999_000
