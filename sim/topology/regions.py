"""Tables of regions: published round-trip times between places, as one-way delays.

Reads one form of CSV file and says what is wrong in it by line and column; which node is where is the
scenario's to say.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Final

from sim.diagnostics.errors import Misfit
from sim.diagnostics.suggestions import quoted

__all__ = ["REGIONS_KEY", "read_regions"]

REGIONS_KEY: Final = "network.latency.file"
_SAME_REGION_NS: Final = 250_000
_ROUND_TRIP_MS_MAX: Final = 3_600_000
"""An hour: whatever is above it is not in milliseconds."""


def read_regions(path: Path) -> dict[tuple[str, str], int]:
    """One-way nanoseconds per ordered pair of regions, from a CSV of round-trip times in ms.

    First row: `from` and the target regions; then a row per region. Lines that begin with # are remarks; an
    empty cell is left out, except from a region to itself, which is a quarter of a millisecond. Raises Misfit.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = [
            (number, next(csv.reader([line])))
            for number, line in enumerate(lines, 1)
            if line.strip() and line[0] != "#"
        ]
    except (UnicodeDecodeError, csv.Error):
        raise Misfit(REGIONS_KEY, f"{path.name} is not a CSV table in UTF-8") from None
    except OSError as error:
        raise Misfit(REGIONS_KEY, f"the file {path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if len(rows) < 2:
        raise Misfit(
            REGIONS_KEY, f"{path.name} holds no table of regions: a row with the names of regions, then a row for each"
        )
    targets = [target.strip() for target in rows[0][1][1:]]
    twice = next((name for name in targets if targets.count(name) > 1), None)
    if twice is not None:
        raise Misfit(REGIONS_KEY, f"{path.name}: line {rows[0][0]}: two columns are called {quoted(twice)}")
    found: dict[tuple[str, str], int] = {}
    for number, (source, *cells) in rows[1:]:
        if len(cells) != len(targets):
            raise Misfit(REGIONS_KEY, f"{path.name}: line {number}: {len(cells)} times for {len(targets)} regions")
        if (source.strip(), source.strip()) in found:
            raise Misfit(REGIONS_KEY, f"{path.name}: line {number}: a second row for {quoted(source.strip())}")
        for target, cell in zip(targets, cells, strict=True):
            if cell.strip():
                found[source.strip(), target] = _one_way(cell, f"{path.name}: line {number}, column {quoted(target)}")
        found.setdefault((source.strip(), source.strip()), _SAME_REGION_NS)
    return found


def _one_way(cell: str, place: str) -> int:
    try:
        milliseconds = float(cell)
    except ValueError:
        milliseconds = math.nan
    if not 0 <= milliseconds <= _ROUND_TRIP_MS_MAX:
        raise Misfit(REGIONS_KEY, f"{place}: {quoted(cell.strip())} is not a round-trip time in milliseconds; "
                     "there is a row and a column for each region")  # fmt: skip
    return round(milliseconds * 1_000_000 / 2)
