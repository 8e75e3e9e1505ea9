"""Webhooks over real sockets: they arrive, survive a restart, and go to no address that the policy forbids."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import trio

from tests.host.nodes import assertion, client_of, node_at


class Hook:
    """A server that takes every POST, and remembers heads and bodies."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.bodies: list[dict[str, object]] = []
        self.url = ""
        self._came = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:"))
        while len(body) < size:
            body += await stream.receive_some()
        self.heads.append(head.decode())
        self.bodies.append(json.loads(body))
        await stream.send_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await stream.aclose()
        self._came.set()

    async def until(self, count: int) -> None:
        with trio.fail_after(10):
            while len(self.bodies) < count:
                self._came = trio.Event()
                await self._came.wait()


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    found = Hook()
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, found.serve, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        found.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/hooks/7?team=a"
        yield found
        nursery.cancel_scope.cancel()


async def subscribe(client: httpx.AsyncClient, url: str) -> str:
    body = {"target": "public", "on_change": "webhook", "delivery_address": url}
    made = await client.post("/v1/subscriptions", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_a_webhook_arrives_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with hook() as found:
        async with node_at(tmp_path) as node, client_of(node) as client:
            await subscribe(client, found.url)
            await client.post("/v1/facts", json=assertion(1))
            await found.until(1)
        async with node_at(tmp_path) as node, client_of(node) as client:
            await client.post("/v1/facts", json=assertion(2))
            await found.until(2)
    facts = [body["fact"] for body in found.bodies]
    assert [fact["value_v"] for fact in facts] == ["role 1", "role 2"]  # type: ignore[index]
    assert found.heads[0].startswith("POST /hooks/7?team=a HTTP/1.1")
    assert f"x-stigmem-event-id: {found.bodies[0]['event_id']}" in found.heads[0].lower()


async def test_an_address_that_the_policy_forbids_is_never_connected_to(tmp_path: Path) -> None:
    async with hook() as found, node_at(tmp_path, federation_addresses="public") as node, client_of(node) as client:
        made = await subscribe(client, found.url)
        await client.post("/v1/facts", json=assertion(1))
        with trio.fail_after(10):
            while not (await client.get(f"/v1/subscriptions/{made}")).json()["consecutive_failures"]:
                await trio.sleep(0.02)
        events = (await client.get(f"/v1/subscriptions/{made}/events")).json()["events"]
        assert [event["delivery_status"] for event in events] == ["pending"]
    assert found.heads == []
