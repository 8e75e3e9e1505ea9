"""Settings for the whole suite: Hypothesis draws the same examples every time, on every machine, and one flag.

Nothing else belongs here; fixtures live beside the tests that use them.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--histories", type=int, default=300, help="how many histories of a slot each property draws")
