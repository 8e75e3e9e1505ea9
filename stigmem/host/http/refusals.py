"""What is told to a request that is none, and to one that is too much: a status, a code and a sentence.

Raised where it is noticed, answered once, and the connection closes: after bytes that cannot be read nobody knows
where the next request begins.
"""

from __future__ import annotations

from typing import Final

from stigmem.core.wire import Response, json_response

__all__ = [
    "INTERNAL", "NO_ANSWER", "NO_PLACE", "NO_ROOM", "SLOW_BODY", "SLOW_HEAD", "Refused", "incomplete",
    "refusal",
]  # fmt: skip


class Refused(Exception):
    """A request ends here; `response` is its answer and the last one of its connection."""

    def __init__(self, kind: str, response: Response) -> None:
        """`kind` is the name under which the log counts it."""
        super().__init__(kind)
        self.kind = kind
        self.response = response


def refusal(status: int, code: str, message: str) -> Response:
    """The answer for a refused request, in the shape of the node's own refusals."""
    headers = {"retry-after": "1"} if status == 503 else None
    return json_response(status, {"detail": message, "code": code}, headers)


SLOW_HEAD: Final = refusal(408, "head_too_slow", "the head of the request did not arrive in time")
SLOW_BODY: Final = refusal(408, "body_too_slow", "the body of the request did not arrive in time")
NO_ANSWER: Final = refusal(503, "no_answer", "the node did not answer in time; try again")
NO_PLACE: Final = refusal(503, "no_place", "every connection of this node is in use; try again shortly")
NO_ROOM: Final = refusal(
    503, "no_room", "too many bodies are under way, and this one was the slowest; try again shortly"
)
INTERNAL: Final = refusal(500, "internal_error", "this node met a bug of its own; it was reported")


def incomplete(what: str) -> Refused:
    """The client closed in the middle of a head or a body."""
    return Refused(f"incomplete_{what}", refusal(400, f"incomplete_{what}", f"the request ended within its {what}"))
