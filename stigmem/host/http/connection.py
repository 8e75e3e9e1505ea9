"""One connection, from accept to close: requests in, answers out, and how long each side may take.

One task a connection, and it runs the application too: a client whose request is being answered is not read from, so
that what it sends ahead stays in the socket. No timer is set for anything. A connection has a *phase* with a
*deadline*; `stigmem.host.http.server` looks at all of them once a second and calls `expire` on those that are late.

    handshake -> idle -> head -> body -> answering -> sending -> idle ...
                                             |
                                             +-> streaming -> sending -> streaming ... -> idle

Two scopes enclose the task. `_waiting` is around reading and answering: when it is cancelled the request under way gets
a last answer (408, 503) and the connection closes. `_scope` is around everything: when it is cancelled the connection
is gone. So a connection costs two scopes, and a request none.

Invariants:
1. A request is handed to the application when all of it has been read, and the next one is read when it was answered.
2. After an answer that says `connection: close`, and after every refusal, nothing more is read as a request.
3. The bytes of a body that needs more than one read count (`body_bytes`) until its answer is sent.
4. A bug in the application costs its own answer, with status 500, and the connection goes on.

Wart: a client that closed its half while it waits for a long answer looks like one that went away; see HALF_CLOSED_S.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import aclosing
from math import inf
from typing import Final

import trio

from stigmem.core.wire import Response, StreamedResponse
from stigmem.host.http import limits
from stigmem.host.http.bodies import BodyReader
from stigmem.host.http.heads import Head, HeadReader
from stigmem.host.http.plain import PlainStream
from stigmem.host.http.ports import HEALTH_PATHS, Application, Caller, Phase, Service
from stigmem.host.http.refusals import (
    INTERNAL,
    NO_ANSWER,
    NO_PLACE,
    NO_ROOM,
    SLOW_BODY,
    SLOW_HEAD,
    Refused,
    incomplete,
)
from stigmem.host.http.secure import Stream, secured
from stigmem.host.http.writing import CONTINUE, LAST_CHUNK, chunk, head_of_stream, whole

__all__ = ["Connection"]

_CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
_SLICE: Final = 262_144
"""Bytes of a large answer after which it is noted how far it came."""
_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class Connection:
    """One connection. `stigmem.host.http.places` reads the public members and decides who must go."""

    def __init__(self, raw: socket.socket, app: Application, service: Service, *, is_for_health: bool = False) -> None:
        """`is_for_health`: it has one of the places on which one health check is answered, and nothing else."""
        self._app = app
        self._service = service
        self._raw = raw
        self._stream: Stream = PlainStream(raw)
        self._scope = trio.CancelScope()
        self._waiting = trio.CancelScope()
        self._heads = HeadReader()
        self._buffer = bytearray()
        self._last: Response | None = None
        self._unread = False
        self.is_for_health = is_for_health
        self.caller = Caller()
        self.file = raw.fileno()
        self.phase = Phase.HANDSHAKE
        self.since = service.now
        """When the phase began."""
        self.deadline = self.since + limits.HANDSHAKE_S
        self.moved = 0
        """Bytes that the client sent or took in this phase."""
        self.body_bytes = 0
        """Bytes of a body held in memory."""

    # --- from outside ---

    def cut(self) -> None:
        """End it at once."""
        self._scope.cancel()

    def finish(self) -> None:
        """End it when no request is under way."""
        if self.phase in (Phase.HANDSHAKE, Phase.IDLE):
            self._waiting.cancel()

    def expire(self) -> None:
        """Its deadline has passed: answer what can be answered, and end it."""
        if self.phase is Phase.HEAD:
            self._give_up("head_too_slow", SLOW_HEAD)
        elif self.phase is Phase.BODY:
            self._give_up("body_too_slow", SLOW_BODY)
        elif self.phase is Phase.ANSWERING:
            self._give_up("no_answer", NO_ANSWER)
        else:
            if self.phase in (Phase.HANDSHAKE, Phase.SENDING):
                self._service.note(f"{self.phase.value}_too_slow")
            self.cut()

    def give_way(self) -> None:
        """Its body is the slowest of all, and together they are too much."""
        self._give_up("body_gave_way", NO_ROOM)
        self._hold(0)  # at once, so that nobody else gives way for it

    @property
    def is_leaving(self) -> bool:
        """Whether its last answer is decided."""
        return self._last is not None

    def peer_closed(self, now: float, *, entirely: bool) -> None:
        """The client was seen to have closed its half, or everything, while it waits for an answer."""
        if entirely or self.caller.is_secure:  # TLS has no half of a connection to close
            self._service.note("left_before_the_answer")
            self.cut()
        else:
            self.deadline = min(self.deadline, now + limits.HALF_CLOSED_S)

    def _give_up(self, kind: str, response: Response) -> None:
        self._service.note(kind)
        self._last = response
        self._waiting.cancel()

    # --- its life ---

    async def run(self, context: ssl.SSLContext | None) -> None:
        """Serve until either side has had enough. The socket is closed by whoever opened it."""
        with self._scope:
            try:
                if context is not None and not await self._secure(context):
                    return
                await self._serve()
            except _GONE:
                return  # the client went away
            finally:
                self._hold(0)

    async def _secure(self, context: ssl.SSLContext) -> bool:
        try:
            self._stream, uris = await secured(self._raw, context)
        except _GONE:
            self._service.note("no_handshake")
            return False
        self.caller = Caller(is_secure=True, uris=uris)
        return True

    async def _serve(self) -> None:
        self._enter(Phase.IDLE, limits.HEALTH_S if self.is_for_health else limits.IDLE_S)
        try:
            with self._waiting:
                await self._requests()
        except Refused as refused:
            self._service.note(refused.kind)
            self._last = refused.response
        if self._last is not None:
            self._hold(0)
            self._buffer.clear()
            self._unread = True
            await self._send(whole(self._last, is_head=False, connection=_CLOSE, date=self._service.date))
        if self._unread:
            await self._linger()
        if isinstance(self._stream, trio.SSLStream):
            self._enter(Phase.LINGERING, limits.LINGER_S)
            await self._stream.aclose()

    async def _requests(self) -> None:
        while True:
            head = await self._head()
            if head is None or self._is_ending():
                return  # of a head that came in the moment of a stop nothing was done
            if self.is_for_health and head.request.target.partition("?")[0] not in HEALTH_PATHS:
                raise Refused("no_place", NO_PLACE)
            if head.length != 0:
                head.request.body = await self._body(head)
                if self._is_ending():
                    return
            if not await self._answer(head):
                self._unread = bool(self._buffer)
                return
            self._enter(Phase.IDLE, limits.IDLE_S)
            if self._buffer:
                await trio.lowlevel.checkpoint()  # whoever sends much ahead takes turns with the others

    def _is_ending(self) -> bool:
        return self._waiting.cancel_called

    async def _head(self) -> Head | None:
        """The next head, or None when the client closes instead."""
        buffer = self._buffer
        head = self._heads.take(buffer) if buffer else None
        while head is None:
            if buffer and self.phase is Phase.IDLE:
                self._enter(Phase.HEAD, limits.HEAD_S)
                self.moved = len(buffer)
            data = await self._stream.receive_some(limits.READ_BYTES)
            if not data:
                if buffer:
                    raise incomplete("head")
                return None
            buffer += data
            self.moved += len(data)
            head = self._heads.take(buffer)
        return head

    async def _body(self, head: Head) -> bytes:
        try:
            bound = self._app.admit(head.request)
        except Exception as bug:  # without a bound the body is not read
            self._service.bug(bug)
            raise Refused("bug", INTERNAL) from bug
        reader, buffer = BodyReader(head.length, bound), self._buffer
        body = reader.take(buffer)
        if body is not None:
            return body
        if head.expects_continue and not buffer and not reader.size:
            await self._send(CONTINUE)
        self._enter(Phase.BODY, limits.BODY_GRACE_S)
        self.moved = reader.size + len(buffer)
        while body is None:
            self._hold(reader.size + len(buffer))
            data = await self._stream.receive_some(limits.READ_BYTES)
            if not data:
                raise incomplete("body")
            buffer += data
            self.moved += len(data)
            self.deadline = self.since + limits.BODY_GRACE_S + self.moved / limits.BODY_BYTES_PER_S_MIN
            body = reader.take(buffer)
        return body

    def _hold(self, size: int) -> None:
        if size != self.body_bytes:
            change, self.body_bytes = size - self.body_bytes, size
            self._service.bodies_grew(change)

    async def _answer(self, head: Head) -> bool:
        """Answer a request; whether another may follow."""
        is_head = head.request.method == "HEAD"
        self._enter(Phase.ANSWERING, limits.ANSWER_S)
        try:
            response = await self._app.respond(head.request, self.caller)
        except Exception as bug:  # it must cost one answer, not the connection's other requests
            self._service.bug(bug)
            response = INTERNAL
        if self._last is not None:
            await trio.lowlevel.checkpoint_if_cancelled()  # it came too late: another answer is decided
        keeps = head.keep_alive and not self._service.is_stopping and not self.is_for_health
        if isinstance(response, StreamedResponse):
            return await self._stream_out(response, head, keeps=keeps, is_head=is_head)
        connection = (_KEEP_ALIVE if head.is_http_1_0 else b"") if keeps else _CLOSE
        date = self._service.date
        try:
            data = whole(response, is_head=is_head, connection=connection, date=date)
        except ValueError as bug:
            self._service.bug(bug)
            data = whole(INTERNAL, is_head=is_head, connection=connection, date=date)
        await self._send(data)
        self._hold(0)
        return keeps

    async def _stream_out(self, response: StreamedResponse, head: Head, *, keeps: bool, is_head: bool) -> bool:
        """Send a body piece by piece: the next is made when the last was taken. HTTP/1.0 has it to the end of the
        connection."""
        has_chunks = not head.is_http_1_0
        keeps = keeps and has_chunks
        connection = b"" if keeps else _CLOSE
        async with aclosing(response.chunks) as parts:
            begin = head_of_stream(response, has_chunks=has_chunks, connection=connection, date=self._service.date)
            await self._send(begin)
            self._hold(0)
            if is_head:
                return keeps
            self._enter(Phase.STREAMING, inf)
            try:
                async for part in parts:
                    if part:
                        await self._send(chunk(part) if has_chunks else part)
                        self._enter(Phase.STREAMING, inf)
                    await trio.lowlevel.checkpoint()
            except _GONE:
                raise
            except Exception as bug:  # the head is gone out already: that it broke off is all that can be told
                self._service.bug(bug)
                self.cut()
                await trio.lowlevel.checkpoint()
        if has_chunks:
            await self._send(LAST_CHUNK)
        return keeps

    async def _send(self, data: bytes) -> None:
        size = len(data)
        self._enter(Phase.SENDING, limits.SEND_GRACE_S + size / limits.SEND_BYTES_PER_S_MIN)
        if size <= _SLICE:
            await self._stream.send_all(data)
            return
        view = memoryview(data)
        for at in range(0, size, _SLICE):
            await self._stream.send_all(view[at : at + _SLICE])
            self.moved += _SLICE

    async def _linger(self) -> None:
        """Say that no more comes and hear the client out for a moment: closing on unread bytes would take back the
        answer that is on its way."""
        self._enter(Phase.LINGERING, limits.LINGER_S)
        if isinstance(self._stream, PlainStream):
            await self._stream.send_eof()
        heard = 0
        while heard < limits.LINGER_BYTES_MAX and (data := await self._stream.receive_some(limits.READ_BYTES)):
            heard += len(data)

    def _enter(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        self.moved = 0
        self.since = now = self._service.now
        self.deadline = now + seconds
