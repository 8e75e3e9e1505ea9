"""What drawn runs met: the kinds they held, the codes by which things were turned away, the events nodes audited.

A fault that is injected and never felt proves nothing, so the table ends with what no run ever met. Nobody promises
that everything can be met here: a code of the HTTP interface alone is none of a federation's, and such names stay in
the list for whoever asks how much of a node the explorer reaches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sim.explore.features import SORTS, all_features
from sim.scenario.metrics import REJECTIONS
from stigmem.core.audit import EVENTS

__all__ = ["GROUPS", "REACH", "Met", "Tally", "parts_of"]

_EVENTS: Final = tuple(sorted(EVENTS))
REACH: Final[list[dict[str, Any]]] = [{"event": event} for event in _EVENTS]
"""`[[reach]]` tables by which every run counts its audit events (`sim.scenario.tables.Reach`)."""
GROUPS: Final = ("rejection code", "audit event", "workload", "fault", "adversary", "verdict")


class Met(NamedTuple):
    """One thing that runs may meet: in how many runs, and how often over all of them."""

    group: str
    name: str
    runs: int
    times: int


def parts_of(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(sort, kind) of every part of a scenario's plain values."""
    for sort in SORTS:
        for part in values.get(sort, ()):
            yield sort, part["kind"]


class Tally:
    """Counts over runs."""

    def __init__(self) -> None:
        self._runs: Counter[tuple[str, str]] = Counter()
        self._times: Counter[tuple[str, str]] = Counter()

    def add(self, values: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Count a run: its scenario, and the row that a worker gave for it."""
        found: Counter[tuple[str, str]] = Counter(parts_of(values))
        found.update({("rejection code", code): count for code, count in row.get("rejections", {}).items()})
        events = zip(_EVENTS, row.get("reach", ()), strict=False)
        found.update({("audit event", event): int(count) for event, count in events if count})
        found["verdict", row["verdict"]] += 1
        self._times.update(found)
        self._runs.update(found.keys())

    def table(self) -> list[Met]:
        """Everything that was or could have been met, in groups, the rarest first."""
        known = [("rejection code", code) for code in REJECTIONS] + [("audit event", event) for event in _EVENTS]
        known += [(sort, kind) for sort, _, kind in (each.partition(" ") for each in all_features()) if sort in SORTS]
        every = dict.fromkeys([*known, *self._times])
        found = [Met(*each, self._runs[each], self._times[each]) for each in every]
        return sorted(found, key=lambda each: (GROUPS.index(each.group), each.runs, each.name))

    def never(self) -> dict[str, list[str]]:
        """What no run met, by group."""
        found: dict[str, list[str]] = {}
        for each in self.table():
            if not each.runs:
                found.setdefault(each.group, []).append(each.name)
        return found
