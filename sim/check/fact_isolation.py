"""One bad fact harms only itself: the good facts of a hostile peer's pages are kept whatever stands beside them."""

from __future__ import annotations

from sim.check.base import Checker, CheckResult
from sim.ports import Observed

__all__ = ["FactIsolation"]


class FactIsolation(Checker):
    """Of every page that a victim is known to have stored (it asked for the next) it holds the good facts."""

    name = "bad-facts-alone"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._wiped: dict[str, None] = {}

    def on_disk_wiped(self, machine: str) -> None:
        self._wiped[machine] = None

    def result(self) -> CheckResult:
        kept = 0
        for peer, victim, fact_id, codes in self.observed.obligations():
            node = self.observed.node(victim)
            if codes or node is None or victim in self._wiped:
                continue
            if any(name == fact_id for _, name in node.deferred):
                continue  # the victim's clock is that far behind: it will be kept when it is due
            if not node.ledger.find(fact_id):
                self.fail("", f"{victim} lost a good fact among the bad of {peer} ({fact_id})")
            kept += 1
        if not self.observed.hostile:
            return self.vacuous("nobody hostile")
        return self.holds_of(kept, f"{kept} good facts kept among the bad")
