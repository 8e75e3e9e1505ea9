"""What a run was made with: which Python, which release, which commit of the source, which machine.

The commit is read from the files of the checkout that the code was imported from, and is null where there is none, as
with an installed package. Nothing of this is part of a digest.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Any

import stigmem

__all__ = ["made_with", "revision_of"]


@cache
def made_with() -> dict[str, Any]:
    """The members of run.json that say so."""
    return {
        "python": platform.python_version(),
        "version": stigmem.__version__,
        "revision": revision_of(Path(stigmem.__file__).resolve().parent.parent),
        "platform": platform.platform(),
    }


def revision_of(checkout: Path) -> str | None:
    """The commit that is checked out in a folder, or None where that cannot be told."""
    try:
        git = checkout / ".git"
        if git.is_file():  # of a linked working tree
            git = checkout / git.read_text().removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        common = git / "commondir"
        shared = git / common.read_text().strip() if common.is_file() else git
        for place in (git / name, shared / name):
            if place.is_file():
                return place.read_text().strip()
        rows = (line.split() for line in (shared / "packed-refs").read_text().splitlines())
        return next((row[0] for row in rows if row[1:] == [name]), None)
    except OSError:
        return None
