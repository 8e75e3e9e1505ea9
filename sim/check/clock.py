"""Stamps: monotone per node, causal within the drag bound, never dragged ahead, and taken in within the skew bound."""

from __future__ import annotations

from typing import Final

from sim.check.base import Checker, CheckResult, Commit, Commits
from sim.ports import Observed
from stigmem.core.fact import Fact
from stigmem.core.hlc import format_stamp
from stigmem.core.uris import VOID_PREFIX
from stigmem.core.voiding import read_voiding

__all__ = ["Causality", "Drag", "Skew"]

_BURST_MS: Final = 2_000
"""A node that writes more than a thousand facts in a millisecond runs into the next ones by itself."""


class Causality(Checker):
    """A node's own stamps only grow, over crashes and set-back clocks, and exceed every stamp it had taken in
    that was within the drag bound. A node that voids facts of its own may go back behind them, and issues none of their
    stamps again; what voids them is no word, and may be stamped behind words that still count."""

    name = "causality"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._last: dict[str, int] = {}
        """Node -> the stamp that it issued last, of what it has not voided."""
        self._issued: dict[str, set[int]] = {}
        """Node that has voided facts -> every stamp that it issued."""
        self._voided: dict[str, set[str]] = {}
        """Node -> ids of its own facts that it has voided."""
        self._seen: dict[str, int] = {}
        """Node -> the highest stamp that it took in within the bound."""
        self.stamps = 0

    def on_disk_wiped(self, machine: str) -> None:
        for known in (self._last, self._seen, self._issued, self._voided):
            known.pop(machine, None)

    def on_commit(self, commit: Commit) -> None:
        if not commit.facts:
            return
        name, turn_ms = commit.machine, commit.turn_ms
        drag_ms = self.observed.settings(name).drag_ms
        for fact in commit.facts:
            if fact.received_from is not None:
                if turn_ms is not None and fact.wall_ms - turn_ms <= drag_ms:
                    self._seen[name] = max(self._seen.get(name, 0), fact.stamp)
                continue
            self.stamps += 1
            is_word = not fact.entity.startswith(VOID_PREFIX)
            if not is_word:
                self._go_back(name, fact)
            if fact.stamp in self._issued.get(name, ()):
                self.fail(name, f"stamp {format_stamp(fact.stamp)} was issued a second time")
            if name in self._issued:
                self._issued[name].add(fact.stamp)
            if not is_word:
                continue
            if fact.stamp <= self._last.get(name, -1):
                self.fail(name, f"stamp {format_stamp(fact.stamp)} was issued at or below an earlier one")
            if fact.stamp <= self._seen.get(name, -1):
                self.fail(name, f"stamp {format_stamp(fact.stamp)} is not after a stamp that was seen before it")
            self._last[name] = fact.stamp

    def _go_back(self, name: str, record: Fact) -> None:
        """A node voids facts of its own: what counts after that is what else it has said."""
        node, voiding = self.observed.node(name), read_voiding(record)
        if node is None or voiding is None:
            return
        voided = self._voided.setdefault(name, set())
        voided.update(voiding.names)
        own = [fact for fact in node.ledger.log if fact.received_from is None]
        self._issued.setdefault(name, set()).update(fact.stamp for fact in own)
        words = (fact.stamp for fact in own if not (fact.entity.startswith(VOID_PREFIX) or fact.id in voided))
        self._last[name] = max(words, default=-1)

    def result(self) -> CheckResult:
        return self.holds_of(self.stamps, f"{self.stamps} stamps in order")


class Drag(Checker):
    """Nobody pushes a node's own stamps further ahead than the drag bound of where its clock has ever been (S-37)."""

    name = "drag-bound"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._furthest_ms: dict[str, int] = {}
        """Node -> the latest that its clock has ever shown in a commit."""
        self.largest_ms = 0

    def on_commit(self, commit: Commit) -> None:
        name, turn_ms = commit.machine, commit.turn_ms
        if turn_ms is None:
            return
        furthest = self._furthest_ms[name] = max(turn_ms, self._furthest_ms.get(name, turn_ms))
        drag_ms = self.observed.settings(name).drag_ms
        for fact in commit.facts:
            if fact.received_from is None:
                ahead = fact.wall_ms - furthest
                self.largest_ms = max(self.largest_ms, ahead)
                if ahead > drag_ms + _BURST_MS:
                    self.fail(name, f"wrote a stamp {ahead} ms ahead of its clock; the drag bound is {drag_ms} ms")

    def result(self) -> CheckResult:
        return self.holds(f"largest lead of an own stamp: {self.largest_ms / 1000:g} s")


class Skew(Checker):
    """What a node takes in lies within the skew bound of its own clock at that moment."""

    name = "skew-bound"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.largest_ms = 0

    def on_commit(self, commit: Commit) -> None:
        turn_ms = commit.turn_ms
        if turn_ms is None:
            return
        bound = self.observed.settings(commit.machine).skew_future_ms
        for fact in commit.facts:
            if fact.received_from is None:
                continue
            ahead = fact.wall_ms - turn_ms
            self.largest_ms = max(self.largest_ms, ahead)
            if bound and ahead > bound:
                self.fail(commit.machine, f"took in a stamp {ahead} ms ahead of its clock; the bound is {bound} ms")

    def result(self) -> CheckResult:
        return self.holds(f"largest lead taken in: {self.largest_ms / 1000:g} s")
