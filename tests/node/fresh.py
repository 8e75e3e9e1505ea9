"""A fresh node as the published fixtures want one: no authentication, `http://testnode`, an empty store.

Requests without a caller, answers as (status, JSON); what they should be is each test's business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec

from stigmem.core.wire import Request, Response
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED
from tests.node.still import Bench, running

__all__ = ["Fresh", "fresh", "members"]


def members(**changes: Any) -> dict[str, Any]:
    """The members that a client sends with a write."""
    body = {
        "entity": "stigmem://testnode/device/pump-7", "relation": "maint:status",
        "value": {"type": "string", "v": "degraded"}, "source": "agent:test", "confidence": 1.0, "scope": "local",
        "write_mode": "assert", "derived_from": [],
    }  # fmt: skip
    return body | changes


class Fresh:
    """A node and short ways to ask it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.node = bench.node

    async def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        """The answer, whatever it is; a header's underscores are hyphens."""
        data = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.bench.ask(Request(method, target, named, data))

    async def get(self, target: str, status: int = 200, /, **query: Any) -> Any:
        """The JSON of a read."""
        text = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
        response = await self.ask("GET", f"{target}?{text}" if text else target)
        assert response.status == status, (response.status, response.body)
        return msgspec.json.decode(response.body)

    async def post(self, target: str, body: Any = None, status: int = 201) -> Any:
        """The JSON of a write; a millisecond passes before it."""
        self.bench.wall_ms += 1
        response = await self.ask("POST", target, body)
        assert response.status == status, (response.status, response.body)
        return msgspec.json.decode(response.body)

    async def say(self, status: int = 201, **changes: Any) -> Any:
        """The answer to a write of one fact."""
        return await self.post("/v1/facts", members(**changes), status)


@asynccontextmanager
async def fresh(bench: Bench | None = None, **settings: Any) -> AsyncIterator[Fresh]:
    """A fresh node until the block ends."""
    bench = bench or Bench(NOW_MS)
    wanted: dict[str, Any] = {"seed": SEED, "auth_required": False, "node_url": "http://testnode"} | settings
    async with running(bench, NodeSettings(**wanted)):
        yield Fresh(bench)
