"""The flag `--rewrite`: write into the stories what happens now, instead of comparing."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="rewrite the stories of tests/interaction")
