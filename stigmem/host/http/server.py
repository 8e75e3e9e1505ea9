"""The server: its listeners, one look a second at every connection, and a stop that finishes what is under way.

What a connection does is `stigmem.host.http.connection`, and which ones may stay is `places`. Certificates are asked
for with each connection, so that renewed ones count at once.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from stigmem.core.errors import StigmemError
from stigmem.host.http import limits
from stigmem.host.http.accepting import Acceptor, Reserve
from stigmem.host.http.connection import Connection
from stigmem.host.http.places import Places
from stigmem.host.http.ports import Application, Phase
from stigmem.host.http.writing import date_line

__all__ = ["CannotListen", "Server"]

Tls = Callable[[], ssl.SSLContext | None]

_BACKLOG: Final = 1_024
_WAITS: Final = (Phase.ANSWERING, Phase.STREAMING)
_PEER_CLOSED_HALF: Final = getattr(select, "POLLRDHUP", 0)


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
        on_refused: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        """`tls` gives the context of each new connection, None for none; `on_bug` is told of bugs that cost an answer
        or a connection; `on_refused` gets a word of ours for whatever a caller can bring about, each time."""
        self._host = host
        self._port = port
        self._tls = tls
        self.bug = on_bug
        self.note = on_refused
        self._listeners: list[trio.SocketListener] = []
        self._accepting = trio.CancelScope()
        self._places = Places(connections_max)
        self._control_places = Places(limits.CONTROL_CONNECTIONS_MAX)
        self._bodies_bytes = 0
        self._connections: trio.Nursery
        self._reserve: Reserve
        self.now = 0.0
        self.date = date_line(time.time())
        self.is_stopping = False

    def __len__(self) -> int:
        """How many connections are open, without those on the control socket."""
        return len(self._places)

    @property
    def turned_away(self) -> int:
        """Connections closed to make room, or for want of it."""
        return self._places.turned_away

    # --- its life ---

    async def listen(self) -> int:
        """Bind; the port. Connections queue until `run`. Raises CannotListen."""
        host = None if self._host in ("", "*") else self._host
        try:
            self._listeners = await trio.open_tcp_listeners(self._port, host=host, backlog=_BACKLOG)
        except (OSError, UnicodeError) as error:
            place = f"{self._host or 'every address'}, port {self._port}"
            raise CannotListen("cannot_listen", f"cannot listen on {place}: {_reason(error)}") from error
        port: int = self._listeners[0].socket.getsockname()[1]
        return port

    async def run(self, app: Application, control: tuple[trio.SocketListener, Application] | None = None) -> None:
        """Serve until cancelled or stopped. `control`: a listener of this machine's own, and what answers there."""
        self._reserve = Reserve()
        self.now = trio.current_time()
        own = [] if control is None else [control[0]]
        try:
            async with trio.open_nursery() as self._connections:
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        accepting.start_soon(self._look_after)
                        for listener in self._listeners:
                            self._accept(accepting, listener, app, self._tls, self._places)
                        if control is not None:
                            self._accept(accepting, *control, lambda: None, self._control_places)
                for listener in (*self._listeners, *own):
                    await listener.aclose()
                self.is_stopping = True
                for connection in self._all():
                    connection.finish()
                self._connections.cancel_scope.deadline = trio.current_time() + limits.STOP_S
        finally:
            self._reserve.close()
            for listener in (*self._listeners, *own):
                listener.socket.close()  # also when cancelled: whoever starts next needs the port

    def stop(self) -> None:
        """Accept nothing more; give requests under way a few seconds."""
        self._accepting.cancel()

    def _accept(
        self, nursery: trio.Nursery, listener: trio.SocketListener, app: Application, tls: Tls, places: Places
    ) -> None:
        acceptor = Acceptor(
            listener,
            accepted=lambda raw, is_for_health: self._accepted(app, tls, places, raw, is_for_health=is_for_health),
            make_room=partial(self._spare_files, places),
            reserve=self._reserve,
        )
        nursery.start_soon(acceptor.run)

    def _accepted(self, app: Application, tls: Tls, places: Places, raw: socket.socket, *, is_for_health: bool) -> None:
        if is_for_health or not places.has_room(trio.current_time()):
            if not places.has_room_for_health():
                places.turned_away += 1
                self.note("turned_away")
                raw.close()
                return
            is_for_health = True
        connection = Connection(raw, app, self, is_for_health=is_for_health)
        places.add(connection)
        self._connections.start_soon(self._serve, connection, tls, places, raw)

    async def _serve(self, connection: Connection, tls: Tls, places: Places, raw: socket.socket) -> None:
        try:
            await connection.run(tls())
        except Exception as bug:  # it must cost one connection, not the node
            self.bug(bug)
        finally:
            places.remove(connection)
            raw.close()
            if connection.is_for_health:
                self._reserve.refill()

    # --- what connections ask for ---

    def bodies_grew(self, size: int) -> None:
        """Unfinished bodies hold so many bytes more than before, or less; the slowest gives way when it is too much."""
        self._bodies_bytes += size
        if size > 0 and self._bodies_bytes > limits.BODIES_BYTES_MAX:
            slowest = self._places.slowest_body(trio.current_time())
            if slowest is not None:
                slowest.give_way()

    # --- the look round ---

    async def _look_after(self) -> None:
        # One look a second over all connections is cheaper than a timer for each.
        while True:
            await trio.sleep(limits.LOOK_S)
            self.now = now = trio.current_time()
            self.date = date_line(time.time())
            self._reserve.refill()
            for connection in self._all():
                if connection.deadline < now:
                    connection.expire()
            self._look_for_the_gone(now)

    def _look_for_the_gone(self, now: float) -> None:
        """Whether those are still there whose answer takes a while: they are not read from, so nobody else notices."""
        waiting = {c.file: c for c in self._all() if c.phase in _WAITS and now - c.since >= limits.LOOK_S}
        if not waiting:
            return
        poll = select.poll()
        for file in waiting:
            poll.register(file, _PEER_CLOSED_HALF)
        for file, events in poll.poll(0):
            waiting[file].peer_closed(now, entirely=bool(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL)))

    def _all(self) -> list[Connection]:
        return [*self._places, *self._control_places]

    def _spare_files(self, places: Places) -> bool:
        self.note("no_files_left")
        return places.make_room(trio.current_time())


def _reason(error: OSError | UnicodeError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return "another program listens there; choose another --port"
    if number == errno.EADDRNOTAVAIL:
        return "no interface of this machine has that address; choose another --host"
    if number == errno.EACCES:
        return "this user may not; choose a --port from 1024"
    return getattr(error, "strerror", None) or str(error)
