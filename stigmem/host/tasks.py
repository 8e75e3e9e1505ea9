"""The tasks of one connection: what hypercorn's protocols start, and how a request's messages reach its application.

Takes the place of hypercorn's own task group, which opens a channel of trio for every request: this inbox has one
reader and one writer, and costs a tenth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

import trio
from hypercorn.config import Config
from hypercorn.typing import AppWrapper

from stigmem.host.context import HostSignal

__all__ = ["Tasks"]

_MESSAGES_MAX: Final = 16
"""Messages that wait for the application, each as large as one read from the network: a body that the application
does not take fills no memory."""

Send = Callable[[Any], Awaitable[None]]


class _Inbox:
    """Messages for one application."""

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._came = HostSignal()
        self._went = HostSignal()
        self._closed = False

    async def put(self, message: Any) -> None:
        """Put a message in, when there is room. That the client has gone is told at once: the application itself
        brings it about when it ends its answer, and must not wait for itself."""
        gone = message["type"] == "http.disconnect"
        while len(self._messages) >= _MESSAGES_MAX and not (gone or self._closed):
            await self._went.wait()
        if not self._closed:
            self._messages.append(message)
            self._came.set()

    async def receive(self) -> Any:
        while not self._messages:
            await self._came.wait()
        message = self._messages.popleft()
        self._went.set()
        return message

    def close(self) -> None:
        """The application has ended and takes nothing more."""
        self._closed = True
        self._went.set()


class Tasks:
    """A nursery with the two methods that hypercorn's protocols ask for."""

    def __init__(self, on_bug: Callable[[Exception], None]) -> None:
        """`on_bug` is told of bugs that cost a request its answer."""
        self._on_bug = on_bug
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._manager.__aexit__(kind, error, trace)

    def spawn(self, task: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Start a task of a protocol's own."""
        self._nursery.start_soon(task, *arguments)

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Any, send: Send) -> Send:
        """Start the application on a request; what it receives is put in with the function returned."""
        inbox = _Inbox()
        self._nursery.start_soon(self._serve, app, scope, inbox, send)
        return inbox.put

    async def _serve(self, app: AppWrapper, scope: Any, inbox: _Inbox, send: Send) -> None:
        try:
            await app(scope, inbox.receive, send, trio.to_thread.run_sync, trio.from_thread.run)
        except Exception as fault:  # a bug must cost one answer, not the connection's other requests
            self._on_bug(fault)
        finally:
            inbox.close()
            await send(None)
