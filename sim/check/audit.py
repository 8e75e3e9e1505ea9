"""The audit log is complete: an unbroken chain, and each rejection in it exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sim.check.base import Checker, CheckResult, Commit, Violation
from stigmem.core.audit import AuditRow, ChainHead, event_hash
from stigmem.core.fact import Fact

if TYPE_CHECKING:
    from sim.lab import Lab
    from sim.machine import Machine

__all__ = ["Audit"]


class Audit(Checker):
    """Rows follow each other hash by hash; every local write and every rejection has one row."""

    name = "audit"

    def __init__(self) -> None:
        self._heads: dict[str, ChainHead] = {}
        self.rejections: dict[tuple[str, str, str], str] = {}
        """(node, peer id, fact id) -> reason."""
        self.rows = 0

    def booted(self, lab: Lab, machine: Machine) -> Violation | None:
        if machine.node is not None:
            self._heads[machine.name] = machine.node.state.head
        return None

    def committed(self, lab: Lab, commit: Commit) -> Violation | None:
        name = commit.machine.name
        writes = sum(isinstance(record, Fact) and record.received_from is None for record in commit.records)
        for record in commit.records:
            if isinstance(record, AuditRow):
                writes -= record.event == "fact_write"
                sentence = self._row(name, record)
                if sentence is not None:
                    return self.violation(name, commit.at_ns, sentence)
        if writes:
            return self.violation(name, commit.at_ns, f"{writes} local writes have no audit row")
        return None

    def _row(self, name: str, row: AuditRow) -> str | None:
        self.rows += 1
        head = self._heads.get(name, ChainHead())
        if row.seq != head.seq + 1 or row.previous != head.hash:
            return f"audit row {row.seq} does not follow row {head.seq}"
        digest = event_hash(row.seq, row.event, row.subject, row.fact_id, row.detail, row.ts_us, row.previous)
        if digest != row.hash:
            return f"audit row {row.seq} does not have the hash of its content"
        self._heads[name] = ChainHead(row.seq, row.hash)
        if row.fact_id is None or row.event in ("fact_write", "quarantine_ingest", "instruction_quarantined"):
            return None
        reason = str(msgspec.json.decode(row.detail).get("reason"))
        key = (name, row.subject, row.fact_id)
        if self.rejections.get(key) == reason:
            return f"the rejection of {row.fact_id} ({reason}) was audited twice"
        self.rejections[key] = reason
        return None

    def settled(self, lab: Lab) -> CheckResult:
        for peer in lab.adversaries.values():
            for victim, fact_id, codes in peer.owed():
                found = [r for (node, _, name), r in self.rejections.items() if node == victim and name == fact_id]
                if not any(reason in codes for reason in found):
                    return CheckResult(
                        self.name, False, f"{victim} took a bad fact of {peer.name} ({fact_id}) and audited {found or 'nothing'}"
                    )
        return CheckResult(self.name, True, f"{self.rows} rows chained, {len(self.rejections)} rejections once each")
