"""How the command line speaks: lines, tables and JSON, and its two kinds of failure.

A mistake of the user is exit status 2, anything that did not work 1; either is one sentence on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

__all__ = ["Failed", "Mistake", "examples", "interactive", "say", "show_json", "show_table", "tell"]


_PIPE_COLUMNS: Final = 1_000
"""Wide enough that a row is a line for whatever reads it."""


class Mistake(Exception):
    """What was asked for makes no sense; the text is one sentence for the user."""


class Failed(Exception):
    """It made sense and did not work; `status` is the exit status."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


def examples(*commands: str) -> str:
    """The end of a help text: command lines that work."""
    return "\n\n".join(["Examples:", *(f"  stigmem {command}" for command in commands)])


def tell(text: str) -> None:
    """Answer on stdout, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(sentence: str) -> None:
    """Tell what is wrong, or doubtful, on stderr. That nobody can read it there changes nothing."""
    with suppress(OSError, ValueError):
        sys.stderr.write(sentence + "\n")
        sys.stderr.flush()


def interactive() -> bool:
    """Whether somebody is looking at stderr."""
    return sys.stderr.isatty()


def show_json(value: Any) -> None:
    """A value as JSON for scripts, on stdout."""
    tell(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Rows for people, on stdout; `empty` is said when there are none, unless it is empty itself."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for row in rows:
        # Text, and not str: names may hold brackets that look like markup.
        table.add_row(*(Text("" if cell is None else str(cell), overflow="fold") for cell in row))
    if table.row_count:
        wide = None if sys.stdout.isatty() else _PIPE_COLUMNS
        Console(markup=False, highlight=False, emoji=False, width=wide).print(table)
    elif empty:
        tell(empty)
