"""What a study varies: from `[[sweep]]` tables, or from Python, to a list of whole scenarios.

    [[sweep]]
    key = "network.loss"            # a key by its tables; an entry of a list by its number, a fault by its name
    values = [0.0, 0.1, 0.3]        # or first, last and count for values at equal distances

    [[sweep]]
    key = "fault.cut.for"
    values = ["1m", "10m"]
    together = "a"                  # sweeps of one group advance in step; all others are crossed

Every cell is read as a file would be, so that a value that cannot stand at its key is refused, before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sim.scenario.changes import told_with, with_key
from sim.scenario.planning import make_plan
from sim.scenario.reading import BadScenario, plain_values, typed
from sim.scenario.required_data import DataAbsent
from sim.scenario.schema_errors import Mistake
from sim.scenario.tables import Scenario, Sweep
from sim.units import format_duration, parse_duration

__all__ = ["Cell", "axes_of", "cells_of"]


class Cell(NamedTuple):
    """One point of a sweep: the values of the keys that are varied, and the plain values of the scenario with them."""

    values: dict[str, Any]
    scenario: dict[str, Any]


def axes_of(sweeps: Sequence[Sweep]) -> list[dict[str, list[Any]]]:
    """The sweeps of a file as axes: each a group of keys whose values advance together. Raises BadScenario."""
    groups: dict[str, dict[str, list[Any]]] = {}
    for number, sweep in enumerate(sweeps):
        group = groups.setdefault(f"={sweep.together}" if sweep.together else str(number), {})
        group[sweep.key] = _values(sweep, number)
        if len({len(values) for values in group.values()}) > 1:
            raise BadScenario(
                [
                    Mistake(
                        ("sweep", number),
                        f"sweeps of one group have equally many values; this one has {len(group[sweep.key])}",
                    )
                ]
            )
    return list(groups.values())


def cells_of(
    scenario: Scenario, axes: Sequence[Mapping[str, Sequence[Any]]], *, folder: Path, allow_plugins: bool = False
) -> list[Cell]:
    """Every combination of the axes, the last varying fastest. Raises BadScenario for a value that cannot stand."""
    plain = plain_values(scenario)
    for several in ("sweep", "variant"):
        plain.pop(several, None)
    found = []
    for point in product(*(range(len(next(iter(axis.values())))) for axis in axes)):
        values = {key: axis[key][place] for axis, place in zip(axes, point, strict=True) for key in axis}
        try:
            changed = plain
            for key, value in values.items():
                changed = with_key(changed, key, value)
            make_plan(typed(changed, folder=folder, allow_plugins=allow_plugins), folder)
        except DataAbsent:
            raise
        except BadScenario as error:
            where = () if not scenario.sweep or not values else ("sweep",)
            raise BadScenario([told_with(values, each, where) for each in error.mistakes[:1]]) from None
        found.append(Cell(values, changed))
    return found


def _values(sweep: Sweep, number: int) -> list[Any]:
    if sweep.values is not None:
        if sweep.first is not None or not sweep.values:
            raise BadScenario([Mistake(("sweep", number), "give some values, or first, last and count")])
        return list(sweep.values)
    if sweep.first is None or sweep.last is None or sweep.count is None:
        raise BadScenario([Mistake(("sweep", number), "a sweep needs values, or first, last and count")])
    if isinstance(sweep.first, str) and isinstance(sweep.last, str):
        try:
            first, last = parse_duration(sweep.first), parse_duration(sweep.last)
        except ValueError as error:
            raise BadScenario([Mistake(("sweep", number), str(error))]) from None
        return [format_duration(round(each)) for each in np.linspace(first, last, sweep.count)]
    if isinstance(sweep.first, str) or isinstance(sweep.last, str):
        raise BadScenario([Mistake(("sweep", number), "first and last are both numbers or both durations")])
    found = [float(each) for each in np.linspace(sweep.first, sweep.last, sweep.count)]
    whole = isinstance(sweep.first, int) and isinstance(sweep.last, int) and all(each.is_integer() for each in found)
    return [int(each) for each in found] if whole else found
