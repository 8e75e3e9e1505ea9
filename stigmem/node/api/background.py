"""Answers that take longer than a turn: made by a task of the node, at most so many of a kind at one time.

Only the frame is here: counting, starting, catching. A turn never waits for what happens in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import NamedTuple, TypeVar

from stigmem.core.errors import Refusal
from stigmem.core.wire import Response
from stigmem.node.api.routing import Answer, InBackground
from stigmem.node.events import NodeEvents
from stigmem.node.ports import Clock
from stigmem.node.quotas import Quotas
from stigmem.node.responses import internal_error, render

__all__ = ["Background", "ConcurrencyLimit", "in_slices"]

T = TypeVar("T")


class ConcurrencyLimit(NamedTuple):
    """At most `most` answers of a kind may be in the making for a name; the next caller is refused with `full`."""

    kind: str
    name: str
    most: int
    full: Refusal


async def in_slices(clock: Clock, work: Generator[None, None, T]) -> T:
    """The result of work that yields where something else may go on."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        await clock.checkpoint()


class Background:
    """Starts tasks that answer requests, each within the limit that its handler names."""

    def __init__(self, *, clock: Clock, quotas: Quotas, events: NodeEvents) -> None:
        self._clock = clock
        self._quotas = quotas
        self._events = events

    def answer(self, make: Callable[[], Awaitable[Response]], limit: ConcurrencyLimit) -> InBackground:
        """What a handler returns to have a task call `make` for the response, once the batch is durable. `make` may
        raise Refusal."""

        def begin(answer: Answer) -> None:
            async def run() -> None:
                answer(await self._made(make, limit))

            if not self._quotas.enter(limit.kind, limit.name, limit.most):
                raise limit.full
            self._clock.spawn(f"answer-{limit.kind}", run)

        return InBackground(begin)

    async def _made(self, make: Callable[[], Awaitable[Response]], limit: ConcurrencyLimit) -> Response:
        try:
            return await make()
        except Refusal as refusal:
            return render(refusal)
        except Exception as bug:  # a bug of ours must cost one answer, not the node
            self._events.bug(bug)
            return internal_error()
        finally:
            self._quotas.leave(limit.kind, limit.name)
