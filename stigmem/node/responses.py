"""From refusals to responses: the one body that every refusal has, and refusals that several operations raise.

Pure rendering. Every handler raises a Refusal or returns a Response; nothing else reaches a caller. `detail` is always
a sentence, because clients print it; what programs read stands beside it: `code`, `field`, `errors` where members or
parameters were not valid (kind, place, sentence, what was sent), and whatever else belongs to the code.

    {"detail": "entity is missing; confidence must be at most 1.0", "code": "validation_failed", "field": "entity",
     "errors": [{"type": "missing", "loc": ["body", "entity"], "msg": "entity is missing", "input": {...}}, ...]}
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from stigmem.core.errors import Refusal, Rejection, invalid
from stigmem.core.wire import Response, json_response

__all__ = [
    "busy",
    "fingerprint_refused",
    "internal_error",
    "quota_exceeded",
    "refusal_of_value",
    "render",
    "with_warnings",
]


def render(refusal: Refusal) -> Response:
    """The response of a refusal."""
    headers = dict(refusal.headers)
    if refusal.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    body: dict[str, Any] = {"detail": refusal.message, "code": refusal.code}
    if refusal.field:
        body["field"] = refusal.field
    return json_response(refusal.status, body | refusal.extra, headers)


def with_warnings(response: Response, warnings: list[str]) -> Response:
    """The response with these sentences at the end of its member `warnings`; as it is where the body is no object."""
    if not response.body.startswith(b"{"):
        return response
    body = msgspec.json.decode(response.body)
    body["warnings"] = [*(body.get("warnings") or ()), *warnings]
    return Response(response.status, response.headers, msgspec.json.encode(body))


def quota_exceeded(dimension: str, principal: str, retry_after_s: float, *, status: int = 429) -> Refusal:
    """Too much of something: 429, or 503 toward peers that would stop everything on a 429 (federation 0.2)."""
    body = {
        "error": "quota_exceeded",
        "dimension": dimension,
        "principal": principal,
        "retry_after": round(retry_after_s, 3),
    }
    seconds = max(1, math.ceil(retry_after_s))
    message = f"too much at once ({dimension}); come back in {seconds} s"
    return Refusal(status, "quota_exceeded", message, extra=body, headers=(("retry-after", str(seconds)),))


def busy(what: str) -> Refusal:
    """The 503 of a node that has no room for a request now; `what` says for what, as the beginning of a sentence."""
    return Refusal(503, "busy", f"{what}; try again shortly", headers=(("retry-after", "1"),))


def fingerprint_refused() -> Response:
    """The answer to a fingerprint that is another one than the key's. The audit row of the attempt must be kept, so
    this is a response after the commit and not a Refusal before it."""
    return render(Refusal(400, "fingerprint_mismatch", "fingerprint mismatch", field="pubkey_fingerprint"))


def internal_error() -> Response:
    """The answer to a request that met a bug of ours."""
    return render(Refusal(500, "internal_error", "this node met a bug of its own; it was reported"))


def refusal_of_value(rejection: Rejection, given: Any, *, member: str = "value") -> Refusal:
    """How a caller is told that a value or member it sent is not acceptable. `given`: the body, `member`: the one of
    it that what is called `value` came in."""
    names = (rejection.field or "").split(".")
    if names[0] == "value":
        names[0] = member
    field = ".".join(names)
    if rejection.code == "value_too_large":
        return Refusal(413, "value_too_large", rejection.message, field=field)
    for name in names:
        given = getattr(given, name, None)
    return invalid(field, rejection.message, code=rejection.code, given=given)
