"""Answers that take longer than a turn: made by a task of the node, at most so many of a kind at one time.

Only the frame is here: counting, starting, catching. A turn never waits for what happens in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from stigmem.core.errors import Refusal
from stigmem.core.wire import Response
from stigmem.node.api.routing import Outcome
from stigmem.node.responses import render

if TYPE_CHECKING:
    from stigmem.node.api.call import Call

__all__ = ["ConcurrencyLimit", "answer_in_background"]


class ConcurrencyLimit(NamedTuple):
    """How many answers of a kind may be in the making for a name, and what the next caller is told."""

    kind: str
    name: str
    most: int
    full: Refusal


def answer_in_background(call: Call, places: ConcurrencyLimit, make: Callable[[], Awaitable[Response]]) -> Outcome:
    """What a handler returns to have `make` answer its call once the turn is committed."""
    node = call.node

    async def run() -> None:
        try:
            response = await make()
        except Refusal as refusal:
            response = render(refusal)
        except Exception as bug:  # a bug of ours must cost one answer, not the node
            response = node.report_bug(bug)
        finally:
            node.quotas.leave(places.kind, places.name)
        call.answer(response)

    def begin() -> Response | None:
        if not node.quotas.enter(places.kind, places.name, places.most):
            return render(places.full)
        node.context.clock.spawn(f"answer-{places.kind}", run)
        return None

    return begin
