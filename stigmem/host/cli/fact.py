"""`stigmem fact`: write, read and find facts from a terminal."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from cyclopts import App, Parameter

from stigmem.core.errors import StigmemError
from stigmem.core.trust import TrustClass
from stigmem.host.cli.speech import Mistake, examples, say, show_json, show_table, tell
from stigmem.host.cli.where import Place, Where, answer

__all__ = ["AsOf", "KnownAt", "add_to", "shown_value", "tell_point", "typed"]

_PAGE: Final = 500
_WHOLE_MAX: Final = 1e15
"""Whole numbers below are shown without a point; above, a float does not tell all of them apart."""
_NONE: Final = "no fact matches"
_HOW_TO_SEE: Final = "; --include-contradicted shows them too, and `stigmem conflicts list` what they contradict"
Kind = Literal["string", "text", "number", "boolean", "datetime", "ref", "null", "json"]
Scope = Literal["local", "team", "company", "public"]
_Json = Annotated[bool, Parameter(negative=(), help="As JSON.")]
AsOf = Annotated[
    str | None,
    Parameter(help="As of this ISO-8601 instant or stamp, wherever the facts were then; alike on all nodes."),
]
KnownAt = Annotated[
    str | None,
    Parameter(help="What this node knew when it had stored so many facts (s:120), or at a moment that it named (now)."),
]


def add_to(app: App) -> None:
    """Register the commands."""
    fact = App(name="fact", help="Facts: write one, read one, find many.", help_epilogue="", backend="trio")
    fact.command(
        put,
        help_epilogue=examples(
            "fact put user:ada memory:role analyst --source agent:docs",
            "fact put repo:core memory:stars 4213 --type number --source agent:crawler --scope public",
            "fact put user:ada memory:role analyst --source agent:docs --confidence 0   # takes it back",
        ),
    )
    fact.command(get, help_epilogue=examples("fact get 044277a8-9c23-4b5b-9c58-da4fbc885588"))
    fact.command(history, help_epilogue=examples("fact history 044277a8-9c23-4b5b-9c58-da4fbc885588"))
    fact.command(
        query,
        help_epilogue=examples(
            "fact query --entity user:ada",
            "fact query --relation memory:role --scope company --include-contradicted",
            "fact query --all --json > facts.json",
            "fact query --entity user:ada --as-of 2026-11-20T09:00:00Z",
        ),
    )
    app.command(fact)


async def put(
    entity: str,
    relation: str,
    value: str,
    /,
    *,
    source: Annotated[str, Parameter(help="Who says so: an entity such as agent:docs.")],
    type: Annotated[Kind, Parameter(help="Type of the value.")] = "string",  # noqa: A002
    scope: Annotated[
        Scope | None, Parameter(help="How far it may travel; local, which stays on this node, when absent.")
    ] = None,
    confidence: Annotated[float, Parameter(help="From 0 to 1; 0 takes back what this source said.")] = 1.0,
    valid_until: Annotated[str | None, Parameter(help="ISO-8601 instant at which it expires.")] = None,
    trust_class: Annotated[
        TrustClass | None, Parameter(help="Which kind of knowledge it is; the node derives one when absent.")
    ] = None,
    sign_with: Annotated[
        Path | None, Parameter(help="File with the source's key, as `stigmem agent-key new` makes it: sign all of it.")
    ] = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Assert a fact: ENTITY RELATION VALUE."""
    body: dict[str, Any] = {
        "entity": entity, "relation": relation, "value": typed(value, type), "source": source,
        "scope": scope or "local", "confidence": confidence, "valid_until": valid_until,
        "trust_class": trust_class,
    }  # fmt: skip
    async with (where or Where()).connect() as place:
        if sign_with is not None:
            body = await _signed(place, body, sign_with)
        fact = answer(await place.asker.ask("POST", "/v1/facts", None, body))
    if json:
        show_json(fact)
    else:
        what = f"{fact['entity']} {fact['relation']} = {shown_value(fact['value'])}"
        verb = "stored" if fact["confidence"] else "took back"
        tell(f"{verb} {what} [{fact['scope']}] of {fact['source']}, id {fact['id']}")
    if scope is None and not json:
        say("note: its scope is local, so it stays on this node; --scope team, company or public lets it travel")
    for warning in fact.get("warnings") or ():
        say(f"note: {warning}")
    if fact.get("supersedes"):
        say(f"note: it takes the place of {fact['supersedes']}; see `stigmem fact history {fact['id']}`")
    if fact.get("superseded_by"):
        say(f"note: a later word of the same source, {fact['superseded_by']}, stands instead: this clock is behind")
    if fact.get("contradicted"):
        say("note: it contradicts what is known; see `stigmem conflicts list`")


