"""`stigmem`, also as `python -m stigmem`.

Nothing is imported before `main` runs: a Ctrl-C while the libraries load ends the command without a traceback, and
standard streams that are closed are replaced before any other file can take their numbers.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

_STOPPED = 130


def main() -> int:
    """Run the command line; the exit status."""
    try:
        _open_standard_streams()
        from stigmem.host.cli import main as run

        return run()
    except KeyboardInterrupt:
        return _STOPPED


def _open_standard_streams() -> None:
    """A process that was started with a standard stream closed would give its number to the next file that it opens,
    and then write its messages into that file."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # takes the lowest free number
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - a descriptor, for life
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main())
