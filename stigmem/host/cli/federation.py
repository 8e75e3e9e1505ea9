"""`stigmem federation`: peers, from the first handshake to the last, and checkpoints of how far they were read."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from stigmem.core.keys import fingerprint
from stigmem.core.scopes import SCOPES
from stigmem.host.cli.peers import COLUMNS, named, peer_line, short
from stigmem.host.cli.speech import Failed, Mistake, examples, say, show_json, show_table, tell
from stigmem.host.cli.transfer import named_once
from stigmem.host.cli.where import Place, Where, answer
from stigmem.host.identity import read_identity

__all__ = ["add_to"]

_NONE: Final = "there are no peers; see `stigmem federation register-peer --help`"
_Json = Annotated[bool, Parameter(negative=(), help="As JSON.")]


def add_to(app: App) -> None:
    """Register the commands."""
    federation = App(
        name="federation", help="Peers: the nodes that this one exchanges facts with.", help_epilogue="", backend="trio"
    )
    federation.command(identity, help_epilogue=examples("federation identity --only fingerprint"))
    federation.command(
        register_peer,
        help_epilogue=examples(
            "federation register-peer --remote-url https://south.example --scopes company,public --api-key $KEY"
        ),
    )
    federation.command(peers, help_epilogue=examples("federation peers", "federation peers --json"))
    federation.command(approve, help_epilogue=examples("federation approve sha256:9b2e...", "federation approve 3f1c"))
    federation.command(revoke, help_epilogue=examples("federation revoke 3f1c"))
    federation.command(
        cursor_export,
        help_epilogue=examples("federation cursor-export cursors.json", "federation cursor-export > cursors.json"),
    )
    federation.command(cursor_import, help_epilogue=examples("federation cursor-import cursors.json"))
    app.command(federation)


def identity(
    *,
    only: Annotated[Literal["node_id", "public_key", "fingerprint"] | None, Parameter(help="Just this.")] = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Show who this node is: what a person at another node compares."""
    found = read_identity((where or Where()).settings)
    if found is None:
        raise Failed("this node has no key yet; it is made when `stigmem serve` starts for the first time")
    if only is not None:
        tell(getattr(found, only))
        return
    if json:
        show_json({"node_id": found.node_id, "public_key": found.public_key, "fingerprint": found.fingerprint})
        return
    tell(f"node         {found.node_id}")
    tell(f"public key   {found.public_key}")
    tell(f"fingerprint  {found.fingerprint}")


async def register_peer(
    *,
    remote_url: Annotated[str, Parameter(help="The node to register at.")],
    local_url: Annotated[str | None, Parameter(help="Address of this node, as the other reaches it.")] = None,
    scopes: Annotated[str, Parameter(help="Scopes that this node allows on the link.")] = "company,public",
    api_key: Annotated[
        str | None, Parameter(help="Key of the other node with the permission federate. [STIGMEM_API_KEY]")
    ] = None,
    json: _Json = False,
    data_dir: Annotated[Path | None, Parameter(help="Data directory of this node.")] = None,
    config: Annotated[Path | None, Parameter(help="Settings file.")] = None,
) -> int:
    """Register this node at another one.

    The other node fetches this node's address while it decides, so this node
    must be running. Then a person there approves; and for facts to flow, both
    nodes must have registered at each other. Exit status 0 when the other node
    waits for that approval or has given it, 1 when it refused.
    """
    from stigmem.host.cli.handshake import register

    wanted = tuple(dict.fromkeys(part.strip() for part in scopes.split(",") if part.strip()))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise Mistake(f"--scopes takes some of {', '.join(SCOPES)}" + (f", not {unknown[0]}" if unknown else ""))
    here = Where(data_dir=data_dir, config=config)
    outcome = await register(here, remote_url.rstrip("/"), local_url, wanted, api_key)
    if json:
        show_json({"status": outcome.status, "peer_id": outcome.peer_id, "fingerprint": outcome.fingerprint})
    else:
        for line in outcome.lines():
            say(line)
    return 0 if outcome.good else 1


async def peers(*, json: _Json = False, where: Where | None = None) -> None:
    """List peers and how things stand with them.

    Every command takes the short names shown here. --json has the whole ids, the
    fingerprints and the number of failures by reason.
    """
    async with (where or Where()).connect() as place:
        rows = await _rows(place)
    if json:
        show_json(rows)
        return
    show_table(COLUMNS, [peer_line(row, datetime.now(UTC)) for row in rows], empty=_NONE)
    for row in rows:
        exchange = row.get("exchange") or {}
        if exchange.get("awaits_approval"):
            tell(f"{short(row['peer_id'])}: its operator has not approved this node yet; that is seen within seconds")
        error = exchange.get("last_error")
        if error is not None:
            tell(f"{short(row['peer_id'])}: the last pull brought no page ({error['code']}): {error['message']}")


