"""Time of the tests of the server."""

from __future__ import annotations

import pytest
from trio.testing import MockClock


@pytest.fixture
def autojump_clock() -> MockClock:
    """Time that jumps when nothing happens; long enough for bytes on loopback to arrive first."""
    return MockClock(autojump_threshold=0.02)
