"""The audit log is complete: an unbroken chain, a row for each write and each page, each rejection exactly once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sim.check.base import Boot, Checker, CheckResult, Commit, Commits
from sim.observation.visibility import NEVER
from sim.ports import Observed
from stigmem.core import limits
from stigmem.core.audit import AuditRow, ChainHead, row_hash
from stigmem.core.fact import Fact
from stigmem.core.records import DeadLetter, Record

__all__ = ["Audit"]


class Audit(Checker):
    """Rows follow each other hash by hash, over crashes too. What a commit stores or refuses has its rows in that
    commit, and no rejection has two."""

    name = "audit"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._heads: dict[str, ChainHead] = {}
        self._reasons: dict[tuple[str, str, str], dict[str, None]] = {}
        """(node, peer, name of what was refused) -> reasons on that node's disk. The name is that of the dead letter: a
        fact's id, or `origin:` and a node id when it was a key that a peer vouched for."""
        self._ever: dict[tuple[str, str], dict[str, None]] = {}
        """(node, fact id) -> reasons, also those that went with a wiped disk."""
        self._refused_of: dict[tuple[str, str], int] = {}
        self.rows = 0

    def on_disk_wiped(self, machine: str) -> None:
        self._heads.pop(machine, None)
        self._reasons = {key: reasons for key, reasons in self._reasons.items() if key[0] != machine}
        self._refused_of = {key: count for key, count in self._refused_of.items() if key[0] != machine}

    def on_boot(self, boot: Boot) -> None:
        name = boot.machine
        known = self._heads.get(name, ChainHead())
        for batch in boot.read_disk():
            for record in batch:
                # A batch may have survived a crash that nobody was told of.
                if isinstance(record, AuditRow) and record.seq > known.seq:
                    self._row(name, record)
        node = self.observed.node(name)
        head = node.audit_head if node is not None else known
        if head.seq < known.seq or (head.seq == known.seq and head.hash != known.hash):
            self.fail(name, f"the log had {known.seq} rows and has {head.seq} after boot {boot.number}")

    def on_commit(self, commit: Commit) -> None:
        name = commit.machine
        for record in commit.records:
            if isinstance(record, AuditRow):
                self._row(name, record)
            elif isinstance(record, DeadLetter) and not record.code:
                # Taken in after all: what comes under this id from now on may be refused, and audited, anew.
                self._reasons.pop((name, record.peer_id, record.name), None)
        sentence = _unaccounted(commit.facts, commit.rows) or self._unaudited(name, commit.records)
        if sentence is not None:
            self.fail(name, sentence)

    def _row(self, name: str, row: AuditRow) -> None:
        self.rows += 1
        head = self._heads.get(name, ChainHead())
        if row.seq != head.seq + 1 or row.previous != head.hash:
            self.fail(name, f"audit row {row.seq} does not follow row {head.seq}")
        if row.hash != row_hash(row):
            self.fail(name, f"audit row {row.seq} does not have the hash of its content")
        self._heads[name] = ChainHead(row.seq, row.hash)
        refused, reason = _refused(row)
        if refused is None:
            return
        reasons = self._reasons.setdefault((name, row.subject, refused), {})
        count = self._refused_of[name, row.subject] = self._refused_of.get((name, row.subject), 0) + 1
        # A node's memory of what it refused is bounded; past that the same fact may be audited anew.
        if reason in reasons and count <= limits.DEAD_LETTERS_PER_PEER_MAX:
            self.fail(name, f"the rejection of {refused} ({reason}) was audited twice")
        reasons[reason] = None
        if row.fact_id is not None:
            self._ever.setdefault((name, row.fact_id), {})[reason] = None

    def _unaudited(self, name: str, records: Sequence[Record]) -> str | None:
        for record in records:
            if isinstance(record, DeadLetter) and record.code and not record.is_rereading:  # that is no refusal
                reasons = self._reasons.get((name, record.peer_id, record.name), {})
                if record.code not in reasons:
                    return f"the rejection of {record.name} ({record.code}) was not audited"
        return None

    def result(self) -> CheckResult:
        for peer, victim, fact_id, codes in self.observed.obligations():
            found = list(self._ever.get((victim, fact_id), ()))
            if codes and not any(reason in codes for reason in found) and not self._unmet(victim, fact_id):
                self.fail(
                    "",
                    f"{victim} took a bad fact of {peer} ({fact_id}), should have audited one of "
                    f"{', '.join(codes)} and audited {', '.join(found) or 'nothing'}",
                )
        return self.holds(f"{self.rows} rows chained, {len(self._ever)} facts refused, once each")

    def _unmet(self, victim: str, fact_id: str) -> bool:
        """Whether an id that a hostile peer took is that of an honest fact which never came to the victim: then there
        was nothing for the two to collide over. That it should have come is the convergence checker's to say."""
        visibility = self.observed.visibility
        numbers = [visibility.number(origin, fact_id) for origin in self.observed.federation.nodes]
        owned = [number for number in numbers if number is not None]
        return bool(owned) and all(visibility.held_since[victim][number] == NEVER for number in owned)


def _refused(row: AuditRow) -> tuple[str | None, str]:
    """What a row says was refused, by the name of its dead letter, and why; None when it refuses nothing."""
    if row.event == "origin_key_conflict":
        return f"origin:{msgspec.json.decode(row.detail)['origin']}", row.event
    if row.fact_id is None or row.event == "fact_write":
        return None, ""
    return row.fact_id, str(msgspec.json.decode(row.detail).get("reason", row.event))


def _unaccounted(facts: Sequence[Fact], rows: Sequence[AuditRow]) -> str | None:
    """What a commit stores without its row, or the row without it."""
    written = sum([fact.received_from is None for fact in facts])
    entered = sum([row.event in ("fact_write", "facts_voided") for row in rows])
    if written != entered:
        return f"{written} local writes have {entered} audit rows"
    counted = sum([int(msgspec.json.decode(row.detail)["count"]) for row in rows if row.event == "page_accepted"])
    if len(facts) - written != counted:
        return f"{len(facts) - written} received facts, and the audit log counts {counted}"
    held_back = [fact.id for fact in facts if fact.quarantine is not None]
    for event in ("quarantine_ingest", "instruction_quarantined"):
        if [row.fact_id for row in rows if row.event == event] != held_back:
            return f"{len(held_back)} facts held back, and not each has its {event} row"
    return None
