"""Answers that take longer than a turn: made by a task of the node, at most so many of a kind at one time.

Only the frame is here: counting, starting, catching. A turn never waits for what happens in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from stigmem.core.errors import Refusal
from stigmem.core.wire import Response
from stigmem.node.operations import Outcome
from stigmem.node.replies import render

if TYPE_CHECKING:
    from stigmem.node.call import Call

__all__ = ["Places", "answer_by_task"]


class Places(NamedTuple):
    """How many answers of a kind may be in the making for a name, and what the next caller is told."""

    kind: str
    name: str
    most: int
    full: Refusal


def answer_by_task(call: Call, places: Places, make: Callable[[], Awaitable[Response]]) -> Outcome:
    """What a handler returns to have `make` answer its call once the turn is committed."""
    node = call.node

    async def run() -> None:
        try:
            response = await make()
        except Refusal as refusal:
            response = render(refusal)
        except Exception as fault:  # a bug of ours must cost one answer, not the node
            response = node.report_fault(fault)
        finally:
            node.rations.leave(places.kind, places.name)
        call.answer(response)

    def begin() -> Response | None:
        if not node.rations.enter(places.kind, places.name, places.most):
            return render(places.full)
        node.context.clock.spawn(f"answer-{places.kind}", run)
        return None

    return begin
