"""`stigmem-sim`, also as `python -m sim`.

Nothing is imported before `main` runs: a Ctrl-C while the libraries load ends the command without a traceback.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_STOPPED = 130


def main() -> int:
    """Run the command line; the exit status."""
    try:
        from sim.cli import main as run

        return run()
    except KeyboardInterrupt:
        return _STOPPED


if __name__ == "__main__":
    sys.exit(main())
