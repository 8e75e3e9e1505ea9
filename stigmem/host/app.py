"""The ASGI application: HTTP in, a node's door, HTTP out.

Turns a scope and a bounded body into a Request, waits for the node's answer, and sends it; plus the few routes
that are about this process and not about the node (readiness, metrics, documentation). Any ASGI server can run it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import trio

from stigmem.core import limits
from stigmem.core.wire import Request, Response, json_response
from stigmem.host.context import HostSignal
from stigmem.host.control import OPERATOR, operator_view
from stigmem.host.http import BodyBound, Caller
from stigmem.host.observe import Observer
from stigmem.host.pages import page
from stigmem.host.server import PEER_URIS
from stigmem.node.node import Node

__all__ = ["App", "Stage"]

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Stage = Literal["loading", "ready", "stopping"]

_BODY_S: Final = 30.0
"""How long a request's body may take to arrive."""
_ANSWER_S: Final = 60.0
"""Twice what a pull may wait for news."""
_OURS: Final = "x-stigmem-internal-"


class _TooLarge(Exception):
    pass


class _Gone(Exception):
    pass


class _Ambiguous(Exception):
    pass


class App:
    """One node behind HTTP; with `operator`, behind a door that only the node's own user comes through."""

    def __init__(self, node: Node, observer: Observer, *, operator: bool = False) -> None:
        self._node = node
        self._observer = observer
        self._operator = operator
        self.stage: Stage = "loading"

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before accepting: answered 403
        else:
            await self._http(scope, receive, send)

    # --- as an application of stigmem.host.http ---

    def admit(self, request: Request) -> BodyBound:
        """How long the body of this head may be."""
        return _BOUND

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The answer to a request."""
        begin = trio.current_time()
        method, path = request.method, request.target.partition("?")[0]
        response = self._page(path) if method in ("GET", "HEAD") else None
        if response is None:
            response = await self._from_node(request, caller)
        self._observer.request(method, path, response.status, trio.current_time() - begin)
        return response

    async def _from_node(self, request: Request, caller: Caller) -> Response:
        if self.stage == "loading":
            return _LOADING
        headers = request.headers
        for name in [name for name in headers if name.startswith(_OURS)]:
            del headers[name]  # our own markers come from the connection, never from a client
        if caller.uris is not None:
            # The node reads them apart at blanks: a name with a blank in it could pose as two.
            headers[_OURS + "peer-uri"] = " ".join(uri for uri in caller.uris if uri.split() == [uri])
        if request.method == "HEAD":
            request.method = "GET"  # the carrier leaves the body out
        response = await self.exchange(request)
        self._observer.exchange(self._node, request, response)
        return response

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        begin = trio.current_time()
        response = _SLOW
        try:
            _check_length(scope)
            # One scope for both waits: a scope costs as much as a look into the ledger.
            with trio.CancelScope(deadline=begin + _BODY_S) as patience:
                body = await _read(receive)
                patience.deadline = trio.current_time() + _ANSWER_S
                response = _SILENT
                response = await self._answer(scope, body)
        except _Gone:
            return
        except _TooLarge:
            response = _refusal(413, "body_too_large", f"a request has at most {limits.REQUEST_BYTES_MAX} bytes")
        except _Ambiguous:
            response = _AMBIGUOUS
        await _reply(send, response)
        self._observer.request(scope["method"], scope["path"], response.status, trio.current_time() - begin)

    async def _answer(self, scope: dict[str, Any], body: bytes) -> Response:
        if scope["method"] in ("GET", "HEAD"):
            own = self._page(scope["path"])
            if own is not None:
                return own
        if self.stage == "loading":
            return _LOADING
        request = _request(scope, body)
        if request is None:
            return _refusal(400, "malformed_request", "header values and addresses must be ASCII text")
        response = await self.exchange(request)
        self._observer.exchange(self._node, request, response)
        return response

    def _page(self, path: str) -> Response | None:
        if path == "/readyz":
            return json_response(200 if self.stage == "ready" else 503, {"status": self.stage})
        if path == "/healthz" and self.stage == "loading":
            return json_response(200, {"status": "ok"})  # alive, and the writer that answers later does not run yet
        if path == "/metrics":
            return self._observer.metrics(self._node)
        return page(path, self._node.settings.node_url)

    async def exchange(self, request: Request) -> Response:
        """A request's answer from the node, however long it takes."""
        done = HostSignal()
        answers: list[Response] = []

        def take(response: Response) -> None:
            answers.append(response)
            done.set()

        own = operator_view(self._node, request) if self._operator else None
        if own is not None:
            return own
        self._node.offer(request, take, OPERATOR if self._operator else None)
        if not answers:
            await done.wait()
        return answers[0]


def _request(scope: dict[str, Any], body: bytes) -> Request | None:
    headers: dict[str, str] = {}
    try:
        for name, value in scope["headers"]:
            key = name.decode("ascii").lower()
            # Our own markers come from the connection, never from a client; of repeated headers the first counts.
            if not key.startswith(_OURS):
                headers.setdefault(key, value.decode("latin-1"))
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        target = raw_path.decode("ascii")
        query: bytes = scope["query_string"]
        if query:
            target += "?" + query.decode("ascii")
    except UnicodeDecodeError:
        return None
    uris = PEER_URIS.get()
    if uris is not None:
        # The node reads them apart at blanks: a name with a blank in it could pose as two.
        headers[_OURS + "peer-uri"] = " ".join(uri for uri in uris if uri.split() == [uri])
    return Request(scope["method"], target, headers, body)


def _check_length(scope: dict[str, Any]) -> None:
    """Raises _TooLarge for a body announced too large, _Ambiguous when a proxy could see another end of it."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    length = headers.get(b"content-length")
    if length is not None and b"transfer-encoding" in headers:
        raise _Ambiguous
    if length is not None and (len(length) > 12 or int(length) > limits.REQUEST_BYTES_MAX):
        raise _TooLarge


async def _read(receive: Receive) -> bytes:
    """The whole body. Raises _TooLarge as soon as that is known, _Gone when the client left."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limits.REQUEST_BYTES_MAX:
            raise _TooLarge
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


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


def _refusal(status: int, code: str, message: str, **headers: str) -> Response:
    given = headers | ({"retry-after": "1"} if status == 503 else {})
    return json_response(status, {"detail": {"code": code, "message": message}}, given)


_AMBIGUOUS: Final = _refusal(400, "ambiguous_length", "give a content-length or chunks, not both", connection="close")
_SLOW: Final = _refusal(408, "body_too_slow", f"the body did not arrive within {_BODY_S:g} s")
_SILENT: Final = _refusal(503, "no_answer", "the node did not answer in time; try again")
_LOADING: Final = _refusal(503, "loading", "this node is still reading its journal; try again shortly")
_BOUND: Final = BodyBound(
    limits.REQUEST_BYTES_MAX,
    _refusal(413, "body_too_large", f"a request has at most {limits.REQUEST_BYTES_MAX} bytes"),
)
