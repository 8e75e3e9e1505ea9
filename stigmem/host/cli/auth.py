"""`stigmem auth`: API keys, made and taken back.

A secret is made here and shown once; the node keeps only what can verify it.
"""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from stigmem.core.scopes import SCOPES
from stigmem.core.timestamps import parse_us
from stigmem.host.cli.speech import Failed, Mistake, examples, say, show_json, show_table, tell
from stigmem.host.cli.where import Place, Where, answer
from stigmem.node.callers import PERMISSIONS

__all__ = ["add_to"]

_SECRET_CHARS_MIN: Final = 32
_DAY_US: Final = 86_400_000_000
_Json = Annotated[bool, Parameter(negative=(), help="As JSON.")]
_Permissions = Annotated[str, Parameter(help=f"Comma-separated: {', '.join(PERMISSIONS)}. None implies another.")]
_Scopes = Annotated[str | None, Parameter(help="Scopes the key may touch, comma-separated; all when absent.")]
_Days = Annotated[int | None, Parameter(help="Days until it expires; the node's longest life when absent.")]


def add_to(app: App) -> None:
    """Register the commands."""
    auth = App(name="auth", help="API keys: who may call this node, and what for.", help_epilogue="", backend="trio")
    auth.command(
        create_key,
        help_epilogue=examples(
            "auth create-key --entity user:ada --permissions read,write",
            "auth create-key --entity agent:indexer --permissions read --scopes public,company --expires-days 30",
            "auth create-key --entity user:ops --permissions admin,federate,admin:federation --json",
        ),
    )
    auth.command(
        bootstrap_key,
        help_epilogue=examples(
            "auth bootstrap-key --key $KEY --permissions admin,read,write,federate",
            "auth bootstrap-key --key - < secret.txt",
        ),
    )
    auth.command(show, name="list", help_epilogue=examples("auth list", "auth list --json"))
    auth.command(revoke, help_epilogue=examples("auth revoke 7d0f0b3c"))
    app.command(auth)


async def create_key(
    *,
    entity: Annotated[str, Parameter(help="Whose key it is: an entity such as user:ada or agent:indexer.")],
    permissions: _Permissions,
    scopes: _Scopes = None,
    expires_days: _Days = None,
    description: Annotated[str, Parameter(help="What it is for.")] = "",
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Make a key and show its secret, once.

    On this machine no key is needed to make one, whether the node runs or not;
    with --url the key given must have the permission admin.
    """
    secret = "sk-" + secrets.token_urlsafe(32)
    async with (where or Where()).connect(new=True) as place:
        made = await _post(place, secret, entity, permissions, scopes, expires_days, description)
    if json:
        show_json(made | {"raw_key": secret})
        return
    say(f"key {made['id']} for {made['entity_uri']}: {', '.join(made['permissions'])}; {_until(made)}")
    say("this is its secret, shown once and kept nowhere:")
    tell(secret)


async def bootstrap_key(
    *,
    key: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True, help="The secret itself, at least 32 characters; - reads it from standard input."
        ),
    ],
    permissions: _Permissions = "admin,read,write",
    entity: Annotated[str, Parameter(help="Whose key it is.")] = "user:operator",
    scopes: _Scopes = None,
    expires_days: _Days = None,
    where: Where | None = None,
) -> None:
    """Make the first key, with a secret of your own.

    Works only while there are no keys, on the machine of the node.
    """
    secret = sys.stdin.readline().strip() if key == "-" else key
    async with (where or Where()).connect(new=True) as place:
        if place.kind == "url":
            raise Mistake("the first key is made on the node's own machine: use --data-dir, not --url")
        keys = await _all_keys(place)
        if keys:
            raise Failed(f"there are keys already ({len(keys)}); use `stigmem auth create-key`")
        made = await _post(place, secret, entity, permissions, scopes, expires_days, "bootstrap")
    say(f"key {made['id']} for {made['entity_uri']}: {', '.join(made['permissions'])}; {_until(made)}")


async def show(*, json: _Json = False, where: Where | None = None) -> None:
    """List keys, without secrets.

    On this machine all of them; with --url those of the key's own entity, and
    with the permission admin those of others that expire within a year.
    """
    async with (where or Where()).connect() as place:
        rows = await _keys(place)
    if json:
        show_json(rows)
        return
    table = [
        (row["id"], row["entity_uri"], ",".join(row["permissions"]), _scopes(row),
         _until(row), row.get("description") or "")
        for row in rows
    ]  # fmt: skip
    show_table(("id", "entity", "permissions", "scopes", "life", "description"), table, empty="there are no keys")


async def revoke(key_id: str, /, *, where: Where | None = None) -> None:
    """Take a key back, at once and for good.

    Parameters
    ----------
    key_id
        Id of the key, as `stigmem auth list` shows it, or the beginning of one.
    """
    async with (where or Where()).connect() as place:
        found = [row for row in await _keys(place) if row["id"].startswith(key_id)]
        if len(found) != 1:
            raise Failed(f"{'several keys begin' if found else 'no key begins'} with {key_id}; see `stigmem auth list`")
        answer(await place.asker.ask("DELETE", f"/v1/auth/keys/{found[0]['id']}"))
    say(f"key {found[0]['id']} of {found[0]['entity_uri']} is revoked")


async def _all_keys(place: Place) -> list[dict[str, Any]]:
    from stigmem.host.control import KEYS_PATH

    keys: list[dict[str, Any]] = answer(await place.asker.ask("GET", KEYS_PATH))
    return keys


async def _keys(place: Place) -> list[dict[str, Any]]:
    if place.kind != "url":
        return await _all_keys(place)
    own = answer(await place.asker.ask("GET", "/v1/auth/keys"))
    others = await place.asker.ask("GET", "/v1/auth/keys/expiring-soon", {"within_days": 365})
    more = answer(others) if others.status != 403 else []
    return list({row["id"]: row for row in (*more, *own)}.values())


async def _post(
    place: Place,
    secret: str,
    entity: str,
    permissions: str,
    scopes: str | None,
    expires_days: int | None,
    description: str,
) -> dict[str, Any]:
    if len(secret) < _SECRET_CHARS_MIN:
        raise Mistake(f"a secret needs at least {_SECRET_CHARS_MIN} characters, this one has {len(secret)}")
    body: dict[str, Any] = {
        "raw_key": secret,
        "entity_uri": entity,
        "permissions": _list(permissions, "permission", PERMISSIONS),
        "description": description,
    }
    if scopes is not None:
        body["allowed_scopes"] = _list(scopes, "scope", SCOPES)
    if expires_days is not None:
        if expires_days < 1:
            raise Mistake("--expires-days must be at least 1")
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=expires_days)).isoformat()
    made: dict[str, Any] = answer(await place.asker.ask("POST", "/v1/auth/keys", None, body))
    return made


def _list(text: str, what: str, known: tuple[str, ...]) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise Mistake(f"{name} is no {what}; there are {', '.join(known)}")
    if not names:
        raise Mistake(f"give at least one {what} of {', '.join(known)}")
    return names


def _scopes(row: dict[str, Any]) -> str:
    named = row.get("allowed_scopes") or SCOPES
    return "all" if len(named) == len(SCOPES) else ",".join(named)


def _until(row: dict[str, Any]) -> str:
    if not row.get("expires_at"):
        return "no end"
    days = -((int(datetime.now(UTC).timestamp() * 1e6) - parse_us(row["expires_at"])) // _DAY_US)  # the last one counts
    return "expired" if days < 1 else f"{days} day{'' if days == 1 else 's'} left"
