"""`stigmem-sim`, also as `python -m sim`."""

from __future__ import annotations

import sys

from sim.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
