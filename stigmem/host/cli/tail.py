"""`stigmem tail`: facts as they arrive, until somebody has seen enough."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import trio
from cyclopts import App, Parameter

from stigmem.core.fact import Fact
from stigmem.core.timestamps import parse_us
from stigmem.core.values import wire_value
from stigmem.host.cli.fact import shown_value
from stigmem.host.cli.speech import Mistake, examples, say, tell
from stigmem.host.cli.where import Disconnected, Follower, Where

__all__ = ["add_to"]


def add_to(app: App) -> None:
    """Register the command."""
    app.command(
        tail,
        help_epilogue=examples(
            "tail", "tail --entity user:ada --json", "tail --since 2026-01-01T00:00:00Z --scope public"
        ),
    )


async def tail(
    *,
    scope: Annotated[Literal["local", "team", "company", "public"] | None, Parameter(help="Only this scope.")] = None,
    entity: Annotated[str | None, Parameter(help="Only about this entity.")] = None,
    since: Annotated[str | None, Parameter(help="Begin with facts written after this ISO-8601 instant.")] = None,
    limit: Annotated[int | None, Parameter(help="Stop after so many facts.")] = None,
    interval: Annotated[
        float, Parameter(help="Seconds between two looks into a journal, or two tries to connect.")
    ] = 0.5,
    json: Annotated[bool, Parameter(negative=(), help="A JSON object a line.")] = False,
    where: Where | None = None,
) -> None:
    """Follow facts as this node stores them, its own and those of peers.

    It misses nothing: a connection that broke is made again and goes on after
    the last fact. Of a node on this machine that does not run it shows what
    the journal holds, and then what is written into it.
    """
    if interval < 0.05:
        raise Mistake("--interval must be at least 0.05 seconds")
    after_us = None if since is None else _instant(since)
    place = where or Where()
    shown = 0
    try:
        async with place.running() as node:
            facts = (
                _from_journal(place.directory, entity, scope, after_us, interval)
                if node is None
                else _from_node(node, {"entity": entity, "scope": scope, "after": since}, interval)
            )
            async with aclosing(facts):
                async for fact in facts:
                    tell(msgspec.json.encode(fact).decode() if json else _line(fact))
                    shown += 1
                    if limit is not None and shown >= limit:
                        return
    except KeyboardInterrupt:
        return


def _instant(text: str) -> int:
    try:
        return parse_us(text)
    except ValueError:
        raise Mistake(f"--since takes an ISO-8601 instant such as 2026-01-01T00:00:00Z, not {text!r}") from None


async def _from_journal(
    directory: Path, entity: str | None, scope: str | None, after_us: int | None, interval: float
) -> AsyncGenerator[dict[str, Any], None]:
    from stigmem.core.uris import normalise_filter
    from stigmem.host.datadir import database_of, judged, read_only
    from stigmem.host.inspection import read_facts

    wanted = None if entity is None else normalise_filter(entity)
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        seq = 0 if after_us is not None else _last(connection)
        while True:
            if _last(connection) > seq:
                for fact in read_facts(directory, seq):
                    seq = fact.seq
                    late = after_us is not None and fact.timestamp_us <= after_us
                    other = scope not in (None, fact.scope) or wanted not in (None, fact.entity)
                    if not (late or other or fact.quarantine or fact.is_system):
                        yield _plain(fact)
                after_us = None  # from here on whatever is stored is new, whenever it was written
            await trio.sleep(interval)


def _last(connection: Any) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM facts").fetchone()[0])


def _plain(fact: Fact) -> dict[str, Any]:
    return {
        "id": fact.id, "entity": fact.entity, "relation": fact.relation,
        "value": wire_value(fact.kind, fact.text, fact.interpret_as), "scope": fact.scope, "source": fact.source,
        "confidence": fact.confidence, "timestamp": fact.timestamp, "valid_until": fact.valid_until,
        "origin_node_id": fact.origin, "received_from": fact.received_from,
    }  # fmt: skip


async def _from_node(node: Follower, query: dict[str, Any], interval: float) -> AsyncGenerator[dict[str, Any], None]:
    cursor: str | None = None
    while True:
        try:
            async with aclosing(node.events(query, cursor)) as events:
                async for event in events:
                    if event.data is not None:
                        yield msgspec.json.decode(event.data)
                    cursor = event.id or cursor
        except Disconnected as lost:
            if cursor is None:
                raise  # it was never there
            say(f"{lost}; trying again")
        await trio.sleep(interval)


def _line(fact: dict[str, Any]) -> str:
    whence = "" if fact.get("received_from") is None else f"  (from {fact['origin_node_id']})"
    took_back = "" if fact["confidence"] else "  (taken back)"
    return (
        f"{fact['timestamp'][:19]}  {fact['entity']}  {fact['relation']} = {shown_value(fact['value'])}  "
        f"[{fact['scope']}]  {fact['source']}{took_back}{whence}"
    )
