"""What tests of the core share."""

from __future__ import annotations

import random

import pytest

from tests.core.histories import Histories, drawn_history


@pytest.fixture
def histories(request: pytest.FixtureRequest) -> Histories:
    """A source of chance for the test and a history, as often as the flag says; the seed is the test's own name."""
    count = request.config.getoption("histories")

    def draw_all() -> Histories:
        for number in range(count):
            draw = random.Random(f"{request.node.name} {number}")
            yield draw, *drawn_history(draw)

    return draw_all()
