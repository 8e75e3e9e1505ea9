"""Requests that no peer may make are refused with their code, and each refusal is on record (federation 2.6, S-19).

Two rules:

1. A request of a hostile peer that is owed a refusal (`PeerEnv.owe`) is answered 401 with one of the codes that it is
   owed. A token that was spent, or a peer that is not known, was overtaken by a doubled packet, a lost disk or a stop,
   and settles any debt.
2. Every 401 to a token that could be read has one row in the audit log, `replay_attempt` for a nonce that was spent and
   `rejected_token` for everything else, with the reason; or it exceeded the ration of whoever caused it and is counted
   in a row `strangers_suppressed`. No reason has more rows than refusals. A stop loses what was counted and not yet
   told, so that of a node that was stopped only too many rows are an error.

What has no token, or one that cannot be read, is refused without a row.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from sim.check.base import Boot, Checker, CheckResult, Commit, Commits, Served
from sim.ports import Observed

__all__ = ["Refusals"]

_UNAUDITED: Final = ("peer token required", "malformed token", "invalid_iss", "san_mismatch")
_OVERTAKEN: Final = ("nonce_already_seen", "peer not registered", "peer_not_approved")
_REASONS: Final = {"peer not registered": "peer_not_found"}
"""Details of answers whose row calls the reason otherwise."""
_REPLAY: Final = "nonce_already_seen"
_NOT_APPROVED: Final = "peer_not_approved"
_REFUSED, _BUSY, _DISK_FULL = 401, 503, 507
_EVENTS: Final = ("rejected_token", "replay_attempt")


class _Body(msgspec.Struct):
    detail: str = ""


class _Row(msgspec.Struct):
    reason: str = ""
    count: int = 0


_bodies: Final = msgspec.json.Decoder(_Body)
_rows: Final = msgspec.json.Decoder(_Row)


class Refusals(Checker):
    """Every refusal of a peer's token says why, and is in the audit log once."""

    name = "refusals-audited"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._answered: dict[str, Counter[tuple[str, str]]] = {}
        """Node -> (event, reason) that is owed a row -> refusals."""
        self._audited: dict[str, Counter[tuple[str, str]]] = {}
        self._suppressed: Counter[str] = Counter()
        """Node -> rows that were not written, as its log says."""
        self._stopped: dict[str, None] = {}
        self._sent_away: Counter[str] = Counter()
        """Node -> pulls that waited there and ended because their peer was no peer any more: their tokens were good."""
        self.owed = 0

    def on_boot(self, boot: Boot) -> None:
        if boot.number > 1:
            self._stopped[boot.machine] = None

    def on_commit(self, commit: Commit) -> None:
        for row in commit.rows:
            if row.event in _EVENTS:
                key = row.event, _rows.decode(row.detail).reason
                self._audited.setdefault(commit.machine, Counter())[key] += 1
            elif row.event == "strangers_suppressed":
                self._suppressed[commit.machine] += _rows.decode(row.detail).count

    def on_response(self, served: Served) -> None:
        machine, asker, request, response = served
        detail = ""
        if response.status == _REFUSED:
            detail = _bodies.decode(response.body).detail
            if detail == _NOT_APPROVED and "wait=" in request.target:
                self._sent_away[machine] += 1
            elif detail not in _UNAUDITED and "authorization" in request.headers:
                reason = _REASONS.get(detail, detail)
                event = "replay_attempt" if detail == _REPLAY else "rejected_token"
                self._answered.setdefault(machine, Counter())[event, reason] += 1
        peer = self.observed.hostile.get(asker)
        debt = None if peer is None else peer.request_debts.settle(machine, request)
        if debt is None or self.observed.now_ns - debt.sent_ns > debt.within_ns:
            return
        if response.status == _BUSY and self._was_full(machine):
            return  # a node whose mailbox is full turns away what it has not read
        if response.status == _DISK_FULL and self.observed.conditions.faults.active:
            return  # it can keep no row of a refusal, and says so
        self.owed += 1
        if response.status != _REFUSED:
            self.fail(machine, f"answered {debt.what} of {asker} with {response.status} and owes it 401")
        if detail not in (*debt.codes, *_OVERTAKEN):
            self.fail(machine, f"refused {debt.what} of {asker} as {detail!r} and owes it {' or '.join(debt.codes)}")

    def _was_full(self, machine: str) -> bool:
        node = self.observed.node(machine)
        return node is not None and node.longest_mailbox >= node.settings.mailbox_messages_max

    def result(self) -> CheckResult:
        for machine, answered in self._answered.items():
            audited = self._audited.get(machine, Counter())
            for (event, reason), count in sorted(audited.items()):
                spare = self._sent_away[machine] if reason == _NOT_APPROVED else 0
                if count > answered[event, reason] + spare and machine not in self._stopped:
                    self.fail(machine, f"has {count} rows {event} ({reason}) for {answered[event, reason]} refusals")
            lacking = answered - audited
            told = self._suppressed[machine] + self._untold(machine)
            if lacking.total() > told and machine not in self._stopped:
                (event, reason), count = lacking.most_common(1)[0]
                self.fail(
                    machine,
                    f"refused {lacking.total()} tokens without a row and counted {told}; {count} of them lack "
                    f"{event} ({reason})",
                )
        refused = sum(answered.total() for answered in self._answered.values())
        return self.holds_of(refused, f"{refused} refused tokens on record, {self.owed} of them owed")

    def _untold(self, machine: str) -> int:
        """What a node has counted since its last row."""
        node = self.observed.node(machine)
        return 0 if node is None else node.suppressed_rows
