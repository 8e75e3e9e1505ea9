"""Requests to other nodes are bounded in time, in size and in where they go; every failure has a code."""

from __future__ import annotations

import gc
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from stigmem.core.wire import Request, Response
from stigmem.host import client as client_module
from stigmem.host.client import HttpTransport
from stigmem.host.tls import TlsContexts
from stigmem.node.ports import Unreachable

SECOND_NS = 1_000_000_000
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Mixed: Case\r\n\r\nok"


class Peer:
    """A server that says what it is told to, and counts connections and requests."""

    def __init__(self, port: int, says: Callable[[bytes], bytes | None]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.says = says
        self.connections = 0
        self.heard: list[bytes] = []


@asynccontextmanager
async def peer(says: Callable[[bytes], bytes | None]) -> AsyncIterator[Peer]:
    """`says` gets a request; None lets it wait for ever."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    found = Peer(listeners[0].socket.getsockname()[1], says)

    async def serve(stream: trio.SocketStream) -> None:
        found.connections += 1
        try:
            while data := await stream.receive_some(65536):
                found.heard.append(data)
                answer = found.says(data)
                if answer is None:
                    await trio.sleep_forever()
                else:
                    await stream.send_all(answer)
                    if b"content-length" not in answer:
                        await stream.aclose()
                        return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield found
        nursery.cancel_scope.cancel()


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    context = ssl.create_default_context()
    made = HttpTransport(lambda: TlsContexts(context, context))
    yield made
    await made.aclose()


async def ask(transport: HttpTransport, url: str, *, timeout_ns: int = SECOND_NS, body_max: int = 1_000) -> Response:
    return await transport.request(url, Request("GET", "/a?b=c", {"x-d": "e"}), timeout_ns, body_max)


async def code(transport: HttpTransport, url: str, *, timeout_ns: int = SECOND_NS, body_max: int = 1_000) -> str:
    with pytest.raises(Unreachable) as refused:
        await ask(transport, url, timeout_ns=timeout_ns, body_max=body_max)
    assert refused.value.message.startswith(url)
    return refused.value.code


async def test_an_answer_comes_back_with_lower_case_headers(transport: HttpTransport) -> None:
    async with peer(lambda _: OK) as found:
        answer = await ask(transport, found.url)
        assert (answer.status, answer.body, answer.headers["x-mixed"]) == (200, b"ok", "Case")
        assert found.heard[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
        assert b"accept-encoding: identity" in found.heard[0].lower()


async def test_a_connection_is_kept_between_requests(transport: HttpTransport) -> None:
    async with peer(lambda _: OK) as found:
        for _ in range(3):
            await ask(transport, found.url)
        assert (found.connections, len(found.heard)) == (1, 3)


async def test_a_redirect_is_an_answer_and_is_not_followed(transport: HttpTransport) -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with peer(lambda _: moved) as found:
        assert (await ask(transport, found.url)).status == 302
        assert len(found.heard) == 1


async def test_silence_is_a_timeout(transport: HttpTransport) -> None:
    async with peer(lambda _: None) as found:
        assert await code(transport, found.url, timeout_ns=SECOND_NS // 20) == "timeout"


async def test_nobody_there_is_refused(transport: HttpTransport) -> None:
    async with peer(lambda _: OK) as found:
        url = found.url
    assert await code(transport, url) == "refused"


async def test_a_name_without_an_address_is_refused(transport: HttpTransport) -> None:
    assert await code(transport, "http://no-such-host.invalid", timeout_ns=20 * SECOND_NS) == "refused"


@pytest.mark.parametrize(
    "says",
    [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", b"HTTP/1.1 abc\r\n\r\n"],
    ids=["garbage", "cut off", "no status"],
)
async def test_what_is_no_answer_is_broken(transport: HttpTransport, says: bytes) -> None:
    async with peer(lambda _: says) as found:
        if b"content-length" in says:
            assert await code(transport, found.url, timeout_ns=SECOND_NS // 10) == "timeout"
        else:
            assert await code(transport, found.url) == "broken_answer"


async def test_a_long_answer_is_cut_off(transport: HttpTransport) -> None:
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"3e8\r\n" + bytes(1_000) + b"\r\n"
    async with peer(lambda _: endless * 3) as found:
        assert await code(transport, found.url, body_max=999) == "body_too_large"


async def test_a_compressed_answer_is_not_unpacked(transport: HttpTransport) -> None:
    bomb = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b"
    async with peer(lambda _: bomb) as found:
        assert await code(transport, found.url) == "broken_answer"


@pytest.mark.parametrize("url", ["ftp://a.example", "file:///etc/passwd", "a.example", "http://", "http://[::1"])
async def test_what_is_no_web_address_is_not_tried(transport: HttpTransport, url: str) -> None:
    assert await code(transport, url) in ("bad_url", "refused", "broken_answer")


async def test_no_proxy_of_the_environment_is_used(transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with peer(lambda _: OK) as found:
        assert (await ask(transport, found.url)).status == 200


async def test_private_addresses_are_refused_where_only_public_ones_are_allowed() -> None:
    context = ssl.create_default_context()
    strict = HttpTransport(lambda: TlsContexts(context, context), "public")
    async with peer(lambda _: OK) as found:
        assert await code(strict, found.url) == "forbidden_address"
        assert found.connections == 0
    await strict.aclose()


async def test_an_answer_in_chunks_of_a_byte_lets_others_work(transport: HttpTransport) -> None:
    chunks = 2_000
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with peer(lambda _: head + b"1\r\na\r\n" * chunks + b"0\r\n\r\n") as found:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            answer = await ask(transport, found.url, body_max=10_000)
            nursery.cancel_scope.cancel()
    assert answer.body == b"a" * chunks
    assert turns >= chunks


async def test_a_request_cancelled_in_the_middle_of_a_body_leaves_nothing_to_the_garbage_collector(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generators that are collected before their end are warnings of trio, and warnings fail a test."""
    begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 3
    honest = trio.lowlevel.checkpoint
    with trio.CancelScope() as scope:

        async def cancelled_here() -> None:
            scope.cancel()
            await honest()

        async with peer(lambda _: begun) as found:
            monkeypatch.setattr(trio.lowlevel, "checkpoint", cancelled_here)
            await ask(transport, found.url)
    assert scope.cancelled_caught
    gc.collect()


async def test_only_so_many_addresses_have_a_connection(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_LINES_MAX", 2)
    async with peer(lambda _: OK) as found:
        for name in ("127.0.0.1", "127.0.0.2", "localhost", "127.0.0.1"):
            if name == "127.0.0.2":
                assert await code(transport, found.url.replace("127.0.0.1", name)) == "refused"
            else:
                await ask(transport, found.url.replace("127.0.0.1", name))
        assert len(transport._lines) == 2
        assert transport._spare == []
        assert found.connections == 3


async def test_a_request_under_way_outlives_the_change_of_certificates(transport: HttpTransport) -> None:
    gate = trio.Event()
    async with peer(lambda _: OK) as found:
        plain = found.says
        found.says = lambda data: plain(data) if gate.is_set() else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
        results: list[Response] = []

        async def one() -> None:
            results.append(await ask(transport, found.url, timeout_ns=SECOND_NS // 4))

        async with trio.open_nursery() as nursery:

            async def renew() -> None:
                await trio.testing.wait_all_tasks_blocked(0.01)
                transport.renew()
                gate.set()
                assert (await ask(transport, found.url)).status == 200

            nursery.start_soon(renew)
            with pytest.raises(Unreachable):
                await ask(transport, found.url, timeout_ns=SECOND_NS // 10)
        assert found.connections == 2
