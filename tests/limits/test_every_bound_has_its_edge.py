"""A new bound joins the table of edges, and what the table names is there."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from stigmem.core import limits
from tests.limits.table import EDGES, ELSEWHERE

ROOT = Path(__file__).parents[2]


def test_every_bound_has_a_test_of_its_edge() -> None:
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        if "tests.limits.table import edge" in file.read_text() and file != Path(__file__):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))  # each fills the table
    named = {*EDGES, *ELSEWHERE}
    assert sorted(set(limits.__all__) - named) == [], "tests/limits: add a test of its edge with @edge"
    assert sorted(named - set(limits.__all__)) == []
    assert sorted(set(EDGES) & set(ELSEWHERE)) == []


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_test_that_is_named_is_about_the_bound(name: str) -> None:
    text = (ROOT / ELSEWHERE[name]).read_text()
    assert f"limits.{name}" in text or f'limits, "{name}"' in text
