"""What is wrong with an input, in the array form that existing clients read: kind, place, sentence, what was given.

From the errors of the decoder to refusals 422 (http-api 3.0). What an operation accepts stands in its types.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from stigmem.core.errors import Refusal

__all__ = ["decode_error", "invalid_parameter", "unreadable"]

_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_BOUND: Final = re.compile(r"Expected `(\w+)`( of length)? ([<>]=) ([-+.0-9e]+)")
_KINDS: Final = {
    (False, "<="): ("less_than_equal", "le"), (False, ">="): ("greater_than_equal", "ge"),
    (True, "<="): ("too_long", "max_length"), (True, ">="): ("too_short", "min_length"),
}  # fmt: skip
_SHOWN_CHARS_MAX: Final = 256
"""A refusal shows what was given, and is no mirror for megabytes of it."""


def decode_error(error: msgspec.ValidationError) -> tuple[str, list[str]]:
    """What is wrong with an input, and the names that lead to the member at fault."""
    text, _, path = str(error).partition(" - at `$")
    names = [name for name in path.rstrip("`").replace("[", ".").replace("]", "").split(".") if name]
    missing = _MISSING.fullmatch(text)
    return text, [*names, missing[1]] if missing else names


def unreadable(where: str, error: msgspec.ValidationError, given: Any) -> Refusal:
    """The refusal of an input that is not of the type wanted. `where` is `body` or `query`."""
    text, names = decode_error(error)
    item: dict[str, Any] = {"type": "value_error", "loc": [where, *map(_step, names)], "msg": text}
    bound = _BOUND.match(text)
    if _MISSING.fullmatch(text):
        item["type"] = "missing"
        item["input"] = _shown(_at(given, names[:-1]))
    else:
        item["input"] = _shown(_at(given, names))
    if bound is not None:
        item["type"], limit = _KINDS[bound[2] is not None, bound[3]]
        item["ctx"] = {limit: float(bound[4]) if "." in bound[4] else int(bound[4])}
    return Refusal(422, "validation_failed", text, field=".".join(names), style="list", extra={"items": [item]})


def invalid_parameter(name: str, message: str, given: str) -> Refusal:
    """A 422 for one query parameter."""
    item = {"type": "value_error", "loc": ["query", name], "msg": message, "input": _shown(given)}
    return Refusal(422, "validation_failed", message, field=name, style="list", extra={"items": [item]})


def _step(name: str) -> str | int:
    return int(name) if name.isdigit() else name


def _at(given: Any, names: list[str]) -> Any:
    """The member that names lead to, or None."""
    for name in names:
        if isinstance(given, dict):
            given = given.get(name)
        elif isinstance(given, list) and name.isdigit() and int(name) < len(given):
            given = given[int(name)]
        else:
            return None
    return given


def _shown(given: Any) -> Any:
    """What of an input a refusal shows: plain values, long texts cut short."""
    if isinstance(given, str):
        return given[:_SHOWN_CHARS_MAX]
    return given if given is None or isinstance(given, (bool, int, float)) else None
