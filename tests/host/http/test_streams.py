"""Answers that come piece by piece, ours and those of ASGI applications."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from stigmem.core.wire import Request, Response, StreamedResponse
from stigmem.host.http import limits
from stigmem.host.http.asgi import AsgiAdapter
from tests.host.http.reading import BOUND
from tests.host.http.serving import CLOSING, GET, Served, heard, serving, statuses


class Events:
    """A stream of numbered pieces; `made` tells how many were asked for, `closed` whether it was ended."""

    def __init__(self, size: int = 4, count: int = 3, error: Exception | None = None) -> None:
        self.size, self.count, self.error = size, count, error
        self.made = 0
        self.closed = False
        self.wait = 0.0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            while self.made < self.count:
                await trio.sleep(self.wait)
                self.made += 1
                yield b"%d" % (self.made % 10) * self.size
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True

    def response(self) -> Response:
        return StreamedResponse(200, {"content-type": "text/event-stream"}, chunks=self.chunks())


async def test_a_stream_is_sent_in_chunks_and_the_connection_goes_on(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.response = Events().response()
        async with await served.dial() as stream:
            await stream.send_all(GET)
            await wait_all_tasks_blocked(0.01)
            served.app.response = None
            await stream.send_all(CLOSING)
            found = await heard(stream)
        assert statuses(found) == [200, 200]
        head, _, body = found.partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert b"content-length" not in head
        assert body.startswith(b"4\r\n1111\r\n4\r\n2222\r\n4\r\n3333\r\n0\r\n\r\nHTTP/1.1")


async def test_http_1_0_gets_a_stream_to_the_end_of_the_connection(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.response = Events().response()
        found = await served.say(b"GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        head, _, body = found.partition(b"\r\n\r\n")
        assert (b"transfer-encoding" in head, body) == (False, b"111122223333")


async def test_head_of_a_stream_makes_none_of_it(autojump_clock: MockClock) -> None:
    async with serving() as served:
        events = Events()
        served.app.response = events.response()
        assert (await served.say(CLOSING.replace(b"GET", b"HEAD"))).endswith(b"\r\n\r\n")
        assert events.made == 0


async def test_a_reader_that_does_not_read_holds_the_stream_up(autojump_clock: MockClock) -> None:
    async with serving() as served, await served.dial() as stream:
        events = Events(size=1_000_000, count=1_000)
        served.app.response = events.response()
        await stream.send_all(GET)
        await wait_all_tasks_blocked(0.01)
        made = events.made
        assert 0 < made < 50
        await stream.receive_some(100)
        await trio.sleep(limits.SEND_GRACE_S + 1_000_000 / limits.SEND_BYTES_PER_S_MIN + 3)
        assert (events.made - made < 50, events.closed, len(served.server)) == (True, True, 0)


async def test_a_quiet_stream_is_not_cut_and_its_end_is_noticed_when_the_client_leaves(
    autojump_clock: MockClock,
) -> None:
    async with serving() as served:
        events = Events(count=1_000)
        events.wait = 100.0
        served.app.response = events.response()
        stream = await served.dial()
        await stream.send_all(GET)
        await trio.sleep(350)
        assert (events.made, events.closed) == (3, False)
        await stream.aclose()
        await trio.sleep(limits.HALF_CLOSED_S + 3)
        assert (events.closed, len(served.server)) == (True, 0)


async def test_a_stream_that_fails_breaks_off_without_its_end(autojump_clock: MockClock) -> None:
    async with serving() as served:
        error = ValueError("a bug")
        served.app.response = Events(error=error).response()
        found = await served.say(GET)
        assert (b"3333" in found, b"\r\n0\r\n" in found, served.bugs) == (True, False, [error])


def test_a_streamed_response_is_a_response_with_an_empty_body() -> None:
    response = Events().response()
    assert isinstance(response, Response)
    assert (response.status, response.body) == (200, b"")


# --- ASGI ---


@asynccontextmanager
async def mounted(app: Any) -> AsyncIterator[Served]:
    async with trio.open_nursery() as tasks:
        async with serving(app=AsgiAdapter(app, tasks, BOUND)) as served:
            yield served
        tasks.cancel_scope.cancel()


async def test_an_asgi_application_answers(autojump_clock: MockClock) -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope)
        message = await receive()
        assert message["more_body"] is False
        await send({"type": "http.response.start", "status": 201, "headers": [(b"X-A", b"b")]})
        await send({"type": "http.response.body", "body": message["body"].upper()})
        assert await receive() == {"type": "http.disconnect"}

    async with mounted(app) as served:
        found = await served.say(
            b"POST /a%20b?c=%20d HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
        )
        assert (statuses(found), b"x-a: b" in found, found.endswith(b"ABC")) == ([201], True, True)
        names = ("method", "path", "raw_path", "query_string", "scheme")
        assert [seen[0][name] for name in names] == ["POST", "/a b", b"/a%20b", b"c=%20d", "http"]
        assert (b"host", b"a") in seen[0]["headers"]


async def test_an_asgi_application_streams_no_faster_than_it_is_read(autojump_clock: MockClock) -> None:
    sent = 0

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
            sent += 1

    async with mounted(app) as served:
        async with await served.dial() as stream:
            await stream.send_all(GET)
            await wait_all_tasks_blocked(0.01)
            assert 0 < sent < 50


@pytest.mark.parametrize("begun", [False, True])
async def test_an_asgi_application_that_fails_costs_its_own_answer(autojump_clock: MockClock, begun: bool) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("a bug")

    async with mounted(app) as served:
        found = await served.say(CLOSING)
        assert statuses(found) == ([200] if begun else [500])
        assert b"\r\n0\r\n" not in found
        assert [str(bug) for bug in served.bugs] == ["a bug"]


async def test_an_asgi_application_is_cancelled_when_its_client_leaves(autojump_clock: MockClock) -> None:
    ended: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(scope["path"])

    async with mounted(app) as served:
        stream = await served.dial()
        await stream.send_all(GET)
        await trio.sleep(2)
        await stream.aclose()
        await trio.sleep(limits.HALF_CLOSED_S + 3)
        assert ended == ["/x"]


async def test_an_asgi_application_that_says_nothing_is_a_bug(autojump_clock: MockClock) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        return

    async with mounted(app) as served:
        assert statuses(await served.say(CLOSING)) == [500]
        assert [str(bug) for bug in served.bugs] == ["the application ended within its answer"]


def test_requests_are_handed_on_with_their_own_bound() -> None:
    assert AsgiAdapter(None, None, BOUND).admit(Request("POST", "/")) is BOUND  # type: ignore[arg-type]