async def _signed(place: Place, body: dict[str, Any], file: Path) -> dict[str, Any]:
    """The write with the signature of its source, for the node that is asked."""
    from stigmem.host.agent_file import read_agent_file, signed_body

    agent = read_agent_file(file)
    node_id = answer(await place.asker.ask("GET", "/.well-known/stigmem"))["node_id"]
    try:
        return signed_body(body, agent, node_id=node_id, nonce=secrets.token_hex(16), now_us=time.time_ns() // 1_000)
    except StigmemError as error:
        raise Mistake(error.message) from error


async def get(
    fact_id: str,
    /,
    *,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Show one fact, as it stands or stood then.

    Parameters
    ----------
    fact_id
        Id of the fact, or its content id (sha256:...).
    """
    async with (where or Where()).connect() as place:
        fact = answer(await place.asker.ask("GET", f"/v1/facts/{fact_id}", {"as_of": as_of, "known_at": known_at}))
    _show(fact, json=json)


async def history(
    fact_id: str,
    /,
    *,
    all_authors: Annotated[bool, Parameter(negative=(), help="Also what others said about the same.")] = False,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Show what the author of a fact said about the same before and since, newest first.

    Parameters
    ----------
    fact_id
        Id of the fact, or its content id (sha256:...).
    """
    found: list[dict[str, Any]] = []
    async with (where or Where()).connect() as place:
        cursor: str | None = None
        while True:
            given = {
                "all_authors": all_authors, "as_of": as_of, "known_at": known_at, "limit": _PAGE, "cursor": cursor,
            }  # fmt: skip
            page = answer(await place.asker.ask("GET", f"/v1/facts/{fact_id}/history", given))
            found += page["facts"]
            cursor = page["cursor"]
            if cursor is None:
                break
    if json:
        show_json(found)
        return
    columns = ("value", "conf.", "source", "written", "id", "ended by")
    ended = [fact.get("superseded_by") or fact.get("retracted_by") or "" for fact in found]
    rows = [(*_row(fact)[2:3], *_row(fact)[4:], by) for fact, by in zip(found, ended, strict=True)]
    show_table(columns, rows, empty="nothing was said")
    tell_point(page)


async def query(
    *,
    entity: str | None = None,
    relation: str | None = None,
    source: str | None = None,
    scope: Scope | None = None,
    min_confidence: float | None = None,
    trust_class: Annotated[TrustClass | None, Parameter(help="Only this kind of knowledge.")] = None,
    include_contradicted: Annotated[bool, Parameter(negative=(), help="Show members of open conflicts too.")] = False,
    include_superseded: Annotated[
        bool, Parameter(negative=(), help="Show what its author has replaced since too.")
    ] = False,
    include_expired: Annotated[bool, Parameter(negative=(), help="Show expired facts too.")] = False,
    include_retracted: Annotated[bool, Parameter(negative=(), help="Show what was taken back, too.")] = False,
    after: Annotated[str | None, Parameter(help="Only facts written after this ISO-8601 instant.")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    limit: Annotated[int, Parameter(help="At most so many, newest first.")] = 50,
    all: Annotated[bool, Parameter(negative=(), help="All of them, however many.")] = False,  # noqa: A002
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Find facts, newest first."""
    if limit < 1:
        raise Mistake("--limit must be at least 1")
    given: dict[str, Any] = {
        "entity": entity, "relation": relation, "source": source, "scope": scope, "min_confidence": min_confidence,
        "include_contradicted": include_contradicted, "include_superseded": include_superseded,
        "include_expired": include_expired, "after": after, "include_retracted": include_retracted or None,
        "as_of": as_of, "known_at": known_at, "trust_class": trust_class,
    }  # fmt: skip
    found: list[dict[str, Any]] = []
    hidden = 0
    async with (where or Where()).connect() as place:
        cursor: str | None = None
        while all or len(found) < limit:
            size = _PAGE if all else min(_PAGE, limit - len(found))
            page = answer(await place.asker.ask("GET", "/v1/facts", given | {"limit": size, "cursor": cursor}))
            found += page["facts"]
            hidden += page.get("hidden_by_conflict", 0)
            cursor = page["cursor"]
            if cursor is None:
                break
    if json:
        show_json(found)
    else:
        show_table(
            ("entity", "relation", "value", "scope", "conf.", "source", "written", "id"),
            [_row(fact) for fact in found],
            empty=_NONE if not hidden else "",
        )
    if hidden:
        say(f"{len(found)} shown, {hidden} in open conflicts{_HOW_TO_SEE}")
    if cursor is not None and not json:
        say("there are more; --limit or --all shows them")
    if not json:
        tell_point(page)


def tell_point(page: dict[str, Any]) -> None:
    """Say which point of time an answer was about."""
    point = page.get("point_of_time")
    if point is None:
        return
    expiry = f"what had expired is judged at {point['expiry_at']}"
    if "as_of" in point:
        say(f"as of {point['as_of']}; {expiry}")
    else:
        say(f"as this node knew it then; {expiry}; ask for it again with --known-at {point['known_at']}")


def typed(text: str, kind: Kind) -> dict[str, Any]:
    """A value from a word of the command line; raises Mistake."""
    if kind == "null":
        return {"type": "null", "v": None}
    if kind == "boolean":
        if text not in ("true", "false"):
            raise Mistake(f"a boolean is true or false, not {text!r}")
        return {"type": "boolean", "v": text == "true"}
    if kind == "number":
        try:
            number = msgspec.json.decode(text, type=float | int)
        except msgspec.MsgspecError:
            raise Mistake(f"{text!r} is not a number") from None
        return {"type": "number", "v": number}
    if kind == "json":
        try:
            return {"type": "json", "v": msgspec.json.decode(text)}
        except msgspec.MsgspecError as error:
            raise Mistake(f"{text!r} is not JSON: {error}") from None
    return {"type": kind, "v": text}


def shown_value(value: dict[str, Any]) -> str:
    """A typed value as people read it."""
    v = value.get("v")
    if isinstance(v, float) and v.is_integer() and abs(v) < _WHOLE_MAX:
        v = int(v)
    return v if isinstance(v, str) else msgspec.json.encode(v).decode()


def _row(fact: dict[str, Any]) -> tuple[object, ...]:
    mark = " (contradicted)" if fact.get("contradicted") else ""
    if not fact["confidence"]:
        mark = " (taken back)"
    return (
        fact["entity"], fact["relation"], shown_value(fact["value"]) + mark, fact["scope"], f"{fact['confidence']:g}",
        fact["source"], fact["timestamp"][:19], fact["id"],
    )  # fmt: skip


def _show(fact: dict[str, Any], *, json: bool) -> None:
    if json:
        show_json(fact)
        return
    shown = {"value": f"{shown_value(fact['value'])} ({fact['value']['type']})"}
    for name, value in fact.items():
        if value not in (None, [], False, ""):
            tell(f"{name:20} {shown.get(name, value)}")
