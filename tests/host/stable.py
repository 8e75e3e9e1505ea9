"""A program that keeps nodes at hand: `python -m tests.host.stable`. For each line on standard input, the arguments of
a `stigmem` command as JSON, it forks a process of its own that runs the command, and prints that process's id.

Imports are done once, here, and a node starts in hundredths of a second; no thread runs before the fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from stigmem.host.cli import main
from stigmem.host.run import deployed
from tests.host.steps import die_at

__all__ = ["keep"]


def keep() -> None:
    """Fork for each line until there are no more."""
    assert deployed  # imported, with all that it imports, before the first fork
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks for what became of them
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            words = json.loads(line)
            if words[0] == "--die-at":
                die_at(words[1], int(words[2]))
                words = words[3:]
            os._exit(main(words))
        sys.stdout.write(f"process {process}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    keep()
