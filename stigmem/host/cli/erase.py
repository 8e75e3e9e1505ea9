"""`stigmem erase`: having an entity forgotten, looking first at what would go, and taking that back."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import trio
from cyclopts import App, Parameter

from stigmem.host.cli.speech import Failed, Mistake, examples, show_json, tell
from stigmem.host.cli.where import Place, Where, answer

__all__ = ["add_to"]

_WAITED_S = 60.0
_PAUSE_S = 0.2


def add_to(app: App) -> None:
    """Register the command."""
    app.command(
        erase,
        help_epilogue=examples(
            "erase --entity user:ada --dry-run",
            "erase --entity user:ada --reason 'she asked' --yes",
            "erase --entity user:ada --legal-hold --yes   # hidden, and kept",
            "erase --revoke tomb_7d9a2c44-1111-4222-8333-944455556666",
        ),
    )


async def erase(
    *,
    entity: Annotated[str | None, Parameter(help="Who or what is to be forgotten.")] = None,
    scope: Annotated[str, Parameter(help="In which scope: local, team, company, public, or * for all.")] = "*",
    reason: Annotated[str | None, Parameter(help="Why; it is kept and told to peers.")] = None,
    legal_hold: Annotated[bool, Parameter(negative=(), help="Show it to nobody, and erase nothing.")] = False,
    dry_run: Annotated[bool, Parameter(negative=(), help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Do it; what is erased cannot be brought back.")] = False,
    revoke: Annotated[str | None, Parameter(help="Id of a tombstone of this node to take back instead.")] = None,
    json: Annotated[bool, Parameter(negative=(), help="As JSON.")] = False,
    where: Where | None = None,
) -> None:
    """Have an entity forgotten, on this node and on peers that trust it for that.

    Facts about it, by it and with it as their value are shown to nobody from that
    moment on, and leave the data directory within a minute. Backups, exports and
    files that `stigmem recover` set aside are yours to delete.
    """
    if (entity is None) == (revoke is None):
        raise Mistake("name either --entity or --revoke")
    async with (where or Where()).connect() as place:
        if revoke is not None:
            target = f"/v1/tombstones/{quote(revoke, safe='')}/revoke"
            found = answer(await place.asker.ask("POST", target, body={"reason": reason}))
            show_json(found) if json else tell(f"{revoke} counts no more; what it erased stays erased")
            return
        body = {"entity_uri": entity, "scope": scope, "reason": reason, "legal_hold": legal_hold}
        preview = answer(await place.asker.ask("POST", "/v1/tombstones", body=body | {"dry_run": True}))
        if dry_run or not yes:
            show_json(preview) if json else _tell(preview)
            if not dry_run:
                raise Mistake("nothing was changed; say --yes to go on, or --dry-run to look only")
            return
        made = answer(await place.asker.ask("POST", "/v1/tombstones", body=body))
        if not legal_hold:
            await _carried_out(place, made)
        show_json(made) if json else _tell_done(preview, made)


def _tell(preview: dict[str, Any]) -> None:
    what = "would be erased" if preview["would_erase"] else "would be hidden and kept"
    tell(f"{preview['facts']} facts {what} in scope {preview['scope']}")
    tell(
        f"of them {preview['as_entity']} about {preview['entity_uri']}, {preview['as_source']} by it, "
        f"{preview['as_value']} with it as their value, {preview['waiting_in_quarantine']} that wait in quarantine"
    )
    for name, count in preview["by_scope"].items():
        tell(f"  {name}: {count}")
    for name, count in preview["other_records"].items():
        tell(f"other records that name it: {count} {name}")


def _tell_done(preview: dict[str, Any], made: dict[str, Any]) -> None:
    done = "hidden" if made["legal_hold"] else "erased"
    tell(f"{preview['facts']} facts {done} under {made['id']}")


async def _carried_out(place: Place, made: dict[str, Any]) -> None:
    """Wait until nothing of it is left in the data directory."""
    target = f"/v1/tombstones/{quote(made['entity_uri'], safe='')}"
    with trio.move_on_after(_WAITED_S):
        while True:
            if made["id"] in answer(await place.asker.ask("GET", target))["finished"]:
                return
            await trio.sleep(_PAUSE_S)
    raise Failed(
        f"{made['id']} is known and its facts are shown to nobody, and they are not out of the data directory yet: the "
        "node goes on trying; is the disk full, or does another program read the journal?"
    )
