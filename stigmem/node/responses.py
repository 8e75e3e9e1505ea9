"""From refusals to responses: the error bodies of http-api 3.0, and refusals that several operations raise.

Pure rendering. Every handler raises a Refusal or returns a Response; nothing else reaches a caller. A member or
parameter that is not valid is told in the array form that existing clients read: kind, place, sentence, what was given.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import msgspec

from stigmem.core.errors import Refusal, Rejection
from stigmem.core.wire import Response, json_response

__all__ = [
    "busy", "decode_error", "internal_error", "invalid_parameter", "quota_exceeded", "refusal_of_value", "render",
    "unreadable",
]  # fmt: skip

_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_BOUND: Final = re.compile(r"Expected `(\w+)`( of length)? ([<>]=) ([-+.0-9e]+)")
_KINDS: Final = {
    (False, "<="): ("less_than_equal", "le"), (False, ">="): ("greater_than_equal", "ge"),
    (True, "<="): ("too_long", "max_length"), (True, ">="): ("too_short", "min_length"),
}  # fmt: skip
_SHOWN_CHARS_MAX: Final = 256
"""A refusal shows what was given, and is no mirror for megabytes of it."""


def render(refusal: Refusal) -> Response:
    """The response of a refusal, in the body form that its style names."""
    headers = dict(refusal.headers)
    if refusal.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    if refusal.style == "raw":
        return json_response(refusal.status, refusal.extra, headers)
    detail: Any = refusal.message
    if refusal.style == "list":
        detail = refusal.extra["items"]
    elif refusal.style == "code":
        detail = {"code": refusal.code, "message": refusal.message, **refusal.extra}
        if refusal.field is not None:
            detail["field"] = refusal.field
    return json_response(refusal.status, {"detail": detail}, headers)


def quota_exceeded(dimension: str, principal: str, retry_after_s: float, *, status: int = 429) -> Refusal:
    """Too much of something: 429, or 503 toward peers that would stop everything on a 429 (federation 0.2)."""
    body = {
        "error": "quota_exceeded",
        "dimension": dimension,
        "principal": principal,
        "retry_after": round(retry_after_s, 3),
    }
    header = (("retry-after", str(max(1, math.ceil(retry_after_s)))),)
    return Refusal(status, "quota_exceeded", "too many requests", style="raw", extra=body, headers=header)


def busy(what: str) -> Refusal:
    """The 503 of a node that has no room for a request now; `what` says for what, as the beginning of a sentence."""
    return Refusal(503, "busy", f"{what}; try again shortly", headers=(("retry-after", "1"),))


def internal_error() -> Response:
    """The answer to a request that met a bug of ours."""
    detail = {"code": "internal_error", "message": "this node met a bug of its own; it was reported"}
    return json_response(500, {"detail": detail})


def refusal_of_value(rejection: Rejection) -> Refusal:
    """How a caller is told that a value or member it sent is not acceptable."""
    if rejection.code == "value_too_large":
        return Refusal(413, "value_too_large", rejection.message, field=rejection.field)
    loc = ["body", *(rejection.field or "").split(".")]
    item = {"type": "value_error", "loc": loc, "msg": rejection.message, "input": None}
    return Refusal(422, rejection.code, rejection.message, style="list", extra={"items": [item]})


# --- what is wrong with an input ---


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
    """The 422 of a query parameter; `message` says what it must be, `given` is what it was."""
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
