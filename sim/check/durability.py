"""No acknowledged fact is lost: not by a crash, not by a restart, not on the way to those who should have it."""

from __future__ import annotations

from sim.check.base import Boot, Checker, CheckResult
from sim.ports import Observed

__all__ = ["Durability"]


class Durability(Checker):
    """An answer of 201 means that the fact is on that machine's disk, now and after every crash."""

    name = "durability"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._acknowledged: dict[str, dict[str, None]] = {}
        self._set_aside: dict[str, dict[str, None]] = {}
        """Machine -> what was acknowledged there before its disk was lost, or an old one put in its place."""
        self.count = 0

    def on_acknowledged(self, machine: str, fact_id: str) -> None:
        self._acknowledged.setdefault(machine, {})[fact_id] = None
        self.count += 1
        seen = self.observed
        origins = (machine, *seen.federation.nodes)
        if all(seen.visibility.number(origin, fact_id) is None for origin in origins):
            self.fail(machine, f"fact {fact_id} was acknowledged before it was durable")

    def on_disk_wiped(self, machine: str) -> None:
        self._set_aside.setdefault(machine, {}).update(self._acknowledged.pop(machine, {}))

    def on_boot(self, boot: Boot) -> None:
        lost = self._lost(boot.machine)
        if lost is not None:
            self.fail(boot.machine, f"fact {lost} was acknowledged and is gone after boot {boot.number}")

    def _lost(self, machine: str) -> str | None:
        node = self.observed.node(machine)
        if node is None:
            return None
        ledger = node.ledger
        there = (name for name in self._acknowledged.get(machine, {}) if not ledger.is_id_of_husk(name))
        return next((name for name in there if not ledger.find(name)), None)

    def result(self) -> CheckResult:
        for machine in self.observed.nodes:
            lost = self._lost(machine)
            if lost is not None:
                self.fail(machine, f"fact {lost} was acknowledged and is gone at the end")
        gone = sum(self._count_gone(machine) for machine in self._set_aside)
        rest = f", all there but for {gone} that went with a disk" if gone else ", all there"
        return self.holds_of(self.count, f"{self.count} acknowledged writes{rest}")

    def _count_gone(self, machine: str) -> int:
        """Acknowledged facts that a node lost with its disk, and does not hold again."""
        node = self.observed.node(machine)
        before = self._set_aside[machine]
        return len(before) if node is None else sum(not node.ledger.find(name) for name in before)
