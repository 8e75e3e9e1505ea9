"""Answers that take longer than a turn: made by a task of the node, at most so many of a kind at one time.

Only the frame is here: counting, starting, catching. A turn never waits for what happens in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from stigmem.core.errors import Refusal
from stigmem.core.wire import Response
from stigmem.node.api.routing import Answer, InBackground
from stigmem.node.responses import internal_error, render

if TYPE_CHECKING:
    from stigmem.node.api.call import Call

__all__ = ["ConcurrencyLimit", "answer_in_background"]


class ConcurrencyLimit(NamedTuple):
    """How many answers of a kind may be in the making for a name, and what the next caller is told."""

    kind: str
    name: str
    most: int
    full: Refusal


def answer_in_background(call: Call, limit: ConcurrencyLimit, make: Callable[[], Awaitable[Response]]) -> InBackground:
    """What a handler returns to have a task call `make` for its response, once the batch is durable."""
    node = call.node

    def begin(answer: Answer) -> None:
        async def run() -> None:
            try:
                response = await make()
            except Refusal as refusal:
                response = render(refusal)
            except Exception as bug:  # a bug of ours must cost one answer, not the node
                node.report_bug(bug)
                response = internal_error()
            finally:
                node.quotas.leave(limit.kind, limit.name)
            answer(response)

        if not node.quotas.enter(limit.kind, limit.name, limit.most):
            raise limit.full
        node.context.clock.spawn(f"answer-{limit.kind}", run)

    return InBackground(begin)