async def approve(
    peer_id: str,
    /,
    *,
    fingerprint: Annotated[
        str | None, Parameter(help="Fingerprint of the peer's key, as its operator told you by another way.")
    ] = None,
    where: Where | None = None,
) -> None:
    """Approve a peer that waits: facts may flow from now on.

    Named by the fingerprint that its operator told you, a peer is approved at
    once. Named otherwise, the fingerprint is asked for, so that it is compared
    and not just accepted.

    Parameters
    ----------
    peer_id
        Fingerprint of the peer's key, or its id, address, or the id of its node; or the beginning of one of the ids.
    """
    async with (where or Where()).connect() as place:
        row = await _peer(place, peer_id)
        named = peer_id if peer_id == row.get("pubkey_fingerprint") else None
        given = fingerprint or named or _ask_fingerprint(row)
        path = f"/v1/federation/peers/{row['peer_id']}/approve"
        answer(await place.asker.ask("POST", path, None, {"pubkey_fingerprint": given}))
    say(f"{row['node_id']} at {row['node_url']} is approved for {', '.join(row['allowed_scopes'])}")


async def revoke(peer_id: str, /, *, where: Where | None = None) -> None:
    """Stop exchanging facts with a peer.

    Parameters
    ----------
    peer_id
        Id or address of the peer, or id of its node, or the beginning of one of the ids.
    """
    async with (where or Where()).connect() as place:
        row = await _peer(place, peer_id)
        answer(await place.asker.ask("POST", f"/v1/federation/peers/{row['peer_id']}/revoke"))
    say(f"{row['node_id']} at {row['node_url']} is revoked")


def cursor_export(
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    out: Annotated[str | None, Parameter(help="The same, as an option.")] = None,
    data_dir: Annotated[Path | None, Parameter(help="Data directory of the node.")] = None,
    config: Annotated[Path | None, Parameter(help="Settings file.")] = None,
) -> None:
    """Write down how far each peer has been read.

    Works while the node runs. Take it before the backup it belongs to: a
    checkpoint that is ahead of the data would skip facts, and is refused.

    Parameters
    ----------
    file
        File to write, readable by you alone; - for standard output, as when none is named.
    """
    from stigmem.host.checkpoint import export_cursors

    text = export_cursors(Where(data_dir=data_dir, config=config).directory)
    target = named_once(file, out)
    if target == "-":
        tell(text)
        return
    from stigmem.host.files import write_private

    write_private(Path(target), (text + "\n").encode())
    say(f"wrote {target}")


async def cursor_import(
    file: Path,
    /,
    *,
    force: Annotated[
        bool, Parameter(negative=(), help="Overwrite cursors that are set, and take a checkpoint ahead of the data.")
    ] = False,
    data_dir: Annotated[Path | None, Parameter(help="Data directory of the node.")] = None,
    config: Annotated[Path | None, Parameter(help="Settings file.")] = None,
) -> int:
    """Go on reading peers from where a checkpoint says.

    For a node whose data was restored from a backup; the node must be stopped.
    Exit status 3, and nothing changed, when the checkpoint is ahead of what the
    data holds: reading on from there would lose what lies between.

    Parameters
    ----------
    file
        What `stigmem federation cursor-export` wrote.
    """
    from stigmem.host.checkpoint import import_cursors, read_checkpoint

    checkpoint = read_checkpoint(file)
    where = Where(data_dir=data_dir, config=config)
    _ = where.directory
    outcome = await import_cursors(where.settings, checkpoint, force=force)
    for line in outcome.lines:
        say(line)
    return outcome.status


async def _rows(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer(await place.asker.ask("GET", "/v1/federation/peers"))["peers"]
    return found


async def _peer(place: Place, name: str) -> dict[str, Any]:
    rows = await _rows(place)
    found = named(rows, name)
    if len(found) != 1:
        raise Failed(f"{'several peers are' if found else 'no peer is'} called {name}; see `stigmem federation peers`")
    return found[0]


def _ask_fingerprint(row: dict[str, Any]) -> str:
    shown = row.get("pubkey_fingerprint") or fingerprint(row.get("public_key", ""))
    if not sys.stdin.isatty():
        raise Mistake(
            "name the peer by the fingerprint that its operator told you; `stigmem federation identity` shows it there"
        )
    say(f"{row['node_id']} at {row['node_url']} wants to exchange {', '.join(row['allowed_scopes'])}")
    say(f"its key's fingerprint, as it was presented here: {shown}")
    say("compare it with what `stigmem federation identity` shows at the other node, and type it or its last 8 digits:")
    typed = sys.stdin.readline().strip()
    if len(typed) >= 8 and shown.endswith(typed):
        return str(shown)
    raise Failed("that is not the fingerprint; nothing was approved")
