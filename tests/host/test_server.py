"""Connections: how many there may be, how long either side may dawdle, and what malformed bytes get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from trio.testing import MockClock

from stigmem.core import limits
from stigmem.host import connection as connection_module
from stigmem.host import server as server_module
from stigmem.host.server import Server
from stigmem.host.tasks import Tasks

LOOK_S = 5.0
GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.fixture
def autojump_clock() -> MockClock:
    """Time that jumps when nothing happens; long enough for bytes on loopback to arrive first."""
    return MockClock(autojump_threshold=0.02)


@pytest.fixture(autouse=True)
def _seldom_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look every five seconds instead of every one: fewer jumps of the clock in a test of minutes."""
    monkeypatch.setattr(server_module, "_LOOK_S", LOOK_S)


class Echo:
    """An application that tells what it got; `gate` holds answers back, `size` is that of the body."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.gone = 0
        self.size = 2
        self.peer_auth: trio.Event | None = None
        self.running = 0
        self.failure: Exception | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        self.running += 1
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if self.failure is not None:
            raise self.failure
        if self.peer_auth is not None:
            await self.peer_auth.wait()
        self.bodies.append(body)
        headers = [(b"content-length", str(self.size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"k" * self.size})


class Served:
    def __init__(self, server: Server, app: Echo, port: int, faults: list[Exception]) -> None:
        self.server = server
        self.app = app
        self.port = port
        self.faults = faults

    async def dial(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def say(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes, until the other side closes."""
        stream = await self.dial()
        await stream.send_all(data)
        return await heard(stream)


async def heard(stream: trio.SocketStream) -> bytes:
    found = b""
    try:
        while part := await stream.receive_some(65536):
            found += part
    except trio.BrokenResourceError:
        found += b"<reset>"
    return found


async def answer(stream: trio.SocketStream, size: int = 2) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found or len(found.partition(b"\r\n\r\n")[2]) < size:
        part = await stream.receive_some(65536)
        assert part, found
        found += part
    return found


@asynccontextmanager
async def serving(connections_max: int = 50) -> AsyncIterator[Served]:
    faults: list[Exception] = []
    server = Server("127.0.0.1", 0, tls=lambda: None, connections_max=connections_max, on_bug=faults.append)
    app = Echo()
    async with trio.open_nursery() as nursery:
        served = Served(server, app, await server.listen(), faults)
        nursery.start_soon(server.run, app)
        yield served
        server.stop()
        if app.gate is not None:
            app.gate.set()


async def test_requests_follow_each_other_on_one_connection(autojump_clock: MockClock) -> None:
    async with serving() as served:
        stream = await served.dial()
        for _ in range(3):
            await stream.send_all(GET)
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")
        assert len(served.server) == 1
        await stream.aclose()


async def test_requests_sent_at_once_are_answered_in_order(autojump_clock: MockClock) -> None:
    async with serving() as served:
        post = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n"
        found = await served.say(post + b"1" + post + b"2" + post.replace(b"host", b"connection: close\r\nhost") + b"3")
        assert found.count(b"HTTP/1.1 200") == 3
        assert served.app.bodies == [b"1", b"2", b"3"]


async def test_a_client_that_closed_its_half_still_gets_its_answer(autojump_clock: MockClock) -> None:
    async with serving() as served:
        stream = await served.dial()
        served.app.gate = trio.Event()
        await stream.send_all(GET)
        await stream.send_eof()
        await trio.testing.wait_all_tasks_blocked(0.01)
        served.app.gate.set()
        assert (await heard(stream)).startswith(b"HTTP/1.1 200")


async def test_a_client_gone_in_the_middle_of_its_body_costs_nothing(autojump_clock: MockClock) -> None:
    async with serving() as served:
        stream = await served.dial()
        await stream.send_all(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.aclose()
        await trio.sleep(1)
        assert (len(served.server), served.app.gone, served.faults) == (0, 1, [])


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /x HTTP/1.1\r\nhost: a\r\nx-slow: ",
        GET,
    ],
    ids=["nothing", "half a head", "nothing after a request"],
)
async def test_a_silent_connection_is_closed(autojump_clock: MockClock, sent: bytes) -> None:
    async with serving() as served:
        stream = await served.dial()
        if sent:
            await stream.send_all(sent)
        before = trio.current_time()
        await heard(stream)
        assert trio.current_time() - before == pytest.approx(connection_module._IDLE_S, abs=1.5 * LOOK_S)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(served.server) == 0


