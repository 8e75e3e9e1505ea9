"""The application of a node: what is answered before the node, beside it, and by it.

A request goes to the node's door and its answer comes back; besides there are the few routes that are about this
process and not about the node (readiness, metrics, documentation). `stigmem.host.http` carries both.
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
from stigmem.host.http.refusals import refusal
from stigmem.host.observe import Observer
from stigmem.host.pages import page
from stigmem.host.web_guard import web_refusal
from stigmem.node.api.clock import clock_answer
from stigmem.node.api.head_admission import too_large
from stigmem.node.api.peer_auth import PEER_URI_HEADER
from stigmem.node.api.visibility import has_every_scope
from stigmem.node.node import Node

__all__ = ["App", "Stage"]

Stage = Literal["loading", "ready", "stopping"]

_OURS: Final = "x-stigmem-internal-"
_LOADING: Final = refusal(503, "loading", "this node is still reading its journal; try again shortly")
_UNREAD: Final = BodyBound(limits.KEYLESS_BODY_BYTES_MAX, _LOADING)
_OPERATORS: Final = BodyBound(limits.REQUEST_BYTES_MAX, too_large(limits.REQUEST_BYTES_MAX))


class App:
    """One node behind HTTP; with `operator`, behind a door that only the node's own user comes through."""

    def __init__(
        self, node: Node, observer: Observer, *, operator: bool = False, settings: dict[str, Any] | None = None
    ) -> None:
        """`settings`: what the operator is told of them."""
        self._node = node
        self._observer = observer
        self._operator = operator
        self._settings = settings
        self._mounted: dict[str, Callable[[Request, Caller], Awaitable[Response]]] = {}
        self.stage: Stage = "loading"

    def mount(self, path: str, respond: Callable[[Request, Caller], Awaitable[Response]]) -> None:
        """Have somebody else answer at a path, once the journal has been read."""
        self._mounted[path] = respond

    def admit(self, request: Request) -> BodyBound:
        """How long the body of this head may be: the node's word, once it has read its journal."""
        if self._operator:
            return _OPERATORS
        refused = web_refusal(request.headers, auth_required=self._node.settings.auth_required)
        if refused is not None:
            return BodyBound(0, refused)
        return _UNREAD if self.stage == "loading" else self._node.admit_head(request)

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The answer to a request."""
        begin = trio.current_time()
        method, path = request.method, request.target.partition("?")[0]
        response = None
        if not self._operator:
            response = web_refusal(request.headers, auth_required=self._node.settings.auth_required)
        if response is None and path in self._mounted and self.stage != "loading":
            response = await self._mounted[path](request, caller)
        if response is None and method in ("GET", "HEAD"):
            response = self._page(path, request)
        if response is None:
            response = await self._from_node(request, caller)
        self._observer.request(method, path, response.status, trio.current_time() - begin)
        return response

    def _page(self, path: str, request: Request) -> Response | None:
        if path == "/readyz":
            return self._readiness()
        if path == "/healthz" and self.stage == "loading":
            return json_response(200, {"status": "ok"})  # alive, and the writer that answers later does not run yet
        if path == "/metrics":
            return self._observer.metrics(whole=self._operator or self._may_see_all(request))
        return page(path, self._node.settings.node_url)

    def _may_see_all(self, request: Request) -> bool:
        """Whether whoever asks may read every fact."""
        caller = self._node.caller_of(request)
        return caller is not None and "read" in caller.permissions and has_every_scope(caller)

    def _readiness(self) -> Response:
        if self.stage != "ready":
            return json_response(503, {"status": self.stage})
        answer = clock_answer(self._node.clock, self._node.state)
        if answer.in_doubt:
            return json_response(503, {"status": "clock_in_doubt", "clock": answer})
        if answer.own_stamps_ahead_s:
            return json_response(200, {"status": "ready", "clock": answer})
        return json_response(200, {"status": "ready"})

    async def _from_node(self, request: Request, caller: Caller) -> Response:
        if self.stage == "loading":
            return _LOADING
        headers = request.headers
        for name in [name for name in headers if name.startswith(_OURS)]:
            del headers[name]  # our own markers come from the connection, never from a client
        if caller.uris is not None:
            # The node reads them apart at blanks: a name with a blank in it could pose as two.
            headers[PEER_URI_HEADER] = " ".join(uri for uri in caller.uris if uri.split() == [uri])
        if request.method == "HEAD":
            request.method = "GET"  # the carrier leaves the body out
        response = await self.exchange(request)
        return _with_head(response) if response.status == 405 else response

    async def exchange(self, request: Request) -> Response:
        """A request's answer from the node, however long it takes."""
        done = HostSignal()
        answers: list[Response] = []

        def take(response: Response) -> None:
            answers.append(response)
            done.set()

        own = operator_view(self._node, request, self._settings) if self._operator else None
        if own is not None:
            return own
        self._node.offer(request, take, OPERATOR if self._operator else None)
        if not answers:
            try:
                await done.wait()
            except trio.Cancelled:
                self._node.withdraw(take)  # what it holds for this answer it holds for nobody
                raise
        return answers[0]


def _with_head(response: Response) -> Response:
    """A refusal of a method that tells of HEAD too: this carrier makes it of GET."""
    methods = response.headers.get("allow", "").split(", ")
    if "GET" not in methods:
        return response
    return Response(405, response.headers | {"allow": ", ".join(sorted({*methods, "HEAD"}))}, response.body)
