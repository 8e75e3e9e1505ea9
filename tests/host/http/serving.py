"""A server with an application that tests can hold back, and the bytes of both sides at hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from stigmem.core.wire import Request, Response
from stigmem.host.http import BodyBound, Caller, Server
from stigmem.host.http.refusals import refusal

__all__ = ["CLOSING", "GET", "Echo", "Served", "answer", "heard", "serving", "statuses"]

GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"
CLOSING = b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


class Echo:
    """An application that keeps what it got; `gate` holds answers back, `size` is that of the body."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.size = 2
        self.bound = BodyBound(1_000_000, refusal(413, "body_too_large", "too much"))
        self.gate: trio.Event | None = None
        self.failure: Exception | None = None
        self.cancelled = 0
        self.response: Response | None = None

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]

    def admit(self, request: Request) -> BodyBound:
        return self.bound

    async def respond(self, request: Request, caller: Caller) -> Response:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        if self.gate is not None and request.target != "/healthz":
            try:
                await self.gate.wait()
            except trio.Cancelled:
                self.cancelled += 1
                raise
        return self.response or Response(200, {}, b"k" * self.size)


class Served:
    """A running server, its application and what was told about both."""

    def __init__(self, server: Server, app: Any, port: int, bugs: list[Exception], refused: Counter[str]) -> None:
        self.server = server
        self.app = app
        self.port = port
        self.bugs = bugs
        self.refused = refused

    async def dial(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def say(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes, until the other side closes."""
        async with await self.dial() as stream:
            await stream.send_all(data)
            return await heard(stream)


async def heard(stream: trio.SocketStream) -> bytes:
    """What comes until the other side closes."""
    found = b""
    try:
        while part := await stream.receive_some(65536):
            found += part
    except trio.BrokenResourceError:
        found += b"<reset>"
    return found


async def answer(stream: trio.SocketStream, size: int = 2) -> bytes:
    """One answer whose body has this size."""
    found = b""
    while b"\r\n\r\n" not in found or len(found.partition(b"\r\n\r\n")[2]) < size:
        part = await stream.receive_some(65536)
        assert part, found
        found += part
    return found


def statuses(found: bytes) -> list[int]:
    """The statuses of all answers in these bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", found)]


@asynccontextmanager
async def serving(connections_max: int = 50, app: Any = None) -> AsyncIterator[Served]:
    bugs: list[Exception] = []
    refused: Counter[str] = Counter()
    server = Server(
        "127.0.0.1", 0, tls=lambda: None, connections_max=connections_max, on_bug=bugs.append,
        on_refused=lambda kind: refused.update([kind]),
    )  # fmt: skip
    app = app or Echo()
    async with trio.open_nursery() as nursery:
        served = Served(server, app, await server.listen(), bugs, refused)
        nursery.start_soon(server.run, app)
        yield served
        server.stop()
        gate = getattr(app, "gate", None)
        if gate is not None:
            gate.set()
