"""The ASGI application: HTTP in, a node's door, HTTP out.

Turns a scope and a bounded body into a Request, waits for the node's answer, and sends it; plus the few routes
that are about this process and not about the node (metrics, documentation). Any ASGI server can run it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from stigmem.core import limits
from stigmem.core.wire import Request, Response, json_response
from stigmem.host.context import HostSignal
from stigmem.host.observe import Observer
from stigmem.node.node import Node

__all__ = ["App"]

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_BODY_S: Final = 30.0
"""How long a request's body may take to arrive."""
_ANSWER_S: Final = 60.0


class _TooLarge(Exception):
    pass


class _Gone(Exception):
    pass


class App:
    """One node behind HTTP. `pages`: path -> ready responses for documents that never change."""

    def __init__(self, node: Node, observer: Observer, pages: dict[str, Response]) -> None:
        self._node = node
        self._observer = observer
        self._pages = pages

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        begin = trio.current_time()
        try:
            with trio.fail_after(_BODY_S):
                body = await _read(receive)
        except _Gone:
            return
        except _TooLarge:
            response = _refusal(413, "body_too_large", f"a request has at most {limits.REQUEST_BYTES_MAX} bytes")
        except trio.TooSlowError:
            response = _refusal(408, "body_too_slow", f"the body did not arrive within {_BODY_S:g} s")
        else:
            response = await self._answer(scope, body)
        await _reply(send, response)
        self._observer.request(scope["method"], scope["path"], response.status, trio.current_time() - begin)

    async def _answer(self, scope: dict[str, Any], body: bytes) -> Response:
        path: str = scope["path"]
        if scope["method"] == "GET":
            page = self._pages.get(path)
            if page is not None:
                return page
            if path == "/metrics":
                return self._observer.metrics(self._node)
        request = _request(scope, body)
        if request is None:
            return _refusal(400, "malformed_request", "header values must be ASCII text")
        return await self.exchange(request)

    async def exchange(self, request: Request) -> Response:
        """A request's answer from the node; 503 when it does not come in time."""
        done = HostSignal()
        answers: list[Response] = []

        def take(response: Response) -> None:
            answers.append(response)
            done.set()

        self._node.offer(request, take)
        if not answers and not await done.wait(int(_ANSWER_S * 1e9)):
            return _refusal(503, "no_answer", "the node did not answer in time; try again")
        return answers[0]


def _request(scope: dict[str, Any], body: bytes) -> Request | None:
    headers: dict[str, str] = {}
    try:
        for name, value in scope["headers"]:
            key = name.decode("ascii").lower()
            # Our own markers come from the connection, never from a client; of repeated headers the first counts.
            if not key.startswith("x-stigmem-internal-"):
                headers.setdefault(key, value.decode("latin-1"))
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        target = raw_path.decode("ascii")
        query: bytes = scope["query_string"]
        if query:
            target += "?" + query.decode("ascii")
    except UnicodeDecodeError:
        return None
    return Request(scope["method"], target, headers, body)


async def _read(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Gone
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limits.REQUEST_BYTES_MAX:
            raise _TooLarge
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limits.REQUEST_BYTES_MAX:
            raise _TooLarge
    return b"".join(parts)


async def _reply(send: Send, response: Response) -> None:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.status != 204:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _refusal(status: int, code: str, message: str) -> Response:
    return json_response(status, {"detail": {"code": code, "message": message}})
