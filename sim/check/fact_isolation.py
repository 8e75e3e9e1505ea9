"""One bad fact harms only itself: the good facts of a hostile peer's pages are kept whatever stands beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["FactIsolation"]


class FactIsolation(Checker):
    """Of every page that a victim is known to have stored (it asked for the next) it holds the good facts."""

    name = "bad-facts-alone"

    def __init__(self) -> None:
        self._wiped: dict[str, None] = {}

    def on_disk_wiped(self, name: str) -> None:
        self._wiped[name] = None

    def result(self, simulation: Simulation) -> CheckResult:
        kept = 0
        for peer in simulation.adversaries.values():
            for _, victim, fact_id, codes in peer.due():
                node = simulation.machines[victim].node
                if codes or node is None or victim in self._wiped:
                    continue
                if any(name == fact_id for _, name in node.state.deferred):
                    continue  # the victim's clock is that far behind: it will be kept when it is due
                if not node.state.ledger.find(fact_id):
                    return CheckResult(
                        self.name, False, f"{victim} lost a good fact among the bad of {peer.name} ({fact_id})"
                    )
                kept += 1
        return CheckResult(
            self.name, True, f"{kept} good facts kept among the bad" if simulation.adversaries else "nobody hostile"
        )
