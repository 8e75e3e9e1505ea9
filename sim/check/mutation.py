"""No fact changes: not on its way, not on a disk, not in memory; every node holds it as its origin wrote it."""

from __future__ import annotations

from sim.check.base import Boot, Checker, CheckResult, Commit, Commits
from sim.ports import Observed
from stigmem.core.erasure import is_husk
from stigmem.core.fact import Fact

__all__ = ["Mutation"]


class Mutation(Checker):
    """Content, stamp, time, expiry, provenance and scope are equal on all nodes, in every commit, after every boot
    and at the end. Facts of hostile origins too, if their ids commit to their content."""

    name = "no-mutation"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._written: dict[tuple[str, str], int] = {}
        self.compared = 0

    def on_commit(self, commit: Commit) -> None:
        for fact in commit.facts:
            if not self._unchanged(fact):
                self.fail(commit.machine, self._sentence(fact))

    def on_boot(self, boot: Boot) -> None:
        changed = self._changed(boot.machine)
        if changed is not None:
            self.fail(boot.machine, f"{self._sentence(changed)}, since boot {boot.number}")

    def result(self) -> CheckResult:
        for machine in self.observed.nodes:
            changed = self._changed(machine)
            if changed is not None:
                self.fail(machine, self._sentence(changed))
        return self.holds_of(self.compared, f"{self.compared} copies compared")

    def _changed(self, machine: str) -> Fact | None:
        node = self.observed.node(machine)
        facts = node.ledger.log if node is not None else []
        return next((fact for fact in facts if not self._unchanged(fact)), None)

    def _unchanged(self, fact: Fact) -> bool:
        if is_husk(fact):
            return True
        # An uncertified id of a hostile origin may stand for different facts on different nodes.
        if not (fact.certified or fact.origin in self.observed.names):
            return True
        self.compared += 1
        found = _print(fact)
        return self._written.setdefault((fact.origin, fact.id), found) == found

    def _sentence(self, fact: Fact) -> str:
        origin = self.observed.names.get(fact.origin, fact.origin)
        return f"fact {fact.id} of {origin} is not what {origin} wrote"


def _print(fact: Fact) -> int:
    # A hash is compared with another of this process only, where equal texts have equal hashes.
    return hash((
        fact.stamp, fact.entity, fact.relation, fact.scope, fact.source, fact.kind, fact.text, fact.interpret_as,
        fact.confidence, fact.timestamp_us, fact.valid_until, fact.derived_from,
    ))  # fmt: skip
