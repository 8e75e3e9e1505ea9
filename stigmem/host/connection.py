"""One HTTP connection: hypercorn's protocol over a stream, with bounds on how long each side may dawdle.

Bytes and deadlines only. Hypercorn reads requests, runs the application and writes responses; here it is decided
when a connection has waited enough, and how it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState

from stigmem.host.tasks import Tasks

__all__ = ["Connection", "Stream"]

_READ_BYTES: Final = 65_536
_IDLE_S: Final = 75.0
"""Between two requests, and for the whole head of one: longer than our own clients keep a connection."""
_BUSY_S: Final = 180.0
"""From a request's head to the end of its response: above all bounds of the application, which answers first."""
_SEND_S: Final = 20.0
_SEND_BYTES_PER_S: Final = 16_384
"""A reader slower than this, after the first seconds, is cut off."""
_HELD_BYTES_MAX: Final = 65_536
_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 4 * 1_048_576

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Connection:
    """A connection from accept to close. `scope` encloses its task; `deadline` is looked at from outside."""

    def __init__(
        self, app: AppWrapper, config: Config, context: WorkerContext, on_bug: Callable[[Exception], None]
    ) -> None:
        self._app = app
        self._on_bug = on_bug
        self._config = config
        self._context = context
        self.scope = trio.CancelScope()
        self._reading = trio.CancelScope()
        self.idle = True
        """Whether no request is under way."""
        self.since = trio.current_time()
        """Since when it has been idle or busy."""
        self.deadline = self.since + _IDLE_S
        self._unread = False
        self._held: list[bytes] = []
        self._sending = trio.Lock()
        self._quiet: trio.Event | None = None

    def cut(self) -> None:
        """End it at once."""
        self.idle = False
        self.scope.cancel()

    def finish(self) -> None:
        """End it when nothing is under way."""
        if self.idle:
            self._reading.cancel()

    async def run(self, stream: Stream) -> None:
        """Serve requests until either side has had enough."""
        self._stream = stream
        self._turn(idle=True)
        try:
            async with Tasks(self._on_bug) as tasks:
                secure = isinstance(stream, trio.SSLStream)
                self._protocol = ProtocolWrapper(
                    self._app, self._config, self._context, tasks, ConnectionState({}), secure, None, None, self._send
                )
                await self._protocol.initiate()
                with self._reading:
                    await self._read()
                await self._protocol.handle(Closed())
            if self._unread:
                await self._linger()
        except OSError:
            return  # the client went away

    def _turn(self, *, idle: bool) -> None:
        self.idle = idle
        self.since = trio.current_time()
        self.deadline = self.since + (_IDLE_S if idle else _BUSY_S)
        if idle and self._quiet is not None:
            self._quiet.set()

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await self._protocol.handle(RawData(bytes(data)))
            if not data:
                # The client may have closed its half only and wait for the answer on the other.
                if not self.idle:
                    self._quiet = trio.Event()
                    await self._quiet.wait()
                return

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._hold(event.data)
        elif isinstance(event, Closed):
            await self._flush()
            self._unread = True  # perhaps: hypercorn closes where it cannot or will not read on
            self._turn(idle=True)
            self._reading.cancel()
        elif isinstance(event, Updated):
            await self._flush()
            self._turn(idle=event.idle)
            if event.idle and self._context.terminated.is_set():
                self._reading.cancel()

    async def _hold(self, data: bytes) -> None:
        """Keep a piece of an answer for the rest of it: head and body go out together."""
        self._held.append(data)
        interim = data.startswith(b"HTTP/1.1 1")  # the client waits for this one before it goes on
        if interim or len(data) > _HELD_BYTES_MAX or not isinstance(self._protocol.protocol, H11Protocol):
            await self._flush()

    async def _flush(self) -> None:
        held, self._held = self._held, []
        if held:
            await self._send_bytes(held[0] if len(held) == 1 else b"".join(held))

    async def _send_bytes(self, data: bytes) -> None:
        async with self._sending:
            before = self.deadline
            self.deadline = trio.current_time() + _SEND_S + len(data) / _SEND_BYTES_PER_S
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._reading.cancel()
                self.deadline = trio.current_time()  # nobody is there: what is still under way has no purpose
            else:
                self.deadline = before

    async def _linger(self) -> None:
        """Say that no more comes and hear the client out for a moment: closing on unread bytes would take back
        the answer that is on its way."""
        self.deadline = inf
        with trio.move_on_after(_LINGER_S):
            if isinstance(self._stream, trio.SSLStream):
                await self._stream.aclose()
                return
            try:
                await self._stream.send_eof()
                heard = 0
                while heard < _LINGER_BYTES and (data := await self._stream.receive_some(_READ_BYTES)):
                    heard += len(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
