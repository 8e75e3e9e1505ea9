"""Connections over TLS: the same answers, no half-close, and one protocol."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from stigmem.host.http import Server, limits
from stigmem.host.settings import HostSettings
from stigmem.host.tls import Certificates
from tests.host.authority import Authority
from tests.host.http.serving import CLOSING, GET, Echo, heard, statuses

Secure = trio.SSLStream[trio.SocketStream]


@pytest.fixture(autouse=True)
def _short_farewells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_S", 0.2)
    monkeypatch.setattr(limits, "LOOK_S", 0.05)


class Served:
    """A server over TLS."""

    def __init__(self, port: int, server: Server, app: Echo, context: ssl.SSLContext, refused: list[str]) -> None:
        self.port, self.server, self.app, self.context, self.refused = port, server, app, context, refused

    async def dial(self) -> Secure:
        """A connection to it; what is said first goes after the handshake."""
        raw = await trio.open_tcp_stream("127.0.0.1", self.port)
        stream = trio.SSLStream(raw, self.context, server_hostname="127.0.0.1", https_compatible=True)
        await stream.do_handshake()
        return stream


@asynccontextmanager
async def secure(tmp_path: Path) -> AsyncIterator[Served]:
    authority = Authority(tmp_path)
    server_context = Certificates(HostSettings(**authority.files("north"))).server
    context = ssl.create_default_context(cafile=str(authority.bundle))
    context.set_alpn_protocols(["h2", "http/1.1"])
    refused: list[str] = []
    bugs: list[Exception] = []
    server = Server(
        "127.0.0.1", 0, tls=lambda: server_context, connections_max=20, on_bug=bugs.append, on_refused=refused.append
    )
    app = Echo()
    async with trio.open_nursery() as nursery:
        port = await server.listen()
        nursery.start_soon(server.run, app)
        with trio.fail_after(60):
            yield Served(port, server, app, context, refused)
        nursery.cancel_scope.cancel()
    assert bugs == []


async def everything(stream: Secure) -> bytes:
    found = b""
    while part := await stream.receive_some(65_536):
        found += part
    return found


async def test_requests_follow_each_other_and_large_ones_arrive_whole(tmp_path: Path) -> None:
    async with secure(tmp_path) as served:
        stream = await served.dial()
        body = bytes(range(256)) * 3_000
        await stream.send_all(
            GET + b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body + CLOSING
        )
        served.app.size = 500_000
        found = await everything(stream)
        assert statuses(found) == [200, 200, 200]
        assert served.app.bodies == [b"", body, b""]
        await stream.aclose()


async def test_http_1_1_is_agreed_on_and_nothing_else(tmp_path: Path) -> None:
    async with secure(tmp_path) as served:
        stream = await served.dial()
        assert stream.selected_alpn_protocol() == "http/1.1"
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert statuses(await everything(stream)) == [505]
        await stream.aclose()


async def test_an_answer_to_a_body_still_coming_is_not_taken_back(tmp_path: Path) -> None:
    async with secure(tmp_path) as served:
        stream = await served.dial()
        async with trio.open_nursery() as both:

            async def pour() -> None:
                try:
                    await stream.send_all(
                        b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 8000000\r\n\r\n" + bytes(2_000_000)
                    )
                except trio.BrokenResourceError:
                    return

            both.start_soon(pour)
            assert (await stream.receive_some(65_536)).startswith(b"HTTP/1.1 413")
            both.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)


async def test_who_does_not_shake_hands_is_told_of_in_a_word(tmp_path: Path) -> None:
    async with secure(tmp_path) as served:
        raw = await trio.open_tcp_stream("127.0.0.1", served.port)
        await raw.send_all(GET)
        await heard(raw)
        await raw.aclose()
        assert served.refused == ["no_handshake"]
        assert served.app.requests == []


async def test_a_client_that_leaves_during_a_long_answer_gives_its_place_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK_S", 0.02)
    async with secure(tmp_path) as served:
        served.app.gate = trio.Event()
        stream = await served.dial()
        await stream.send_all(GET)
        while not served.app.requests:
            await trio.sleep(0.005)
        await stream.aclose()
        while served.server:
            await trio.sleep(0.005)
        assert served.app.cancelled == 1
        assert served.refused == ["left_before_the_answer"]


async def test_a_stop_closes_idle_connections_with_a_farewell(tmp_path: Path) -> None:
    async with secure(tmp_path) as served:
        stream = await served.dial()
        await stream.send_all(GET)
        await stream.receive_some(65_536)
        served.server.stop()
        assert await stream.receive_some(65_536) == b"", "an end that was said, and no broken connection"
        await stream.aclose()
