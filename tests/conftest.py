"""Settings for the whole suite: Hypothesis draws the same examples every time, on every machine, and one flag.

A variable of whoever runs the suite is no setting of a node in a test: with STIGMEM_SHARED set, as the page on vectors
recommends, commands remarked on a setting that they do not know. Nothing else belongs here; fixtures live beside the
tests that use them.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STIGMEM_")]:
        monkeypatch.delenv(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--histories", type=int, default=300, help="how many histories of a slot each property draws")
