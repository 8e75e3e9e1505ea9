"""The nearest of several names, for whoever has mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

__all__ = ["did_you_mean", "one_of"]

_COMPARED_CHARS_MAX: Final = 64
"""Longer texts are no mistyped names, and comparing costs the square of their length."""


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """The end of a sentence about a name that is not among `names`: `; did you mean entity?`, or nothing where none is
    near."""
    if len(given) > _COMPARED_CHARS_MAX:
        return ""
    by_plain = {name.casefold().replace("-", "_"): name for name in names}
    close = get_close_matches(given.casefold().replace("-", "_"), by_plain, 1)
    return f"; did you mean {by_plain[close[0]]}?" if close else ""


def one_of(member: str, given: str, names: tuple[str, ...]) -> str:
    """The sentence about a text that must be one of several: which, and the nearest."""
    return f"{member} must be one of {', '.join(names)}{did_you_mean(given, names)}"
