"""A failing scenario with everything left out that it fails without.

Greedy deletion: of all scenarios that lack one thing (a fault, a workload, an adversary, a table of a clock or link, a
key of a table, a node with all that names it), the first in order that still fails in the same way is kept, and the
next round begins with it. It ends when nothing more can be left out, or after so many runs. What is left is minimal in
the sense that no single thing can go; two together might.

Example: six faults of which the fifth alone makes a node forget. The first round leaves the first fault out and meets
the violation again, so the first is gone for good, and so on; about as many runs as there were things are enough, since
a round goes on where the one before has stopped.

*In the same way* is the same checker, or, for a run that raised, the same last line of the traceback. A smaller
scenario is another run of the same seed: its chance falls differently, and a failure that needs a rare coincidence may
not shrink at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sim.explore.features import SORTS
from sim.scenario.planning import make_plan
from sim.scenario.reading import BadScenario, typed

__all__ = ["cause_of", "shrink"]

_TABLES: Final = ("network", "disk", "federation")
_KEPT: Final = ("nodes",)
"""Keys of tables that are not simply left out."""
_NAMING: Final = ("node", "issuer", "origin")
_LISTING: Final = ("nodes", "peers", "among", "starved")
Values = dict[str, Any]
Run = Callable[[Values], Mapping[str, Any]]
"""Runs a scenario, and gives the row of it."""


def cause_of(row: Mapping[str, Any]) -> str | None:
    """What a run failed by: a checker's name, or the last line of an error; None for one that did not fail."""
    if "error" in row:
        lines = str(row["error"]).strip().splitlines()
        return f"error: {lines[-1]}" if lines else "error"
    return str(row["failed"][0]) if row["verdict"] == "fail" else None


def shrink(values: Values, row: Mapping[str, Any], run: Run, *, runs_max: int) -> tuple[Values, Mapping[str, Any], int]:
    """The smallest scenario found that fails as this one does, its row, and how many runs it took."""
    wanted, place, runs = cause_of(row), 0, 0
    while True:
        candidates = list(_smaller(values))
        ordered = candidates[place:] + candidates[:place]
        for number, candidate in enumerate(ordered):
            if runs == runs_max:
                return values, row, runs
            runs += 1
            found = run(candidate)
            if cause_of(found) == wanted:
                values, row, place = candidate, found, (place + number) % len(candidates)
                break
        else:
            return values, row, runs


def _smaller(values: Values) -> Iterator[Values]:
    """Every scenario that lacks one thing and can still be run."""
    for candidate in _candidates(values):
        try:
            make_plan(typed(candidate), Path())
        except BadScenario:
            continue
        yield candidate


def _candidates(values: Values) -> Iterator[Values]:
    for table in ("adversary", "fault", "workload", "link", "clock"):
        parts = values.get(table, [])
        for place in range(len(parts)):
            yield {**values, table: parts[:place] + parts[place + 1 :]}
    nodes = values["federation"]["nodes"]
    for node in nodes if len(nodes) > 1 else ():
        yield _without_node(values, node)
    for name in _TABLES:
        for key in values.get(name, {}):
            if key not in _KEPT:
                yield {**values, name: {other: each for other, each in values[name].items() if other != key}}


def _without_node(values: Values, node: str) -> Values:
    """The scenario without a node and without what is about it alone."""
    federation = {**values["federation"], "nodes": [each for each in values["federation"]["nodes"] if each != node]}
    signers = [each for each in federation.get("tombstone_signers", []) if each != node]
    if "tombstone_signers" in federation:
        federation["tombstone_signers"] = signers
    found = {**values, "federation": federation}
    for table in (*SORTS, "link", "clock"):
        kept = [_part_without(part, node) for part in values.get(table, [])]
        found[table] = [part for part in kept if part is not None]
    return found


def _part_without(part: Values, node: str) -> Values | None:
    """A part that no longer names a node; None for one that is about it."""
    if any(part.get(key) == node for key in _NAMING) or node in part.get("between", ()):
        return None
    if any(node in pair for pair in part.get("links", ())):
        return None
    changed = dict(part)
    for key in _LISTING:
        if node in changed.get(key, ()):
            changed[key] = [each for each in changed[key] if each != node]
            if not changed[key]:
                return None
    if "groups" in changed:
        changed["groups"] = [[each for each in group if each != node] for group in changed["groups"]]
    return changed
