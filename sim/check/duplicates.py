"""No fact is stored twice on one node."""

from __future__ import annotations

from sim.check.base import Boot, Checker, CheckResult, Commit, Commits
from sim.ports import Observed

__all__ = ["Duplicates"]


class Duplicates(Checker):
    """(origin, id) is unique on a node, however often a page comes."""

    name = "no-duplicates"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._held: dict[str, dict[tuple[str, str], None]] = {}
        self.count = 0

    def on_boot(self, boot: Boot) -> None:
        node = self.observed.node(boot.machine)
        facts = node.ledger.log if node is not None else []
        held: dict[tuple[str, str], None] = {(fact.origin, fact.id): None for fact in facts}
        self._held[boot.machine] = held
        if len(held) < len(facts):
            self.fail(boot.machine, f"{len(facts) - len(held)} facts are on the disk twice")

    def on_commit(self, commit: Commit) -> None:
        held = self._held.setdefault(commit.machine, {})
        for fact in commit.facts:
            self.count += 1
            key = (fact.origin, fact.id)
            if key in held:
                self.fail(commit.machine, f"fact {fact.id} was stored twice")
            held[key] = None

    def result(self) -> CheckResult:
        return self.holds_of(self.count, f"{self.count} facts stored, each once a node")
