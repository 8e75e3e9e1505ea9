"""`stigmem mcp`: this machine's memory for a program that speaks the Model Context Protocol."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import App, Parameter

from stigmem.host.cli.speech import Failed, Mistake, examples, tell
from stigmem.host.cli.where import Where
from stigmem.host.mcp import install as installing
from stigmem.host.mcp.install import ClientName
from stigmem.host.settings import HostSettings

__all__ = ["add_to"]

_DIRECTORY: Final = "stigmem"


def add_to(app: App) -> None:
    """Register the commands."""
    memory = App(
        name="mcp",
        help="A node as a memory for models.",
        help_epilogue=examples("mcp", "mcp --data-dir org-south", "mcp install cursor", "mcp install cursor --write"),
        backend="trio",
    )
    memory.default(mcp)
    memory.command(install)
    app.command(memory)


def install(
    client: Annotated[ClientName, Parameter(help="Which program's list of servers.")],
    *,
    write: Annotated[bool, Parameter(negative=(), help="Write it; without this it is only shown.")] = False,
    where: Where | None = None,
) -> None:
    """Put `stigmem mcp` on the list of servers of a program.

    Shows the file as it would become. With --write it becomes so, and what was
    there before is kept beside it. --data-dir and --url are put on the list
    too; an API key is not: set STIGMEM_API_KEY for the program.
    """
    place = where or Where()
    chosen = {"--data-dir": place.data_dir and place.data_dir.resolve(), "--url": place.url}
    arguments = [word for flag, value in chosen.items() if value for word in (flag, str(value))]
    try:
        planned = installing.plan(client, arguments, Path.home())
    except installing.Unreadable as error:
        raise Failed(str(error)) from error
    if write:
        installing.write(planned)
        tell(f"wrote {planned.path}; start the program again")
        return
    tell(f"{planned.path} would become:\n\n{planned.after}")
    tell("nothing was written; run it again with --write")


async def mcp(*, where: Where | None = None) -> None:
    """Serve a node as a memory for a model, over standard input and output.

    Without options it is the node of this user's own data directory: the one
    that runs there, or one in this process, which the next of these commands
    takes over when it ends. With --url it is a node that runs anywhere.
    """
    if find_spec("mcp") is None:
        raise Mistake("this command needs the extra [mcp]: pip install 'stigmem-trio[mcp]'")
    from stigmem.host.logs import configure_logs
    from stigmem.host.mcp.memory import SharedDirectory
    from stigmem.host.mcp.server import make_server

    configure_logs("console", "warning")  # standard output is the protocol's
    place = where or Where()
    url = place.url or (os.environ.get("STIGMEM_URL") if place.data_dir is None else None)
    if url:
        async with place.connect() as found:
            await make_server(found.asker).run_stdio_async()
        return
    memory = SharedDirectory(_settings(place))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(memory.run)
        await make_server(memory).run_stdio_async()
        nursery.cancel_scope.cancel()


def _settings(place: Where) -> HostSettings:
    """The settings of a node for this user alone: any free port of this machine, and keys for who comes by it."""
    from platformdirs import user_data_path

    settings = place.settings
    chosen: dict[str, Any] = {"host": "127.0.0.1", "port": 0}
    if place.data_dir is None and not os.environ.get("STIGMEM_DATA_DIR"):
        chosen["data_dir"] = Path(user_data_path(_DIRECTORY))
    return replace(settings, **chosen)
