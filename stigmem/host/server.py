"""Serving the application: listeners, how many connections there may be, and a stop that finishes what is under way.

One connection is `stigmem.host.connection`. The application is plain ASGI, so another server can take this
module's place.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper

from stigmem.core.errors import StigmemError
from stigmem.host.connection import Connection, Stream
from stigmem.host.tls import certificate_uris

__all__ = ["PEER_URIS", "CannotListen", "Server"]

Application = Callable[..., Any]
Tls = Callable[[], ssl.SSLContext | None]

PEER_URIS: Final[ContextVar[tuple[str, ...] | None]] = ContextVar("peer_uris", default=None)
"""URIs in the certificate of the connection that a request came over, empty without a certificate; None when
certificates are not asked for. Set per connection, inherited by its requests."""

_GRACE_S: Final = 5.0
_HANDSHAKE_S: Final = 10.0
_HEAD_BYTES_MAX: Final = 32_768
_LOOK_S: Final = 1.0


class CannotListen(StigmemError):
    """The address is not one of this machine, or the port is taken or not allowed."""


class Server:
    """Serves an application on one address until told to stop."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: Tls,
        connections_max: int,
        on_bug: Callable[[Exception], None],
    ) -> None:
        """`tls` gives the context of each new connection, so that renewed certificates count at once; `on_bug`
        is told of bugs that cost a connection."""
        config = Config()
        config.h11_max_incomplete_size = _HEAD_BYTES_MAX
        config.include_server_header = False
        config.keep_alive_max_requests = 1_000_000
        config.accesslog = config.errorlog = None
        self._config = config
        self._context = WorkerContext(None)
        self._host = host
        self._port = port
        self._tls = tls
        self._limit = connections_max
        self._on_bug = on_bug
        self._listeners: list[trio.SocketListener] = []
        self._accepting = trio.CancelScope()
        self._open: dict[Connection, None] = {}
        self.turned_away = 0
        """Connections closed to make room, or for want of it."""

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def listen(self) -> int:
        """Bind; the port. Connections queue until `run`. Raises CannotListen."""
        host = None if self._host in ("", "*") else self._host
        try:
            self._listeners = await trio.open_tcp_listeners(self._port, host=host, backlog=1024)
        except (OSError, UnicodeError) as error:
            place = f"{self._host or 'every address'}, port {self._port}"
            raise CannotListen("cannot_listen", f"cannot listen on {place}: {_reason(error)}") from error
        port: int = self._listeners[0].socket.getsockname()[1]
        return port

    async def run(self, app: Application, control: tuple[trio.SocketListener, Application] | None = None) -> None:
        """Serve until cancelled or stopped. `control`: a listener of this machine's own, and what answers there."""
        async with trio.open_nursery() as connections:
            with self._accepting:
                async with trio.open_nursery() as accepting:
                    accepting.start_soon(self._look_after)
                    accepting.start_soon(self._accept, self._listeners, app, self._tls, connections)
                    if control is not None:
                        accepting.start_soon(self._accept, [control[0]], control[1], lambda: None, connections)
            for listener in (*self._listeners, *([control[0]] if control is not None else [])):
                await listener.aclose()
            await self._context.terminated.set()
            for connection in list(self._open):
                connection.finish()
            connections.cancel_scope.deadline = trio.current_time() + _GRACE_S

    async def _accept(
        self, listeners: list[trio.SocketListener], app: Application, tls: Tls, connections: trio.Nursery
    ) -> None:
        accepted = partial(self._accepted, ASGIWrapper(app), tls)
        await trio.serve_listeners(accepted, listeners, handler_nursery=connections)

    def stop(self) -> None:
        """Accept nothing more; give requests under way a few seconds."""
        self._accepting.cancel()

    async def _look_after(self) -> None:
        # One look a second over all connections is cheaper than a timer for each.
        while True:
            await trio.sleep(_LOOK_S)
            now = trio.current_time()
            for connection in list(self._open):
                if connection.deadline < now:
                    connection.cut()

    async def _accepted(self, app: AppWrapper, tls: Tls, raw: trio.SocketStream) -> None:
        if len(self._open) >= self._limit and not self._make_room():
            self.turned_away += 1
            await trio.aclose_forcefully(raw)
            return
        connection = Connection(app, self._config, self._context, self._on_bug)
        self._open[connection] = None
        try:
            with connection.scope:
                stream = await _secured(raw, tls())
                if stream is not None:
                    await connection.run(stream)
        except Exception as fault:  # a bug must cost one connection, not the node
            self._on_bug(fault)
        finally:
            del self._open[connection]
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(raw)

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest; False when every one is busy."""
        idle = min((c for c in self._open if c.idle), key=lambda c: c.since, default=None)
        if idle is None:
            return False
        self.turned_away += 1
        idle.cut()
        return True


def _reason(error: OSError | UnicodeError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return "another program listens there; choose another --port"
    if number == errno.EADDRNOTAVAIL:
        return "no interface of this machine has that address; choose another --host"
    if number == errno.EACCES:
        return "this user may not; choose a --port from 1024"
    return getattr(error, "strerror", None) or str(error)


async def _secured(raw: trio.SocketStream, context: ssl.SSLContext | None) -> Stream | None:
    """The stream to speak over, after the handshake if there is one; None when that failed."""
    if context is None:
        return raw
    stream = trio.SSLStream(raw, context, server_side=True, https_compatible=True)
    try:
        with trio.fail_after(_HANDSHAKE_S):
            await stream.do_handshake()
    except (trio.BrokenResourceError, trio.TooSlowError):
        return None
    if context.verify_mode != ssl.CERT_NONE:
        PEER_URIS.set(certificate_uris(stream.getpeercert()))
    return stream
