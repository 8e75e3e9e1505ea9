"""Every bound of the house says why it has the value that it has, and which unit."""

from __future__ import annotations

import ast
import inspect
import re

from stigmem.core import limits

REASON_WORDS_MIN = 6
UNITS = ("_MS", "_NS", "_S", "_BYTES", "_CHARS", "_PER_S", "_PER_HOUR", "_PER_MINUTE", "_MAX", "_MIN", "_DEFAULT",
         "_BURST", "_JITTER", "_DOUBLE")  # fmt: skip


def constants() -> dict[str, str]:
    """Constant -> the docstring below it, or empty."""
    body = ast.parse(inspect.getsource(limits)).body
    found = {}
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            said = following.value if isinstance(following, ast.Expr) else None
            text = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
            found[statement.target.id] = text
    return found


def test_every_bound_has_its_reason_or_its_source_beside_it() -> None:
    bare = [name for name, text in constants().items() if len(re.findall(r"\w+", text)) < REASON_WORDS_MIN]
    assert not bare, f"say below each of {bare} why it has this value, or whose number it is"


def test_the_name_of_a_bound_ends_with_its_unit_or_with_what_kind_of_bound_it_is() -> None:
    assert [name for name in constants() if not name.endswith(UNITS)] == []


def test_every_bound_is_public_and_positive() -> None:
    assert sorted(constants()) == sorted(limits.__all__)
    assert [name for name in limits.__all__ if not getattr(limits, name) > 0] == []
