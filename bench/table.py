"""The one table that `python -m bench` prints, and the words for numbers in it.

A line says what was measured, what came out, how that compares with something measured in the same run (or with
real time), and what was aimed at. Nothing here fails because a machine is slow.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from typing import Final, NamedTuple

from rich.table import Table

__all__ = ["Line", "machine", "table_of"]


_CAPTION: Final = "Ratios are of things measured in this run, or of simulated to processor time."


class Line(NamedTuple):
    """One row: texts as they are shown. `part` is the heading it stands under."""

    part: str
    what: str
    measured: str
    ratio: str
    aim: str


def machine() -> str:
    """The machine in general terms."""
    cores = os.cpu_count() or 1
    return (
        f"{cores} core{'s' * (cores > 1)} ({platform.machine()}), {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def table_of(lines: Iterable[Line]) -> Table:
    """All lines under their headings."""
    table = Table(title=f"Speed on {machine()}", title_justify="left", caption_justify="left", caption=_CAPTION)
    table.add_column("what", overflow="fold")
    for name in ("measured", "ratio", "aim"):
        table.add_column(name, justify="right", overflow="fold")
    part = ""
    for line in lines:
        if line.part != part:
            part = line.part
            table.add_section()
            table.add_row(f"[bold]{part}[/bold]")
        table.add_row(f"  {line.what}", line.measured, line.ratio, line.aim)
    return table
