"""`stigmem conflicts`: what nodes and people disagree about, and settling it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from stigmem.host.cli.fact import AsOf, Kind, KnownAt, shown_value, tell_point, typed
from stigmem.host.cli.speech import Failed, Mistake, examples, say, show_json, show_table, tell
from stigmem.host.cli.where import Place, Where, answer

__all__ = ["add_to"]

_PREFIX: Final = "stigmem:conflict:"
_Json = Annotated[bool, Parameter(negative=(), help="As JSON.")]


def add_to(app: App) -> None:
    """Register the commands."""
    conflicts = App(name="conflicts", help="Contradictions between facts.", help_epilogue="", backend="trio")
    conflicts.command(show_all, name="list", help_epilogue=examples("conflicts list", "conflicts list --status all"))
    conflicts.command(show, help_epilogue=examples("conflicts show 5b2f1c90"))
    conflicts.command(
        resolve,
        help_epilogue=examples(
            "conflicts resolve 5b2f1c90 --winner 044277a8 --note 'she said so'",
            "conflicts resolve 5b2f1c90 --value 'senior analyst'",
        ),
    )
    app.command(conflicts)


async def show_all(
    *,
    status: Annotated[Literal["unresolved", "resolved", "all"], Parameter(help="Which ones.")] = "unresolved",
    limit: Annotated[int, Parameter(help="At most so many, newest first.")] = 50,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """List conflicts, newest first; those of then, by the last word of their slots."""
    async with (where or Where()).connect() as place:
        found, page = await _pages(place, status, limit, {"as_of": as_of, "known_at": known_at})
    if json:
        show_json(found)
        return
    rows = [
        (row["conflict_id"], row["fact_a"]["entity"], row["fact_a"]["relation"], row["fact_a"]["scope"],
         f"{shown_value(row['fact_a']['value'])} / {shown_value(row['fact_b']['value'])}", len(row["members"]),
         row["status"], row["detected_at"][:19])
        for row in found
    ]  # fmt: skip
    columns = ("id", "entity", "relation", "scope", "values", "facts", "status", "since")
    show_table(columns, rows, empty=f"no {'' if status == 'all' else status + ' '}conflicts")
    tell_point(page)


async def show(
    conflict_id: str,
    /,
    *,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Show one conflict with every fact in it.

    Parameters
    ----------
    conflict_id
        Id of the conflict, or the beginning of one.
    """
    async with (where or Where()).connect() as place:
        point = {"as_of": as_of, "known_at": known_at}
        row = await _one(place, conflict_id, point)
        paths = [f"/v1/facts/{fact_id}" for fact_id in row["members"][:100]]
        members = [answer(await place.asker.ask("GET", path, point)) for path in paths]
    if json:
        show_json(row | {"facts": members})
        return
    first = row["fact_a"]
    tell(f"{row['conflict_id']}: {row['status']}, since {row['detected_at'][:19]}")
    tell(f"{first['entity']} {first['relation']} in scope {first['scope']}")
    if row.get("resolution_note"):
        tell(f"note: {row['resolution_note']}")
    columns = ("fact", "value", "conf.", "source", "from", "written")
    rows = [
        (fact["id"], shown_value(fact["value"]), f"{fact['confidence']:g}", fact["source"],
         fact["origin_node_id"] or "this node", fact["timestamp"][:19])
        for fact in members
    ]  # fmt: skip
    show_table(columns, rows, empty="no facts")
    if len(row["members"]) > len(members):
        say(f"and {len(row['members']) - len(members)} more")


async def resolve(
    conflict_id: str,
    /,
    *,
    winner: Annotated[str | None, Parameter(help="Id of the fact that stands, or the beginning of one.")] = None,
    value: Annotated[str | None, Parameter(help="A new value that stands instead.")] = None,
    type: Annotated[Kind, Parameter(help="Type of the new value.")] = "string",  # noqa: A002
    note: Annotated[str, Parameter(help="Why; it travels with the resolution.")] = "",
    where: Where | None = None,
) -> None:
    """Settle a conflict, here and on every node that hears of it.

    Parameters
    ----------
    conflict_id
        Id of the conflict, or the beginning of one.
    """
    if (winner is None) == (value is None):
        raise Mistake("say what stands: either --winner FACT_ID or --value VALUE")
    body: dict[str, Any] = {"resolution_note": note}
    async with (where or Where()).connect() as place:
        row = await _one(place, conflict_id, {})
        if value is not None:
            body["new_value"] = typed(value, type)
        else:
            body["winning_fact_id"] = _only([m for m in row["members"] if m.startswith(winner or "")], "fact", winner)
        path = f"/v1/conflicts/{row['conflict_id']}/resolve"
        made = answer(await place.asker.ask("POST", path, None, body))
    say(f"resolved by fact {made['resolution_fact_id']}")


async def _pages(
    place: Place, status: str, limit: int, point: dict[str, str | None]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The conflicts, and the last page of them."""
    if limit < 1:
        raise Mistake("--limit must be at least 1")
    found: list[dict[str, Any]] = []
    cursor, page = None, dict[str, Any]()
    while len(found) < limit:
        given = {
            "status": None if status == "all" else status, "limit": min(500, limit - len(found)), "cursor": cursor,
            **point,
        }  # fmt: skip
        page = answer(await place.asker.ask("GET", "/v1/conflicts", given))
        found += page["conflicts"]
        cursor = page["cursor"]
        if cursor is None:
            break
    return found, page


async def _one(place: Place, conflict_id: str, point: dict[str, str | None]) -> dict[str, Any]:
    found = await place.asker.ask("GET", f"/v1/conflicts/{conflict_id}", point)
    if found.status != 404:
        row: dict[str, Any] = answer(found)
        return row
    listed, _ = await _pages(place, "all", 5_000, point)
    rows = {row["conflict_id"]: row for row in listed}
    short = conflict_id.removeprefix(_PREFIX)
    return rows[_only([n for n in rows if n.removeprefix(_PREFIX).startswith(short)], "conflict", conflict_id)]


def _only(names: list[str], what: str, given: str | None) -> str:
    if len(names) != 1:
        raise Failed(f"{f'several {what}s begin' if names else f'no {what} begins'} with {given}")
    return names[0]