async def test_a_head_that_drips_in_does_not_buy_time(autojump_clock: MockClock) -> None:
    async with serving() as served:
        stream = await served.dial()
        before = trio.current_time()
        await stream.send_all(b"GET /x HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                await trio.sleep(5)
                await stream.send_all(b"x-a: b\r\n")

        with pytest.raises(trio.BrokenResourceError):
            await drip()
        assert trio.current_time() - before < connection_module._IDLE_S + 12


async def test_a_client_that_does_not_read_is_cut_off(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_SEND_BYTES_PER_S", 2_000_000)
    async with serving() as served:
        served.app.size = 40_000_000
        stream = await served.dial()
        await stream.send_all(GET)
        await trio.sleep(1)
        assert len(served.server) == 1
        bound = connection_module._SEND_S + served.app.size / connection_module._SEND_BYTES_PER_S
        await trio.sleep(bound + 1.5 * LOOK_S)
        assert len(served.server) == 0
        await stream.aclose()


async def test_a_large_answer_is_sent_to_whoever_reads_it(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.size = 5_000_000
        found = await served.say(GET.replace(b"host", b"connection: close\r\nhost"))
        assert len(found.partition(b"\r\n\r\n")[2]) == served.app.size


async def test_an_answer_to_a_body_still_coming_is_not_taken_back(autojump_clock: MockClock) -> None:
    class Refusing(Echo):
        async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"no"})

    faults: list[Exception] = []
    server = Server("127.0.0.1", 0, tls=lambda: None, connections_max=5, on_bug=faults.append)
    async with trio.open_nursery() as nursery:
        port = await server.listen()
        nursery.start_soon(server.run, Refusing())
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        size = limits.REQUEST_BYTES_MAX
        await stream.send_all(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size)
        async with trio.open_nursery() as both:

            async def pour() -> None:
                try:
                    for _ in range(30):
                        await stream.send_all(bytes(100_000))
                except trio.BrokenResourceError:
                    return

            both.start_soon(pour)
            assert (await answer(stream)).startswith(b"HTTP/1.1 413")
            both.cancel_scope.cancel()
        await stream.aclose()
        nursery.cancel_scope.cancel()
    assert faults == []


async def test_the_longest_idle_connection_makes_room_for_a_new_one(autojump_clock: MockClock) -> None:
    async with serving(connections_max=3) as served:
        first, second, third = [await served.dial() for _ in range(3)]
        await trio.sleep(1)
        await first.send_all(GET)
        await answer(first)
        fourth = await served.dial()
        await fourth.send_all(GET)
        assert (await answer(fourth)).startswith(b"HTTP/1.1 200")
        assert await heard(second) in (b"", b"<reset>")  # the oldest that asked for nothing since
        await first.send_all(GET)
        assert (await answer(first)).startswith(b"HTTP/1.1 200")
        assert served.server.turned_away == 1
        await third.aclose()


async def test_where_every_connection_is_busy_a_new_one_is_turned_away(autojump_clock: MockClock) -> None:
    async with serving(connections_max=2) as served:
        served.app.gate = trio.Event()
        busy = [await served.dial() for _ in range(2)]
        for stream in busy:
            await stream.send_all(GET)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await heard(await served.dial()) in (b"", b"<reset>")
        served.app.gate.set()
        for stream in busy:
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")


async def test_ten_thousand_idle_connections_leave_room_for_work(autojump_clock: MockClock) -> None:
    async with serving(connections_max=20) as served:
        crowd = []
        for _ in range(300):  # a process may not open ten thousand; what matters is far more than the bound
            crowd.append(await served.dial())
            await trio.testing.wait_all_tasks_blocked()
        assert len(served.server) <= 21
        assert (await served.say(GET.replace(b"host", b"connection: close\r\nhost"))).startswith(b"HTTP/1.1 200")
        for stream in crowd:
            await trio.aclose_forcefully(stream)


MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    "bad chunk": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    "control character": b"GET /\x01 HTTP/1.1\r\nhost: a\r\n\r\n",
    "not ASCII": "GET /é HTTP/1.1\r\nhost: a\r\n\r\n".encode(),
    "a head without end": b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 40_000,
    "a negative length": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_requests_are_refused_and_harm_nobody(autojump_clock: MockClock, sent: bytes) -> None:
    async with serving() as served:
        found = await served.say(sent)
        assert found.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")), found
        assert served.app.bodies in ([], [b""])
        assert served.faults == []
        closing = GET.replace(b"host", b"connection: close\r\nhost")
        assert (await served.say(closing)).startswith(b"HTTP/1.1 200")


async def test_a_websocket_is_refused(autojump_clock: MockClock) -> None:
    async with serving() as served:
        found = await served.say(
            b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert found.startswith(b"HTTP/1.1 403")


async def test_a_failing_application_costs_its_own_answer_only(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.failure = ValueError("a bug")
        assert (await served.say(GET)).startswith(b"HTTP/1.1 500")
        served.app.failure = None
        assert (await served.say(GET.replace(b"host", b"connection: close\r\nhost"))).startswith(b"HTTP/1.1 200")


async def test_a_stop_finishes_what_is_under_way_and_closes_what_is_idle(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.gate = trio.Event()
        busy, idle = await served.dial(), await served.dial()
        await busy.send_all(GET)
        await trio.testing.wait_all_tasks_blocked(0.01)
        served.server.stop()
        assert await heard(idle) == b""
        with pytest.raises(OSError, match="connect"):
            await served.dial()
        served.app.gate.set()
        assert (await heard(busy)).startswith(b"HTTP/1.1 200")


async def test_a_stop_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.gate = trio.Event()
        busy = await served.dial()
        await busy.send_all(GET)
        await trio.testing.wait_all_tasks_blocked(0.01)
        before = trio.current_time()
        served.server.stop()
        assert await heard(busy) in (b"", b"<reset>")
        assert trio.current_time() - before < 8


async def test_an_application_that_does_not_read_holds_up_the_sender_and_not_itself() -> None:
    sent: list[object] = []
    ended = trio.Event()

    async def application(_scope: object, _receive: object, _send: object, *_: object) -> None:
        await ended.wait()

    async def send(message: object) -> None:
        sent.append(message)

    async with Tasks(lambda _: None) as tasks:
        put = await tasks.spawn_app(application, Config(), {}, send)
        taken = 0
        with trio.move_on_after(0.05):
            while True:
                await put({"type": "http.request", "body": b"x", "more_body": True})
                taken += 1
                await trio.lowlevel.checkpoint()
        assert 0 < taken < 100
        with trio.fail_after(1):
            await put({"type": "http.disconnect"})
            ended.set()
            await put({"type": "http.request", "body": b"", "more_body": False})
    assert sent == [None]
