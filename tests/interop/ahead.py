"""Runs the command line of ours with a wall clock that is ahead: `python -m tests.interop.ahead SECONDS serve ...`.

For the one thing that no setting can do: a peer with a wrong clock, whose stamps drag a reference node's clock along.
"""

from __future__ import annotations

import sys
import time

__all__: list[str] = []


def main() -> None:
    """Move the clock, then be `stigmem`."""
    ahead_ns, true_ns = int(sys.argv.pop(1)) * 1_000_000_000, time.time_ns
    time.time_ns = lambda: true_ns() + ahead_ns
    from stigmem.host.cli import main as stigmem

    sys.exit(stigmem(sys.argv[1:]))


if __name__ == "__main__":
    main()
