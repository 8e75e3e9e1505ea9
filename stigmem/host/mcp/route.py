"""`/mcp` of a node that serves: the tools over streamable HTTP, for whoever holds a key of the node.

Each request stands alone (no sessions are kept), and its answer is JSON. What a tool asks the node is asked with the
key that the request came with, so a model may do what its key may do and nothing else; a request without a key that is
valid is refused before the protocol sees it. Which hosts and origins may ask is decided where all requests come in
(`stigmem.host.web_guard`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

import msgspec
import trio
from mcp.server.transport_security import TransportSecuritySettings

from stigmem.core import limits
from stigmem.core.json_values import VALUES_HEADER
from stigmem.core.wire import JSON_TYPE, BodyBound, Request, Response
from stigmem.host.cli.where import target_of
from stigmem.host.http.asgi import AsgiAdapter
from stigmem.host.http.ports import Caller
from stigmem.host.http.refusals import refusal
from stigmem.host.mcp.memory import collected
from stigmem.host.mcp.server import make_server

__all__ = ["MCP_PATH", "serve_route"]

MCP_PATH: Final = "/mcp"
_TOO_LARGE: Final = refusal(413, "body_too_large", "the body of a request is too large")
_credential: ContextVar[str] = ContextVar("credential", default="")
"""The Authorization header of the request that a tool runs for."""

Exchange = Callable[[Request], Awaitable[Response]]


class _AsCaller:
    """The node, asked with the credential of whoever called the tool."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Response:
        content = b"" if body is None else msgspec.json.encode(body)
        credential = _credential.get()
        headers = JSON_TYPE | {VALUES_HEADER: "json"} | ({"authorization": credential} if credential else {})
        return await collected(await self._exchange(Request(method, target_of(path, query), headers, content)))


async def serve_route(
    exchange: Exchange, mount: Callable[[str, Callable[[Request, Caller], Awaitable[Response]]], None]
) -> None:
    """Answer at MCP_PATH until cancelled. `exchange` asks the node; `mount` is told who answers at the path."""
    server = make_server(_AsCaller(exchange))
    # Hosts and origins are judged before a request comes here.
    anywhere = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(
        streamable_http_path=MCP_PATH, json_response=True, stateless_http=True, transport_security=anywhere
    )
    async with server.session_manager.run(), trio.open_nursery() as tasks:
        adapter = AsgiAdapter(app, tasks, BodyBound(limits.REQUEST_BYTES_MAX, _TOO_LARGE))

        async def respond(request: Request, caller: Caller) -> Response:
            credential = request.headers.get("authorization", "")
            known = await exchange(Request("GET", "/v1/me", {"authorization": credential} if credential else {}))
            if known.status != 200:
                return known
            token = _credential.set(credential)
            try:
                return await adapter.respond(request, caller)
            finally:
                _credential.reset(token)

        mount(MCP_PATH, respond)
        await trio.sleep_forever()
