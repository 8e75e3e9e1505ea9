"""Stamps: monotone per node, causal within the drag bound, never dragged ahead, and taken in within the skew bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.check.base import Checker, CheckResult, Commit
from sim.diagnostics.errors import Violation
from stigmem.core.hlc import format_stamp

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Causality", "Drag", "Skew"]

_BURST_MS: Final = 2_000
"""A node that writes more than a thousand facts in a millisecond runs into the next ones by itself."""


class Causality(Checker):
    """A node's own stamps only grow, over crashes and set-back clocks, and exceed every stamp it had taken in
    that was within the drag bound."""

    name = "causality"
    every_commit = False

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self.stamps = 0

    def on_disk_wiped(self, name: str) -> None:
        self._last.pop(name, None)
        self._seen.pop(name, None)

    def on_commit(self, simulation: Simulation, commit: Commit) -> Violation | None:
        name = commit.machine.name
        turn_ms = commit.turn_ms
        for record in commit.facts:
            if record.received_from is not None:
                if turn_ms is not None and record.wall_ms - turn_ms <= commit.machine.settings.drag_ms:
                    self._seen[name] = max(self._seen.get(name, 0), record.stamp)
                continue
            self.stamps += 1
            text = format_stamp(record.stamp)
            if record.stamp <= self._last.get(name, -1):
                return self.violation(name, commit.at_ns, f"stamp {text} was issued at or below an earlier one")
            if record.stamp <= self._seen.get(name, -1):
                return self.violation(name, commit.at_ns, f"stamp {text} is not after a stamp that was seen before it")
            self._last[name] = record.stamp
        return None

    def result(self, simulation: Simulation) -> CheckResult:
        return CheckResult(self.name, True, f"{self.stamps} stamps in order")


class Drag(Checker):
    """Nobody pushes a node's own stamps further ahead than the drag bound of where its clock has ever been (S-37)."""

    name = "drag-bound"
    every_commit = False

    def __init__(self) -> None:
        self._furthest_ms: dict[str, int] = {}
        self.largest_ms = 0

    def on_commit(self, simulation: Simulation, commit: Commit) -> Violation | None:
        name, turn_ms = commit.machine.name, commit.turn_ms
        if turn_ms is None:
            return None
        furthest = self._furthest_ms[name] = max(turn_ms, self._furthest_ms.get(name, turn_ms))
        drag_ms = commit.machine.settings.drag_ms
        for record in commit.facts:
            if record.received_from is None:
                ahead = record.wall_ms - furthest
                self.largest_ms = max(self.largest_ms, ahead)
                if ahead > drag_ms + _BURST_MS:
                    return self.violation(
                        name,
                        commit.at_ns,
                        f"wrote a stamp {ahead} ms ahead of its clock; the drag bound is {drag_ms} ms",
                    )
        return None

    def result(self, simulation: Simulation) -> CheckResult:
        return CheckResult(self.name, True, f"largest lead of an own stamp: {self.largest_ms / 1000:g} s")


class Skew(Checker):
    """What a node takes in lies within the skew bound of its own clock at that moment."""

    name = "skew-bound"
    every_commit = False

    def __init__(self) -> None:
        self.largest_ms = 0

    def on_commit(self, simulation: Simulation, commit: Commit) -> Violation | None:
        turn_ms = commit.turn_ms
        bound = commit.machine.settings.skew_future_ms
        for record in commit.facts:
            if record.received_from is None or turn_ms is None:
                continue
            ahead = record.wall_ms - turn_ms
            self.largest_ms = max(self.largest_ms, ahead)
            if bound and ahead > bound:
                return self.violation(
                    commit.machine.name,
                    commit.at_ns,
                    f"took in a stamp {ahead} ms ahead of its clock; the bound is {bound} ms",
                )
        return None

    def result(self, simulation: Simulation) -> CheckResult:
        return CheckResult(self.name, True, f"largest lead taken in: {self.largest_ms / 1000:g} s")
