"""From refusals to responses: the error bodies of http-api 3.0, and the page of small response helpers.

Pure rendering. Every handler raises a Refusal or returns a Response; nothing else reaches a caller.
"""

from __future__ import annotations

import math
from typing import Any

from stigmem.core.errors import Refusal, Rejection
from stigmem.core.wire import Response, json_response

__all__ = ["busy", "internal_error", "quota_exceeded", "refusal_of_value", "render"]


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
    """This node has no room for the request right now."""
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
