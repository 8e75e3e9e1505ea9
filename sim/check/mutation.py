"""No fact changes on its way: every node holds it as its origin wrote it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult, Commit, Violation
from stigmem.core.fact import Fact

if TYPE_CHECKING:
    from sim.lab import Lab

__all__ = ["Mutation"]


class Mutation(Checker):
    """Content, stamp, time, expiry, provenance and scope are equal on all nodes."""

    name = "no-mutation"

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], int] = {}
        self.compared = 0

    def committed(self, lab: Lab, commit: Commit) -> Violation | None:
        for record in commit.records:
            if isinstance(record, Fact) and record.origin in lab.name_of_node:
                found = _print(record)
                first = self._written.setdefault((record.origin, record.id), found)
                self.compared += 1
                if first != found:
                    origin = lab.name_of_node[record.origin]
                    return self.violation(
                        commit.machine.name, commit.at_ns, f"fact {record.id} of {origin} differs from what {origin} wrote"
                    )
        return None

    def settled(self, lab: Lab) -> CheckResult:
        return CheckResult(self.name, True, f"{self.compared} copies compared")


def _print(fact: Fact) -> int:
    parts = (
        fact.stamp, fact.entity, fact.relation, fact.scope, fact.source, fact.kind, fact.text, fact.interpret_as,
        fact.confidence, fact.timestamp_us, fact.valid_until, fact.derived_from,
    )  # fmt: skip
    return zlib.crc32(repr(parts).encode())
