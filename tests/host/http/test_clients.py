"""Clients that people use, against a node: http.client, httpx, curl and a browser."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.host.nodes import assertion, client_of, node_at


async def elsewhere(call: Callable[[], Any]) -> Any:
    """Run a client that blocks."""
    with trio.fail_after(30):
        return await trio.to_thread.run_sync(call)


async def test_http_client_keeps_its_connection(tmp_path: Path) -> None:
    def ask(port: int) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        found = []
        body = json.dumps(assertion(1))
        for method, path, sent in (
            ("GET", "/healthz", None),
            ("POST", "/v1/facts", body),
            ("HEAD", "/v1/facts", None),
            ("GET", "/v1/facts", None),
        ):
            connection.request(method, path, sent, {"content-type": "application/json"} if sent else {})
            answer = connection.getresponse()
            answer.read()
            found.append(answer.status)
        kind = {"content-type": "application/json"}
        connection.request("POST", "/v1/facts", iter([body.encode()]), kind, encode_chunked=True)
        found.append(connection.getresponse().status)
        connection.close()
        return found

    async with node_at(tmp_path) as node:
        assert await elsewhere(lambda: ask(node.port)) == [200, 201, 200, 200, 201]
        assert len(node.server) <= 1


async def test_httpx_sends_bodies_of_every_kind(tmp_path: Path) -> None:
    async def pieces() -> Any:
        yield b'{"entity": "a", "relation": "b:c", '
        yield b'"source": "d", "value": {"type": "null"}}'

    async with node_at(tmp_path) as node, client_of(node) as client:
        made = await client.post("/v1/facts", content=pieces(), headers={"content-type": "application/json"})
        assert made.status_code == 201
        large = assertion(2, value={"type": "string", "v": "x" * 60_000})
        made = await client.post("/v1/facts", json=large)
        assert made.status_code == 201
        found = await client.get(f"/v1/facts/{made.json()['id']}")
        assert found.json()["value"]["v"] == "x" * 60_000
        assert len(node.server) == 1


async def test_httpx_asks_many_things_at_once(tmp_path: Path) -> None:
    found: list[int] = []

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        found.append((await client.post("/v1/facts", json=assertion(number))).status_code)

    async with node_at(tmp_path) as node, client_of(node) as client:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, client, number)
        assert found == 100 * [201]


CURL = shutil.which("curl")


@pytest.mark.skipif(CURL is None, reason="curl is not on this machine")
async def test_curl_gets_posts_and_expects_to_continue(tmp_path: Path) -> None:
    def curl(*arguments: str) -> str:
        done = subprocess.run(
            [str(CURL), "--silent", "--max-time", "20", "--noproxy", "*", *arguments],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.returncode, done.stderr)
        return done.stdout

    body = tmp_path / "body.json"
    facts = [assertion(n, value={"type": "string", "v": "x" * 20_000}) for n in range(60)]
    body.write_text(json.dumps({"facts": facts}))
    status = ("--output", str(tmp_path / "answer"), "--write-out", "%{http_code} %{num_connects}\n")
    async with node_at(tmp_path / "node") as node:
        base = f"http://127.0.0.1:{node.port}"
        assert await elsewhere(lambda: curl(f"{base}/healthz")) == '{"status":"ok"}'
        head = await elsewhere(lambda: curl("--head", f"{base}/v1/facts"))
        assert head.startswith("HTTP/1.1 200 OK")
        large = ("--data-binary", f"@{body}", "--header", "content-type: application/json")  # curl expects 100-continue
        assert (await elsewhere(lambda: curl(*status, *large, f"{base}/v1/facts/batch"))).startswith("200")
        chunked = (*large, "--header", "transfer-encoding: chunked")
        assert (await elsewhere(lambda: curl(*status, *chunked, f"{base}/v1/facts/batch"))).startswith("200")
        pair = await elsewhere(lambda: curl(*status, f"{base}/healthz", *status[:2], f"{base}/readyz"))
        assert pair.split() == ["200", "1", "200", "0"], "one connection for both"
        assert (await elsewhere(lambda: curl(*status, "--http1.0", f"{base}/healthz"))).startswith("200")
        assert (await elsewhere(lambda: curl(*status, "--http2", f"{base}/healthz"))).split()[0] in ("200", "501")


async def test_a_browsers_way_of_asking_is_answered(tmp_path: Path) -> None:
    """The heads of a navigation and of what the page then asks for."""
    head = (
        "Host: 127.0.0.1\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\n"
        'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n'
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Mode: navigate\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: a=b; c=d\r\n\r\n"
    )
    async with node_at(tmp_path) as node, await trio.open_tcp_stream("127.0.0.1", node.port) as stream:
        for path in ("/docs", "/openapi.json", "/healthz"):
            await stream.send_all(f"GET {path} HTTP/1.1\r\n{head}".encode())
            found = b""
            while b"\r\n\r\n" not in found:
                found += await stream.receive_some(65_536)
            length = int(found.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            while len(found.partition(b"\r\n\r\n")[2]) < length:
                found += await stream.receive_some(65_536)
            assert found.startswith(b"HTTP/1.1 200 OK"), path
