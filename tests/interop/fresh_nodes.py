"""`python -m tests.interop.fresh_nodes FOLDER`: for every line on standard input a fresh node of ours, whose address is
printed. The node before it is stopped. What the published suite needs, which wants an empty node for every test."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from stigmem.host.logs import configure_logs
from stigmem.host.run import deployed
from stigmem.host.settings import HostSettings

__all__ = ["serve"]


async def serve(folder: Path) -> None:
    """Nodes without authentication, one after the other, until standard input ends."""
    number = 0
    wanted = await trio.to_thread.run_sync(sys.stdin.readline)
    while wanted:
        number += 1
        settings = HostSettings(data_dir=folder / str(number), port=0, auth_required=False)
        async with deployed(settings) as node:
            print(f"http://127.0.0.1:{node.port}", flush=True)
            wanted = await trio.to_thread.run_sync(sys.stdin.readline)


if __name__ == "__main__":
    configure_logs("console", "error")
    trio.run(serve, Path(sys.argv[1]))
