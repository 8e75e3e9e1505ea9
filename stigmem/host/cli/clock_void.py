"""`stigmem clock void`: taking facts out that this node stamped with a wrong clock."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from cyclopts import Parameter

from stigmem.core.timestamps import format_us, parse_us
from stigmem.host.cli.speech import Mistake, say, show_json, show_table, tell
from stigmem.host.cli.where import Place, Where, answer

__all__ = ["instant", "void"]

_SPAN: Final = re.compile(r"(in )?([0-9]{1,6}) ?(s|m|h|d)(?:econds?|inutes?|ours?|ays?)?( ago)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


async def void(
    *,
    since: Annotated[
        str, Parameter(help="Facts stamped from here on: `now`, `2h ago`, `in 5m` or an instant.")
    ] = "now",
    until: Annotated[str | None, Parameter(help="And before here, said in the same ways.")] = None,
    note: Annotated[str, Parameter(help="Why; it travels with the record.")] = "",
    reissue: Annotated[
        bool, Parameter(negative=(), help="State what counted until now once more, as new facts with right stamps.")
    ] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Do it; without this it is only shown.")] = False,
    json: Annotated[bool, Parameter(negative=(), help="As JSON.")] = False,
    where: Where | None = None,
) -> None:
    """Void facts that this node stamped while its clock was wrong, and set its stamps back.

    They stay readable, and count for nothing here and on every peer. Without --since: what is stamped in the future.
    Without --yes nothing changes, and what would go is shown.
    """
    async with (where or Where()).connect() as place:
        now_us = parse_us(answer(await place.asker.ask("GET", "/v1/admin/clock"))["now"])
        body = {
            "since": None if since == "now" else format_us(instant(since, now_us, "--since")),
            "until": None if until is None else format_us(instant(until, now_us, "--until")),
            "note": note,
            "reissue": reissue,
        }
        if not yes:
            _show(answer(await place.asker.ask("POST", "/v1/admin/clock/void", None, body)), since, json=json)
            return
        found = await _all(place, body | {"dry_run": False})
    if json:
        show_json(found)
        return
    again = f", and {found['reissued']} stated again" if reissue else ""
    say(f"{found['facts']} facts are voided by {len(found['records'])} records{again}")
    if found["own_stamps_ahead_s"]:
        say(f"other facts of this node are still ahead: its stamps are by {found['own_stamps_ahead_s']:.0f} s")


async def _all(place: Place, body: dict[str, Any]) -> dict[str, Any]:
    """Ask until nothing is left; the last answer, with the sums of all."""
    facts = reissued = 0
    records: list[str] = []
    scopes: dict[str, int] = {}
    while True:
        found: dict[str, Any] = answer(await place.asker.ask("POST", "/v1/admin/clock/void", None, body))
        facts, reissued, records = facts + found["facts"], reissued + found["reissued"], records + found["records"]
        for scope, count in found["scopes"].items():
            scopes[scope] = scopes.get(scope, 0) + count
        if not found["more"] or not found["facts"]:
            return found | {"facts": facts, "reissued": reissued, "records": records, "scopes": scopes}


def _show(found: dict[str, Any], since: str, *, json: bool) -> None:
    if json:
        show_json(found)
        return
    if not found["facts"]:
        ahead = "no fact of this node is stamped in the future" if since == "now" else "no fact of this node is meant"
        tell(f"{ahead}; nothing would change")
        return
    scopes = ", ".join(f"{count} in {scope}" for scope, count in found["scopes"].items())
    more = "the first " if found["more"] else ""
    tell(f"{more}{found['facts']} facts would count for nothing any more, here and on every peer: {scopes}")
    tell(f"stamped from {found['first']} to {found['last']}")
    rows = [(row["id"], row["entity"], row["relation"], row["source"], row["hlc"]) for row in found["examples"]]
    show_table(("fact", "entity", "relation", "source", "stamp"), rows, empty="")
    if found["facts"] > len(rows):
        tell(f"and {found['facts'] - len(rows)} more")
    say("nothing was changed: the same with --yes does it, and with --reissue states them again")


def instant(text: str, now_us: int, flag: str) -> int:
    """Microseconds since the epoch of what somebody wrote; raises Mistake."""
    text = text.strip().lower()
    if text == "now":
        return now_us
    span = _SPAN.fullmatch(text)
    if span is not None and bool(span[1]) != bool(span[4]):
        seconds = int(span[2]) * _SECONDS[span[3]]
        return now_us + (seconds if span[1] else -seconds) * 1_000_000
    try:
        return parse_us(text.upper())
    except ValueError as error:
        known = "`now`, a span such as `2h ago` or `in 5m`, or an instant such as 2026-12-01T09:00Z"
        raise Mistake(f"{flag} is {known}, not {text!r}") from error
