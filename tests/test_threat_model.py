"""The threat model says what is so: every finding once, and what is said to show a control is there to be run."""

from __future__ import annotations

import ast
from functools import lru_cache

import pytest

from stigmem.host.cli import app
from tests.threat_model import PAGE, ROOT, STATUSES, Row, page, rows

ROWS = rows()


@lru_cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_"))


def missing(shown: str) -> str | None:
    """Why something cannot be run; None when it can."""
    if shown.startswith("stigmem "):
        at = app
        for word in shown.split()[1:]:
            if word not in list(at):
                return f"there is no command {shown}"
            at = at[word]
        return None
    file, _, name = shown.partition("::")
    if not file.startswith(("tests/", "scenarios/")):
        return f"{file} is nothing that can be run"
    if not (ROOT / file).is_file():
        return f"there is no file {file}"
    if file.startswith("tests/") and not (name in names_in(file) if name else names_in(file)):
        return f"there is no test {shown}"
    return None


def test_every_finding_is_there_once_and_in_order() -> None:
    wanted = [f"R-{n:02}" for n in range(1, 27)] + [f"F-{n:02}" for n in range(1, 33)]
    assert [row.name for row in ROWS] == wanted


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_finding_has_a_state_and_what_shows_it_can_be_run(row: Row) -> None:
    assert row.status in STATUSES
    assert row.finding
    assert row.control.endswith(".")
    assert [why for why in map(missing, row.shown) if why] == []
    if row.status in ("mitigated", "partly"):
        assert row.shown, "a control that nothing shows is a claim"
    if row.status == "open":
        assert not row.shown


def test_what_cannot_be_run_is_noticed() -> None:
    for shown in (
        "tests/test_threat_model.py::test_nothing",
        "tests/nothing.py",
        "scenarios/nothing.toml",
        "docs/security/hardening.md",
        "stigmem no",
    ):
        assert missing(shown)


def test_the_page_is_the_table() -> None:
    hint = "python -m tests.threat_model > docs/security/threat-model.md"
    assert PAGE.read_text("utf-8") == page(ROWS), hint
