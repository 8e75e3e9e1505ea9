"""`stigmem tail`: facts as they arrive, until somebody has seen enough."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import trio
from cyclopts import App, Parameter

from stigmem.core.fact import Fact
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.values import wire_value
from stigmem.host.cli.fact import shown_value
from stigmem.host.cli.speech import Mistake, examples, tell
from stigmem.host.cli.where import Where, answer

if TYPE_CHECKING:
    from stigmem.host.cli.where import Asker

__all__ = ["add_to"]

_OVERLAP_US: Final = 60_000_000
"""How far a poll over HTTP looks back, for facts that come from peers a little late."""
_SEEN_MAX: Final = 50_000
_PAGE: Final = 500


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
    interval: Annotated[float, Parameter(help="Seconds between two looks.")] = 0.5,
    json: Annotated[bool, Parameter(negative=(), help="A JSON object a line.")] = False,
    where: Where | None = None,
) -> None:
    """Follow facts as this node stores them, its own and those of peers.

    On this machine it reads the journal beside the running node and misses
    nothing. With --url it asks for what was written lately, and may miss facts
    that come from peers more than a minute late.
    """
    if interval < 0.05:
        raise Mistake("--interval must be at least 0.05 seconds")
    after_us = None if since is None else _instant(since)
    place = where or Where()
    facts = (
        _from_url(place, entity, scope, after_us, interval)
        if _has_url(place)
        else _from_journal(place.directory, entity, scope, after_us, interval)
    )
    shown = 0
    try:
        async with aclosing(facts):
            async for fact in facts:
                tell(msgspec.json.encode(fact).decode() if json else _line(fact))
                shown += 1
                if limit is not None and shown >= limit:
                    return
    except KeyboardInterrupt:
        return


def _has_url(where: Where) -> bool:
    return bool(where.url or (where.data_dir is None and os.environ.get("STIGMEM_URL")))


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


async def _from_url(
    where: Where, entity: str | None, scope: str | None, after_us: int | None, interval: float
) -> AsyncGenerator[dict[str, Any], None]:
    seen: dict[str, None] = {}
    async with where.connect() as place:
        if after_us is None:
            latest = await _page(place.asker, {"limit": 1, "entity": entity, "scope": scope})
            newest_us = max((parse_us(fact["timestamp"]) for fact in latest), default=0)
            for fact in await _page(place.asker, _query(entity, scope, newest_us - _OVERLAP_US)):
                seen[fact["id"]] = None
        else:
            newest_us = after_us + _OVERLAP_US
        while True:
            fresh = await _page(place.asker, _query(entity, scope, newest_us - _OVERLAP_US))
            for fact in reversed([fact for fact in fresh if fact["id"] not in seen]):
                seen[fact["id"]] = None
                newest_us = max(newest_us, parse_us(fact["timestamp"]))
                yield fact
            while len(seen) > _SEEN_MAX:
                del seen[next(iter(seen))]
            await trio.sleep(interval)


def _query(entity: str | None, scope: str | None, after_us: int) -> dict[str, Any]:
    return {
        "entity": entity, "scope": scope, "after": format_us(max(0, after_us)), "limit": _PAGE,
        "include_contradicted": True,
    }  # fmt: skip


async def _page(asker: Asker, query: dict[str, Any]) -> list[dict[str, Any]]:
    """Every fact that a query finds, newest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = answer(await asker.ask("GET", "/v1/facts", query | {"cursor": cursor}))
        found += page["facts"]
        cursor = page["cursor"]
        if cursor is None or query["limit"] == 1:
            return found


def _line(fact: dict[str, Any]) -> str:
    whence = "" if fact.get("received_from") is None else f"  (from {fact['origin_node_id']})"
    took_back = "" if fact["confidence"] else "  (taken back)"
    return (
        f"{fact['timestamp'][:19]}  {fact['entity']}  {fact['relation']} = {shown_value(fact['value'])}  "
        f"[{fact['scope']}]  {fact['source']}{took_back}{whence}"
    )
