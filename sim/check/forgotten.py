"""Who is forgotten is forgotten everywhere: once everything has settled, every node that a tombstone may reach has it,
has carried it out, and knows nothing that it covers."""

from __future__ import annotations

from sim.check.base import Checker, CheckResult

__all__ = ["Forgotten"]


class Forgotten(Checker):
    """No node knows anything that a tombstone covers which it has, at any time that is looked at; when the run has
    settled, every node has every public tombstone, and its journal nothing that one covers."""

    name = "forgotten"

    def _waiting(self) -> str | None:
        """What is not yet as it must be in the end."""
        nodes = self.observed.nodes.values()
        every = {tombstone.id: tombstone for node in nodes for tombstone in node.tombstones}
        for node in nodes:
            held = {tombstone.id: None for tombstone in node.tombstones}
            for name, tombstone in every.items():
                if name not in held and tombstone.scope in ("public", "*"):
                    return f"{node.name} was not told of {name}"
            if node.unfinished_tombstones:
                return f"{node.name} has not carried out {node.unfinished_tombstones[0].id}"
        return None

    def is_quiet(self) -> bool:
        return self._waiting() is None

    def result(self) -> CheckResult:
        count = 0
        for node in self.observed.nodes.values():
            for tombstone in node.tombstones:
                count += 1
                known = node.ledger.covered(tombstone.entity_uri)
                if known:
                    self.fail(node.name, f"{node.name} knows {len(known)} facts that {tombstone.id} covers")
        waiting = self._waiting() if self.observed.must_converge else None
        if waiting is not None:
            self.fail("", waiting)
        return self.holds_of(count, f"{count} tombstones, carried out on each node that has them")
