"""`stigmem`, also as `python -m stigmem`."""

from __future__ import annotations

import sys

from stigmem.host.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
