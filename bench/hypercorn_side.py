"""Our node behind hypercorn, to see what a server costs: `python -m bench.hypercorn_side DIRECTORY PORT`.

The same application over ASGI, on a port beside the node's own. Hypercorn is needed here and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from stigmem.core.wire import Request
from stigmem.host.app import App
from stigmem.host.http import Caller
from stigmem.host.run import deployed
from stigmem.host.settings import HostSettings

__all__ = ["as_asgi", "main"]

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def as_asgi(app: App) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """Our application as an ASGI application."""

    async def answer(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("only requests of HTTP are answered")  # so hypercorn learns that there is no lifespan
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        query = scope["query_string"].decode()
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        target = scope["raw_path"].decode() + ("?" + query if query else "")
        response = await app.respond(Request(scope["method"], target, headers, body), Caller())
        lines = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        lines.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": lines})
        await send({"type": "http.response.body", "body": response.body})

    return answer


async def main(directory: Path, port: int) -> None:
    """Serve until stopped."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = config.errorlog = None
    config.keep_alive_max_requests = 10**9
    async with deployed(HostSettings(data_dir=directory, port=0, auth_required=False, log_level="error")) as node:
        await serve(as_asgi(node.app), config, mode="asgi")  # type: ignore[arg-type]


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
