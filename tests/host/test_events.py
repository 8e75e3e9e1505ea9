"""Streams of events over HTTP: they flow, end with the node, and are given up when the reader leaves."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from stigmem.core.event_stream import EventReader
from stigmem.host.cli import main
from stigmem.host.run import Deployed
from tests.host.nodes import assertion, client_of, node_at


@asynccontextmanager
async def stream_of(node: Deployed, query: str = "") -> AsyncIterator[trio.SocketStream]:
    """A connection on which a stream has begun."""
    async with await trio.open_tcp_stream("127.0.0.1", node.port) as stream:
        await stream.send_all(b"GET /v1/events%b HTTP/1.1\r\nhost: localhost\r\n\r\n" % query.encode())
        head = b""
        while b"\n\n" not in head:
            head += await stream.receive_some()
        assert head.startswith(b"HTTP/1.1 200")
        assert b"content-type: text/event-stream" in head
        yield stream


async def until_none_is_open(node: Deployed) -> None:
    with trio.fail_after(10):
        while len(node.node.streams):
            await trio.sleep(0.02)


async def test_a_fact_is_told_to_who_follows(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client, stream_of(node) as stream:
        made = (await client.post("/v1/facts", json=assertion(1))).json()
        heard = b""
        with trio.fail_after(10):
            while b"\n\n" not in heard:
                heard += await stream.receive_some()
        assert made["id"].encode() in heard


async def test_a_reader_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        async with stream_of(node) as stream:
            assert len(node.node.streams) == 1
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a process that was killed
        await until_none_is_open(node)


async def test_a_node_stops_although_somebody_follows(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        ended = trio.Event()

        async def read_to_the_end(stream: trio.SocketStream) -> None:
            while await stream.receive_some():
                pass
            ended.set()

        with trio.fail_after(5):
            async with node_at(tmp_path) as node:
                follower = stream_of(node)
                nursery.start_soon(read_to_the_end, await follower.__aenter__())
            await ended.wait()
        await follower.__aexit__(None, None, None)


async def test_an_answer_to_whoever_does_not_wait_is_all_that_is_stored(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        for number in range(3):
            await client.post("/v1/facts", json=assertion(number))
        found = await client.get("/v1/events", params={"replay": True, "wait": False})
        events = [event for event in EventReader().feed(found.content) if event.data]
        assert [json.loads(event.data or "")["value"]["v"] for event in events] == ["role 0", "role 1", "role 2"]
        rest = await client.get("/v1/events", params={"wait": False}, headers={"last-event-id": events[1].id or ""})
        assert [event.id for event in EventReader().feed(rest.content) if event.data] != []
        head = await client.head("/v1/events")
        assert (head.status_code, head.content) == (200, b"")
        await until_none_is_open(node)


async def lines_said(capsys: pytest.CaptureFixture[str], count: int) -> str:
    said = ""
    with trio.fail_after(20):
        while said.count("\n") < count:
            await trio.sleep(0.02)
            said += capsys.readouterr().out
    return said


@pytest.mark.parametrize("how", ["url", "data-dir"])
async def test_tail_goes_on_where_it_was_when_the_node_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    async with node_at(tmp_path) as node:
        port, url = node.port, node.url
    place = ["--url", url] if how == "url" else ["--data-dir", str(tmp_path)]
    tail = ["tail", *place, "--limit", "2", "--interval", "0.05", "--json"]
    said = ""
    async with trio.open_nursery() as nursery:
        async with node_at(tmp_path, port=port) as node, client_of(node) as client:
            nursery.start_soon(trio.to_thread.run_sync, main, tail)
            with trio.fail_after(20):
                while not len(node.node.streams):
                    await trio.sleep(0.02)
            await client.post("/v1/facts", json=assertion(1))
            said += await lines_said(capsys, 1)
        async with node_at(tmp_path, port=port) as node, client_of(node) as client:
            await client.post("/v1/facts", json=assertion(2))
            said += await lines_said(capsys, 1)
    assert [json.loads(line)["value"]["v"] for line in said.splitlines()] == ["role 1", "role 2"]


async def test_tail_says_who_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with node_at(tmp_path) as node:
        url = node.url
    assert await trio.to_thread.run_sync(main, ["tail", "--url", url]) == 1
    assert "does not answer" in capsys.readouterr().err
    async with node_at(tmp_path, auth_required=True) as node:
        assert await trio.to_thread.run_sync(main, ["tail", "--url", node.url]) == 1
    assert "401" in capsys.readouterr().err


async def test_httpx_can_follow(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        await client.post("/v1/facts", json=assertion(1))
        limits = httpx.Timeout(5)
        async with client.stream(
            "GET", "/v1/events", params={"replay": "true", "wait": "false"}, timeout=limits
        ) as got:
            assert b"role 1" in await got.aread()
