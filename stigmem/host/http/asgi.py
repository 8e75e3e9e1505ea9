"""An ASGI application as one of ours: for what others have written, and is mounted beside the node.

Only requests of HTTP, with their body read before the application starts. Answers stream: the application runs in a
task of its own and is held up by every `send` until the client has taken what it sent before, so that nothing is
queued. When the client goes away the application is cancelled where it stands. No lifespan, no web socket.

    application                         carrier
    send(response.start)      ---->     head
    send(response.body)       ---->     a piece, taken when the last was sent
    ...                                 ...
    more_body: False          ---->     the end

Wart: of a header that is given twice the values are joined, which Set-Cookie does not bear.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import unquote

import trio

from stigmem.core.wire import BodyBound, Request, Response, StreamedResponse
from stigmem.host.http.ports import Caller

__all__ = ["AsgiAdapter"]

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
_VERSION: Final = {"version": "3.0", "spec_version": "2.3"}


class AsgiAdapter:
    """Answers requests with an ASGI application, whose tasks live in a nursery."""

    def __init__(self, app: Application, tasks: trio.Nursery, bound: BodyBound, root_path: str = "") -> None:
        """`bound` is that of every body; `root_path` is where the application is mounted."""
        self._app = app
        self._tasks = tasks
        self._bound = bound
        self._root_path = root_path

    def admit(self, request: Request) -> BodyBound:
        """The same bound for all."""
        return self._bound

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The application's answer, as soon as its head is known. Raises what the application raises before that."""
        call = _Call(self._app, self._scope(request, caller), request.body)
        self._tasks.start_soon(call.run)
        try:
            return await call.response()
        except trio.Cancelled:
            call.scope.cancel()
            raise

    def _scope(self, request: Request, caller: Caller) -> Message:
        path, _, query = request.target.partition("?")
        return {
            "type": "http",
            "asgi": _VERSION,
            "http_version": "1.1",
            "method": request.method,
            "scheme": "https" if caller.is_secure else "http",
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": self._root_path,
            "headers": [(name.encode("ascii"), value.encode("latin-1")) for name, value in request.headers.items()],
            "client": None,
            "server": None,
        }


class _Call:
    """One run of the application."""

    def __init__(self, app: Application, scope: Message, body: bytes) -> None:
        self._app = app
        self._scope = scope
        self._body: bytes | None = body
        self._give, self._take = trio.open_memory_channel[Message](0)
        self._ended = trio.Event()
        self._error: Exception | None = None
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        with self.scope, self._give:
            try:
                await self._app(self._scope, self._receive, self._send)
            except Exception as error:  # told to whoever waits for the answer
                self._error = error

    async def response(self) -> Response:
        """The answer so far: whole, or with the rest to come."""
        start = await self._next()
        if start["type"] != "http.response.start":
            raise RuntimeError(f"the application began its answer with {start['type']}")
        headers: dict[str, str] = {}
        for name, value in start.get("headers", ()):
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        first = await self._next()
        if first.get("more_body"):
            return StreamedResponse(start["status"], headers, chunks=self._chunks(first.get("body", b"")))
        self._ended.set()
        return Response(start["status"], headers, bytes(first.get("body", b"")))

    async def _chunks(self, first: bytes) -> AsyncGenerator[bytes, None]:
        try:
            yield first
            while not self._ended.is_set():
                message = await self._next()
                if not message.get("more_body"):
                    self._ended.set()
                yield message.get("body", b"")
        finally:
            if not self._ended.is_set():
                self.scope.cancel()  # nobody listens any more

    async def _next(self) -> Message:
        try:
            return await self._take.receive()
        except trio.EndOfChannel:
            raise self._error or RuntimeError("the application ended within its answer") from None

    async def _receive(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            await self._ended.wait()
            return {"type": "http.disconnect"}
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: Message) -> None:
        if self._ended.is_set():
            await trio.lowlevel.checkpoint()
            return
        await self._give.send(message)
