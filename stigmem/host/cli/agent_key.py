"""`stigmem agent-key` and `stigmem verify-fact`: keys with which agents sign, and what an export shows by itself."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

from cyclopts import App, Parameter

from stigmem.host.cli.speech import Mistake, examples, say, show_json, show_table
from stigmem.host.cli.where import Place, Where, answer

__all__ = ["add_to"]

_PATH: Final = "/v1/auth/agent-keys"
_Json = Annotated[bool, Parameter(negative=(), help="As JSON.")]
_File = Annotated[Path, Parameter(help="File with the key; its private half is nowhere else.")]
_Days = Annotated[int | None, Parameter(help="Days until it expires; no end when absent.")]


def add_to(app: App) -> None:
    """Register the commands."""
    key = App(name="agent-key", help="Keys by which agents sign what they say.", help_epilogue="", backend="trio")
    key.command(new, help_epilogue=examples("agent-key new scout.key --entity agent:scout --expires-days 90"))
    key.command(show, name="list", help_epilogue=examples("agent-key list", "agent-key list --json"))
    key.command(rotate, help_epilogue=examples("agent-key rotate scout.key --overlap-s 3600"))
    key.command(revoke, help_epilogue=examples("agent-key revoke 0f8f0b52-5d7a-4a0c-9f1b-2f1e3d4c5b6a"))
    app.command(key)
    app.command(
        verify_fact,
        help_epilogue=examples(
            "verify-fact facts.jsonl", "verify-fact facts.jsonl 044277a8-9c23-4b5b-9c58-da4fbc885588"
        ),
    )


async def new(
    file: _File,
    /,
    *,
    entity: Annotated[str, Parameter(help="Whose key it is: an entity such as agent:scout.")],
    description: Annotated[str, Parameter(help="What it is for.")] = "",
    expires_days: _Days = None,
    where: Where | None = None,
) -> None:
    """Make a key, keep its private half in FILE and register its public half.

    `stigmem fact put --sign-with FILE` signs with it. On this machine no API key
    is needed; with --url it is the entity's own, or an administrator's.
    """
    from stigmem.host.agent_file import write_agent_file

    if file.exists():
        raise Mistake(f"{file} exists; a key is not written over another one")
    async with (where or Where()).connect() as place:
        agent = await _registered(place, "", None, _body(entity, description, expires_days))
    write_agent_file(file, agent)
    say(f"key {agent.key_id} of {agent.entity_uri} is registered; its private half is in {file} and nowhere else")


async def show(*, json: _Json = False, where: Where | None = None) -> None:
    """List the keys of this node, newest first; with --url the caller's own, or all of them for administrators."""
    async with (where or Where()).connect() as place:
        found = await place.asker.ask("GET", _PATH, {"everybody": True})
        rows = answer(await place.asker.ask("GET", _PATH) if found.status == 403 else found)
    if json:
        show_json(rows)
        return
    table = [
        (row["id"], row["entity_uri"], row["status"], row["expires_at"] or "no end", row["description"] or "")
        for row in rows
    ]
    show_table(("id", "entity", "status", "ends", "description"), table, empty="there are no keys of agents")


async def rotate(
    file: _File,
    /,
    *,
    overlap_s: Annotated[
        int | None, Parameter(help="Seconds for which the old key stays good; a day when absent.")
    ] = None,
    expires_days: _Days = None,
    where: Where | None = None,
) -> None:
    """Make a key that follows the one in FILE, and take its place there."""
    from stigmem.host.agent_file import read_agent_file, write_agent_file

    old = read_agent_file(file)
    async with (where or Where()).connect() as place:
        query = None if overlap_s is None else {"overlap_s": overlap_s}
        agent = await _registered(place, f"/{quote(old.key_id, safe='')}/rotate", query, _body(None, "", expires_days))
    write_agent_file(file, agent)
    say(f"key {agent.key_id} of {agent.entity_uri} follows {old.key_id}, and is in {file} now")


async def revoke(key_id: str, /, *, where: Where | None = None) -> None:
    """Take a key back, at once and for good: nothing is taken that is signed with it.

    Parameters
    ----------
    key_id
        Id of the key, as `stigmem agent-key list` shows it.
    """
    async with (where or Where()).connect() as place:
        answer(await place.asker.ask("DELETE", f"{_PATH}/{quote(key_id, safe='')}"))
    say(f"key {key_id} is revoked; what it signed before stays attested")


def verify_fact(
    file: Path,
    fact_id: str | None = None,
    /,
    *,
    origin_key: Annotated[
        list[str] | None,
        Parameter(help="NODE=KEY: the public key of an origin, base64url; may be given several times."),
    ] = None,
    json: _Json = False,
) -> int:
    """Verify the facts of an export, or one of them; nothing else is read, and no node need run.

    Exit status 1 when something was changed or a signature does not hold, or the
    fact is not there. Keys are those that the export names.

    Parameters
    ----------
    file
        What `stigmem export` wrote.
    fact_id
        Id of the fact; all of them when absent.
    """
    from stigmem.host.export_verification import verify_export
    from stigmem.host.transfer import BadExport

    try:
        with file.open("rb") as lines:
            findings = verify_export(iter(lines), _keys(origin_key or ()))
    except OSError as error:
        raise Mistake(f"{file} cannot be read: {error.strerror}") from error
    except BadExport as error:
        raise Mistake(f"{file}: {error.message}") from error
    shown = [each for each in findings if fact_id in (None, each.fact.id)]
    if json:
        show_json([
            {"line": each.line, "id": each.fact.id, "source": each.fact.source, "node": each.fact.origin,
             "ids": each.ids, "origin": each.origin, "agent": each.agent, "key_id": each.key_id or None,
             "why": each.why or None}
            for each in shown
        ])  # fmt: skip
    else:
        rows = [(each.fact.id, each.fact.source, each.ids, each.origin, each.agent, each.why) for each in shown]
        show_table(("id", "source", "ids", "origin", "agent", "why"), rows, empty="there is no such fact in it")
    bad = sum(each.is_bad for each in shown)
    attested = sum(each.agent == "verified" for each in shown)
    say(f"{len(shown)} fact{'' if len(shown) == 1 else 's'}, {attested} signed by their agents, {bad} that do not hold")
    return 1 if bad or not shown else 0


def _keys(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        node, _, key = text.partition("=")
        if not node or not key:
            raise Mistake(f"--origin-key is NODE=KEY, not {text!r}")
        found[node] = key.rstrip("=")
    return found


def _body(entity: str | None, description: str, expires_days: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"description": description or None}
    if entity is not None:
        body["entity_uri"] = entity
    if expires_days is not None:
        if expires_days < 1:
            raise Mistake("--expires-days must be at least 1")
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=expires_days)).isoformat()
    return body


async def _registered(place: Place, path: str, query: dict[str, Any] | None, body: dict[str, Any]) -> Any:
    """A new key, as the node took its public half."""
    from stigmem.core.keys import ED25519, encode_base64
    from stigmem.host.agent_file import AgentFile

    seed = secrets.token_bytes(32)
    public_key = ED25519.signer(seed).public_key
    made = answer(await place.asker.ask("POST", _PATH + path, query, body | {"public_key": public_key}))
    return AgentFile(
        entity_uri=made["entity_uri"], key_id=made["id"], public_key=made["public_key"], seed=encode_base64(seed)
    )
