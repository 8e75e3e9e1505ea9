"""Serving the application: hypercorn's connection handling on trio, with our own listeners around it.

Listeners, the connection limit, TLS with the peer's certificate handed to requests, and a stop that finishes
what is under way. The application is plain ASGI, so another server can take this module's place.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from stigmem.host.app import App

__all__ = ["PEER_URI", "Server", "certificate_uris"]

PEER_URI: Final[ContextVar[tuple[str, ...]]] = ContextVar("peer_uri", default=())
"""URIs in the certificate of the connection that a request came over; set per connection, inherited by its tasks."""

_GRACE_S: Final = 5.0
_IDLE_S: Final = 75.0
_HANDSHAKE_S: Final = 10.0


def certificate_uris(stream: object) -> tuple[str, ...]:
    """The URI alternative names of the certificate that the other side of a TLS stream presented."""
    getpeercert: Callable[[], dict[str, Any] | None] | None = getattr(stream, "getpeercert", None)
    found = getpeercert() if getpeercert is not None else None
    return tuple(value for kind, value in (found or {}).get("subjectAltName", ()) if kind == "URI")


class Server:
    """Serves an application on one address until told to stop."""

    def __init__(
        self, app: App, host: str, port: int, *, tls: Callable[[], ssl.SSLContext] | None, connections_max: int
    ) -> None:
        """`tls` gives the context for each new connection, so that renewed certificates count at once."""
        config = Config()
        config.keep_alive_timeout = _IDLE_S
        config.read_timeout = 60
        config.ssl_handshake_timeout = _HANDSHAKE_S
        config.h11_max_incomplete_size = 32_768
        config.max_app_queue_size = 10
        config.include_server_header = False
        config.loglevel = "ERROR"
        config.accesslog = config.errorlog = None
        self._config = config
        self._app = ASGIWrapper(app)
        self._context = WorkerContext(None)
        self._host = host
        self._port = port
        self._tls = tls
        self._limit = connections_max
        self._open = 0
        self.turned_away = 0

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept until cancelled or stopped; `started` gets the port."""
        listeners = await trio.open_tcp_listeners(self._port, host=self._host, backlog=1024)
        port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as connections:
            self._connections = connections
            async with trio.open_nursery() as accepting:
                self._accepting = accepting.cancel_scope
                serve = partial(trio.serve_listeners, self._connection, listeners, handler_nursery=connections)
                accepting.start_soon(serve)
                task_status.started(port)
            for listener in listeners:
                await listener.aclose()
            await self._context.terminated.set()
            connections.cancel_scope.deadline = trio.current_time() + _GRACE_S

    def stop(self) -> None:
        """Accept nothing more; give requests under way a few seconds."""
        self._accepting.cancel()

    async def _connection(self, raw: trio.SocketStream) -> None:
        if self._open >= self._limit:
            self.turned_away += 1
            await raw.aclose()
            return
        self._open += 1
        try:
            stream: Any = raw
            if self._tls is not None:
                stream = trio.SSLStream(raw, self._tls(), server_side=True, https_compatible=True)
                try:
                    with trio.fail_after(_HANDSHAKE_S):
                        await stream.do_handshake()
                except (trio.BrokenResourceError, trio.TooSlowError):
                    await trio.aclose_forcefully(raw)
                    return
                PEER_URI.set(certificate_uris(stream))
            await TCPServer(self._app, self._config, self._context, ConnectionState({}), stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionError):
            return  # the client went away
        finally:
            self._open -= 1
