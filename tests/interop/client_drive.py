"""Drives a node through every method of the published client; runs in a side environment, not in ours.

`python client_drive.py URL KEY` prints one JSON object: for each client class and method what came back, or the error.
The methods are found by looking at the classes, so that one nobody thought of shows up as not driven.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading
from typing import Any

import stigmem

__all__: list[str] = []

ENTITY = "user:client-{kind}"
VALUES = {
    "string": lambda: stigmem.string_value("short"),
    "text": lambda: stigmem.text_value("long " * 200),
    "number": lambda: stigmem.number_value(42),
    "fraction": lambda: stigmem.number_value(0.1),
    "boolean": lambda: stigmem.boolean_value(True),
    "datetime": lambda: stigmem.datetime_value("2026-01-02T03:04:05Z"),
    "ref": lambda: stigmem.ref_value("user:somebody"),
    "null": stigmem.null_value,
}


def plain(found: Any) -> Any:
    if hasattr(found, "model_dump"):
        return found.model_dump(mode="json")
    if isinstance(found, list):
        return [plain(one) for one in found]
    return found


def verdict(fact: Any) -> str:
    """What the client's own check of the content id says."""
    try:
        stigmem.verify_fact_cid(fact)
    except stigmem.StigmemVerificationError as error:
        return type(error).__name__
    return "accepted"


async def settle(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found


class Drive:
    """One client, sync or async, and what its methods gave."""

    def __init__(self, client: Any, kind: str) -> None:
        self.client = client
        self.entity = ENTITY.format(kind=kind)
        self.session = f"session-{kind}"
        self.told: dict[str, Any] = {}

    async def call(self, label: str, method: str, *args: Any, **named: Any) -> Any:
        try:
            found = await settle(getattr(self.client, method)(*args, **named))
        except stigmem.StigmemError as error:
            found = {"error": type(error).__name__, "text": str(error), "status": getattr(error, "status_code", None)}
        self.told.setdefault(method, {})[label] = plain(found)
        return found

    async def write_values(self) -> None:
        for name, make in VALUES.items():
            fact = await self.call(
                name, "assert_fact", self.entity, f"memory:{name}", make(), "agent:client", scope="public"
            )
            await self.call(name, "get", fact.id)
            altered = fact.model_copy(update={"confidence": 0.25})
            checks = self.told.setdefault("verify_fact_cid", {})
            checks[name] = {"genuine": verdict(fact), "altered": verdict(altered)}
        await self.call(
            "derived",
            "assert_fact",
            self.entity,
            "memory:derived",
            stigmem.string_value("so"),
            "agent:client",
            confidence=0.5,
            scope="company",
            valid_until="2099-01-01T00:00:00Z",
            session_id=self.session,
        )

    async def read(self) -> None:
        await self.call("unknown", "get", "00000000-0000-4000-8000-000000000000")
        page = await self.call("first", "query", entity=self.entity, scope="public", limit=3)
        await self.call("second", "query", entity=self.entity, scope="public", limit=3, cursor=page.cursor)
        await self.call(
            "filtered",
            "query",
            entity=self.entity,
            relation="memory:derived",
            source="agent:client",
            min_confidence=0.4,
            include_contradicted=True,
            include_expired=True,
            after="2020-01-01T00:00:00Z",
            session_id=self.session,
        )

    async def contradict(self) -> None:
        for text in ("yes", "no"):
            await self.call(
                text,
                "assert_fact",
                self.entity,
                "memory:says",
                stigmem.string_value(text),
                "agent:" + text,
                scope="public",
            )
        mine = await self.conflict_of("found")
        winner = mine.fact_a if isinstance(mine.fact_a, str) else mine.fact_a.id
        await self.call(
            "winner", "resolve_conflict", mine.conflict_id, winning_fact_id=winner, resolution_note="settled"
        )
        await self.call("again", "resolve_conflict", mine.conflict_id, winning_fact_id=winner)
        await self.call("resolved", "list_conflicts", status="resolved", limit=500)
        await self.call(
            "gone",
            "retract",
            self.entity,
            "memory:string",
            "public",
            "agent:client",
            value=stigmem.string_value("short"),
        )
        await self.call("after", "query", entity=self.entity, relation="memory:string")

    async def conflict_of(self, label: str) -> Any:
        page = await self.call(label, "list_conflicts", limit=500)
        held = {
            plain(fact)["id"]
            for fact in (
                await settle(
                    self.client.query(
                        entity=self.entity,
                        include_contradicted=True,
                        limit=100,
                    )
                )
            ).facts
        }
        return next(c for c in page.conflicts if (c.fact_a if isinstance(c.fact_a, str) else c.fact_a.id) in held)

    async def node(self) -> None:
        await self.call("node", "node_info")
        await self.call("peers", "federation_status")
        await self.call("nothing", "recall", "xylophone")
        await self.call("nothing", "get_card", "user:somebody")

    async def subscribe(self) -> None:
        batches: list[Any] = []
        if inspect.isasyncgenfunction(type(self.client).subscribe_scope):
            stop: Any = asyncio.Event()
            async for batch in self.client.subscribe_scope("public", batches.append, interval_s=0.05, stop_event=stop):
                batches.append(batch)
                stop.set()
                break
        else:
            stop = threading.Event()

            def take(batch: Any) -> None:
                batches.append(batch)
                stop.set()

            await settle(self.client.subscribe_scope("public", take, interval_s=0.05, stop_event=stop))
        self.told["subscribe_scope"] = {"first": len(batches[0])}


async def drive(client: Any, kind: str) -> dict[str, Any]:
    found = Drive(client, kind)
    await found.write_values()
    await found.read()
    await found.contradict()
    await found.node()
    await found.subscribe()
    close = "aclose" if hasattr(client, "aclose") else "close"
    await found.call("end", close)
    methods = [n for n in dir(type(client)) if not n.startswith("_") and callable(getattr(type(client), n))]
    found.told["not driven"] = [name for name in methods if name not in found.told]
    return found.told


async def main() -> None:
    url, key = sys.argv[1:3]
    told = {
        "sync": await drive(stigmem.StigmemClient(url, key), "sync"),
        "async": await drive(stigmem.AsyncStigmemClient(url, key), "async"),
    }
    try:
        stigmem.StigmemClient(url, "no-such-key".ljust(40, "x")).query()
    except stigmem.StigmemError as error:
        told["stranger"] = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
