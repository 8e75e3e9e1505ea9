"""How the command line speaks: plain lines to stdout and stderr, and consoles for what has a shape."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console_for", "examples", "say", "tell"]


def examples(*commands: str) -> str:
    """The end of a help text: command lines that work."""
    return "\n\n".join(["Examples:", *(f"  stigmem-sim {command}" for command in commands)])


def tell(text: str) -> None:
    """Answer on stdout."""
    sys.stdout.write(text + "\n")


def say(sentence: str) -> None:
    """Tell what is wrong, or doubtful, on stderr."""
    sys.stderr.write(sentence + "\n")


def console_for(*, stderr: bool = False) -> Console:
    """A console that takes every text as it is: names may hold brackets."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)
