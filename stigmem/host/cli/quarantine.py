"""`stigmem quarantine`: facts of peers that wait, and letting them in or not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from stigmem.host.cli.fact import shown_value
from stigmem.host.cli.speech import Failed, Mistake, examples, say, show_json, show_table, tell
from stigmem.host.cli.where import Place, Where, answer

__all__ = ["add_to"]

_PER_PAGE = 1_000
_Json = Annotated[bool, Parameter(negative=(), help="As JSON.")]
_Reason = Annotated[str, Parameter(help="Why; it is kept and in the audit log.")]


def add_to(app: App) -> None:
    """Register the commands."""
    quarantine = App(name="quarantine", help="Facts of peers that wait.", help_epilogue="", backend="trio")
    quarantine.command(
        show_all, name="list", help_epilogue=examples("quarantine list", "quarantine list --status rejected")
    )
    quarantine.command(show, help_epilogue=examples("quarantine show 044277a8"))
    quarantine.command(admit, help_epilogue=examples("quarantine admit 044277a8 --reason 'asked them'"))
    quarantine.command(reject, help_epilogue=examples("quarantine reject 044277a8 --reason 'nobody of us asked'"))
    app.command(quarantine)


async def show_all(
    *,
    status: Annotated[
        Literal["pending", "promoted", "rejected", "expired", "all"], Parameter(help="Which ones.")
    ] = "pending",
    limit: Annotated[int, Parameter(help="At most so many, newest first.")] = 100,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """List what was held back, newest first."""
    if limit < 1:
        raise Mistake("--limit must be at least 1")
    async with (where or Where()).connect() as place:
        found = await _items(place, None if status == "all" else status, limit)
    if json:
        show_json(found)
        return
    rows = [
        (row["fact_id"], row["entity"], row["relation"], row["scope"], row["source"], row["received_from"] or "",
         row["quarantine_reason"], row["quarantine_status"])
        for row in found
    ]  # fmt: skip
    columns = ("fact", "entity", "relation", "scope", "source", "from", "why", "status")
    show_table(columns, rows, empty=f"nothing {'was held back' if status == 'all' else 'is ' + status}")


async def show(fact_id: str, /, *, json: _Json = False, where: Where | None = None) -> None:
    """Show one fact that was held back, with all that it says.

    Parameters
    ----------
    fact_id
        Id of the fact, or the beginning of one.
    """
    async with (where or Where()).connect() as place:
        found = answer(await place.asker.ask("GET", f"/v1/quarantine/{await _one(place, fact_id)}"))
    if json:
        show_json(found)
        return
    row = found["item"]
    tell(f"{row['fact_id']}: {row['quarantine_status']}, held back as {row['quarantine_reason']}")
    tell(f"{row['entity']} {row['relation']} = {shown_value(found['fact']['value'])} in scope {row['scope']}")
    tell(f"said by {row['source']} at {row['origin_node_id']}, served by {row['received_from']}")
    if row["expires_at"]:
        tell(f"arrived {row['arrived_at'][:19]}, can be admitted until {row['expires_at'][:19]}")
    if row["quarantine_acted_by"]:
        note = f": {row['quarantine_note']}" if row["quarantine_note"] else ""
        tell(f"decided by {row['quarantine_acted_by']} {row['quarantine_acted_at'][:19]}{note}")


async def admit(fact_id: str, /, *, reason: _Reason = "", where: Where | None = None) -> None:
    """Let a fact that waits take effect. An instruction becomes one.

    Parameters
    ----------
    fact_id
        Id of the fact, or the beginning of one.
    """
    await _decide(fact_id, "admit", reason, where)


async def reject(fact_id: str, /, *, reason: _Reason = "", where: Where | None = None) -> None:
    """Turn down a fact that waits, for good.

    Parameters
    ----------
    fact_id
        Id of the fact, or the beginning of one.
    """
    await _decide(fact_id, "reject", reason, where)


async def _decide(fact_id: str, verb: str, reason: str, where: Where | None) -> None:
    async with (where or Where()).connect() as place:
        path = f"/v1/quarantine/{await _one(place, fact_id)}/{verb}"
        made = answer(await place.asker.ask("POST", path, {"reason": reason or None}))
    say(f"{made['action']}: {made['fact_id']}")


async def _items(place: Place, status: str | None, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        query = {"quarantine_status": status, "limit": min(_PER_PAGE, limit - len(found)), "offset": len(found)}
        page = answer(await place.asker.ask("GET", "/v1/quarantine", query))
        found += page["items"]
        if not page["items"] or len(found) >= page["total"]:
            break
    return found


async def _one(place: Place, fact_id: str) -> str:
    """The id of the fact that was held back whose id is this or begins with it."""
    ids: list[str] = [row["fact_id"] for row in await _items(place, None, 10_000)]
    names = list(dict.fromkeys(name for name in ids if name.startswith(fact_id)))
    if fact_id in names:
        return fact_id
    if len(names) != 1:
        what = "several facts that were held back have ids that begin" if names else "no fact that was held back begins"
        raise Failed(f"{what} with {fact_id}")
    return names[0]
