"""The times of a scenario against each other: what begins too late, what overlaps, what is impossible then.

Faults, workloads and adversaries as intervals of true time; nothing about names or files. A fault that would
undo another's work, or that befalls a machine that is not there, is a mistake of the scenario's author.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from sim.diagnostics.suggestions import article, quoted
from sim.diagnostics.toml_lines import KeyPath
from sim.fault.backup import RestoreBackup
from sim.fault.base import Fault
from sim.fault.restart import Restart
from sim.fault.wipe import Wipe
from sim.scenario.plan import Plan
from sim.scenario.schema_errors import Mistake
from sim.scenario.tables import Scenario
from sim.units import format_duration

__all__ = ["check_overlaps", "check_times"]

_OFF: Final = {
    "crash": "is down", "restart": "is down", "wipe": "is down", "restore-backup": "is down", "join": "has not joined",
    "leave": "has left",
}  # fmt: skip
"""Kinds by which a machine is off for a while: its process is not there to be struck."""
_STOPPED: Final = {
    "pause": "is paused", "clock-freeze": "has a frozen clock", "clock-drift": "has a drifting clock",
    "disk-full": "has a full disk",
}  # fmt: skip
"""Kinds that leave nothing for a second one of the same kind to do."""
_STRIKES_PROCESS: Final = ("crash", "restart", "wipe", "restore-backup", "pause", "leave")
_STRIKES_MACHINE: Final = (
    *_STRIKES_PROCESS, "clock-drift", "clock-freeze", "clock-slew", "clock-step", "clock-strobe", "crash-at-commit",
    "disk-full", "disk-slow",
)  # fmt: skip
_EVERYONE: Final = ""


class _Interval(NamedTuple):
    """A node (or everyone) is in a state from `begin` to before `end` by a fault."""

    fault: int
    kind: str
    node: str
    begin: int
    end: int


def check_times(scenario: Scenario) -> Iterator[Mistake]:
    """Whatever begins or ends outside the time in which things happen."""
    end = scenario.scenario.duration
    for number, fault in enumerate(scenario.fault):
        yield from _begins(("fault", number, "at"), fault.at, end)
        if fault.lasts is not None:
            yield from _ends(("fault", number, "for"), fault.at, fault.lasts, end)
        elif isinstance(fault, Restart | Wipe | RestoreBackup) and fault.down > 0:
            yield from _ends(("fault", number, "down"), fault.at, fault.down, end)
    for number, workload in enumerate(scenario.workload):
        yield from _begins(("workload", number, "start"), workload.start, end)
        if workload.stop is not None and workload.stop <= workload.start:
            yield Mistake(("workload", number, "stop"), f"it would stop at {format_duration(workload.stop)}, "
                          f"before it starts at {format_duration(workload.start)}")  # fmt: skip
        elif workload.stop is not None and workload.stop > end:
            yield Mistake(("workload", number, "stop"), f"{format_duration(workload.stop)} is after the scenario's "
                          f"duration, {format_duration(end)}; leave it out to go on until then")  # fmt: skip
    for number, adversary in enumerate(scenario.adversary):
        yield from _begins(("adversary", number, "at"), adversary.at, end)
        if adversary.lasts is not None:
            yield from _ends(("adversary", number, "for"), adversary.at, adversary.lasts, end)


def _begins(path: KeyPath, at: int, end: int) -> Iterator[Mistake]:
    if at < 0:
        yield Mistake(path, f"{format_duration(at)} is before the beginning; times count from 0s")
    elif at >= end:
        yield Mistake(
            path, f"{format_duration(at)} is not before the end of the scenario's duration, {format_duration(end)}"
        )


def _ends(path: KeyPath, at: int, lasts: int, end: int) -> Iterator[Mistake]:
    if lasts <= 0:
        yield Mistake(path, f"{format_duration(lasts)} is no time at all; it must be longer than 0s")
    elif at < end < at + lasts:
        advice = "leave it out to last until then" if path[-1] == "for" else f"at most {format_duration(end - at)} fit"
        yield Mistake(path, f"it would end at {format_duration(at + lasts)}, after the scenario's duration, "
                      f"{format_duration(end)}, when all faults end; {advice}")  # fmt: skip


def check_overlaps(plan: Plan) -> Iterator[Mistake]:
    """Faults that strike a machine that is not there, or do again what is done already."""
    earlier: list[_Interval] = []
    told: dict[int, None] = {}
    for interval in sorted(_all_intervals(plan), key=lambda each: (each.begin, each.fault)):
        other = next((each for each in earlier if _clash(each, interval)), None)
        if other is None:
            earlier.append(interval)
        elif interval.fault not in told:
            told[interval.fault] = None
            yield Mistake(("fault", interval.fault, "at"), _sentence(plan, interval, other))


def _all_intervals(plan: Plan) -> Iterator[_Interval]:
    for number, fault in enumerate(plan.scenario.fault):
        kind = str(fault.__struct_config__.tag)
        if kind in _OFF or kind in _STRIKES_MACHINE:
            begin, end = _span(fault, kind, plan.scenario.scenario.duration)
            for node in fault.nodes() or (_EVERYONE,):
                yield _Interval(number, kind, node, begin, end)


def _span(fault: Fault, kind: str, duration: int) -> tuple[int, int]:
    span = fault.span()
    if kind == "join":
        return 0, fault.at
    if kind == "leave" or (span is None and not fault.momentary):
        return fault.at, duration
    return fault.at, fault.at + max(1, span or 0)


def _clash(earlier: _Interval, new: _Interval) -> bool:
    if earlier.end <= new.begin or new.end <= earlier.begin or earlier.node not in (new.node, _EVERYONE):
        return False
    if earlier.kind == "leave":
        return new.kind in _STRIKES_MACHINE
    if earlier.kind in _OFF:
        return new.kind in _STRIKES_PROCESS or new.kind == "join"
    return earlier.kind == new.kind and new.kind in _STOPPED


def _sentence(plan: Plan, interval: _Interval, other: _Interval) -> str:
    node = "every node" if other.node == _EVERYONE else f"node {quoted(other.node)}"
    to_the_end, at_once = other.end >= plan.scenario.scenario.duration, other.end - other.begin <= 1
    until = "" if to_the_end or at_once else f" until {format_duration(other.end)}"
    begun = format_duration(plan.scenario.fault[other.fault].at)
    return (
        f"{node} {(_OFF | _STOPPED)[other.kind]}{until} by fault[{other.fault}] ({quoted(other.kind)} at {begun}), "
        f"so {article(quoted(interval.kind))} cannot strike it then; move one of the two"
    )
