"""Everything that can grow is bounded, and stays within its bound at every commit.

What comes from a peer, and from an origin, has a quota where the scenario gives one. It is counted here from what was
committed, by the node's own clock, and over restarts.

Queues have a length. The audit log has none, but what strangers write into it by asking has a rate: a row for each
refused token up to a burst, then so many a minute, for each peer and for all unknown names together (S-19). The rate is
measured here in true time, with room for clocks that run half as fast again, and anew after each boot, when a node
remembers nobody.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, json

from sim.check.base import Boot, Checker, CheckResult, Commit, Commits
from sim.observation.node_view import QueueLengths
from sim.ports import Observed
from stigmem.core import limits
from stigmem.core.audit import AuditRow

__all__ = ["Queues"]

_REFUSALS: Final = ("rejected_token", "replay_attempt")
_ROWS_MAX: Final = limits.STRANGER_AUDIT_ROWS_PER_MINUTE
_REFILL_PER_NS: Final = 1.5 * _ROWS_MAX / 60e9


class _Refusal(Struct):
    """What it looks at in the detail of a row."""

    reason: str = ""


class Queues(Checker):
    """Mailboxes, nonces, dead letters, deferred facts, held pulls and origins never pass their limits, nor the rows
    that refused tokens cause their rate."""

    name = "bounded-queues"
    sees = Commits.ALL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.longest_mailbox = 0
        self._intake = _Intake(observed)
        self._refusals: dict[tuple[str, str], tuple[int, float]] = {}
        """(machine, peer id or "" for unknown names) -> when a refused token was audited last, and how many rows of the
        burst were used up then."""

    def on_boot(self, boot: Boot) -> None:
        self._refusals = {key: used for key, used in self._refusals.items() if key[0] != boot.machine}

    def on_commit(self, commit: Commit) -> None:
        self._look(commit.machine)
        if commit.facts:
            sentence = self._intake.exceeded(commit)
            if sentence is not None:
                self.fail(commit.machine, sentence)
        for row in commit.rows:
            if row.event in _REFUSALS:
                self._count(commit.machine, row, commit.at_ns)

    def _count(self, machine: str, row: AuditRow, now_ns: int) -> None:
        reason = json.decode(row.detail, type=_Refusal).reason
        if len(row.subject) > limits.NODE_ID_CHARS_MAX:
            self.fail(machine, f"a name of {len(row.subject)} characters stands in the audit log")
        who = "" if reason == "peer_not_found" else row.subject
        at_ns, used = self._refusals.get((machine, who), (now_ns, 0.0))
        used = max(0.0, used - (now_ns - at_ns) * _REFILL_PER_NS) + 1.0
        self._refusals[machine, who] = now_ns, used
        if used > _ROWS_MAX + 1.0:
            whose = f"refused tokens of {who}" if who else "tokens of unknown names"
            self.fail(
                machine,
                f"more audit rows about {whose} than {_ROWS_MAX} at once and {_ROWS_MAX} a minute, which is the ration",
            )

    def result(self) -> CheckResult:
        for machine in self.observed.nodes:
            self._look(machine)
        return self.holds(f"longest mailbox: {self.longest_mailbox}")

    def _look(self, machine: str) -> None:
        node = self.observed.node(machine)
        if node is None:
            return
        self.longest_mailbox = max(self.longest_mailbox, node.longest_mailbox)
        if node.may_be_beyond_a_bound():
            sentence = _beyond(node.queue_lengths(), node.settings.mailbox_messages_max)
            if sentence is not None:
                self.fail(machine, sentence)


class _Intake:
    """What came from peers and origins in the window at hand, for each node with a quota."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._windows: dict[str, int] = {}
        self._counts: dict[tuple[str, str, str], int] = {}
        """(machine, what, whose) -> how many in this window."""
        self._seen: set[tuple[str, str, str, str]] = set()
        """(machine, peer, what, name): origins and entities that are counted."""

    def exceeded(self, commit: Commit) -> str | None:
        """What a commit brought beyond a quota."""
        quota, turn_ms = self._observed.settings(commit.machine).intake, commit.turn_ms
        if not quota.any or turn_ms is None:
            return None
        window = int(turn_ms // (quota.window_s * 1_000))
        if self._windows.get(commit.machine, -1) < window:
            self._windows[commit.machine] = window
            self._counts = {key: count for key, count in self._counts.items() if key[0] != commit.machine}
            self._seen = {key for key in self._seen if key[0] != commit.machine}
        most = {
            "facts of a peer": quota.peer_facts, "origins of a peer": quota.peer_origins,
            "entities of a peer": quota.peer_entities, "facts of an origin": quota.origin_facts,
        }  # fmt: skip
        for fact in commit.facts:
            sender = fact.received_from
            if sender is None or self._observed.names.get(fact.origin) == commit.machine:
                continue
            self._count(commit.machine, "facts of a peer", sender)
            self._count(commit.machine, "facts of an origin", fact.origin)
            for what, name in (("origins of a peer", fact.origin), ("entities of a peer", fact.entity)):
                if (key := (commit.machine, sender, what, name)) not in self._seen:
                    self._seen.add(key)
                    self._count(commit.machine, what, sender)
        for (machine, what, whose), count in self._counts.items():
            if machine == commit.machine and 0 < most[what] < count:
                return f"{count} {what} came within a window ({whose}), the quota is {most[what]}"
        return None

    def _count(self, machine: str, what: str, whose: str) -> None:
        self._counts[machine, what, whose] = self._counts.get((machine, what, whose), 0) + 1


def _beyond(found: QueueLengths, messages_max: int) -> str | None:
    """The first bound that a node is beyond."""
    peers = found.peers or 1
    # A node's own messages (one page a peer, and its ticks) come on top of what strangers may fill.
    mailbox_max = messages_max + 2 * peers + 8
    # A batch is checked against what the turns before it left: the last one may pass the limit by its own length.
    nonces_max = limits.NONCES_PER_PEER_MAX * peers + limits.TURN_MESSAGES_MAX
    for name, length, most in (
        ("messages in the mailbox", found.mailbox, mailbox_max),
        ("spent nonces", found.nonces, nonces_max),
        ("dead letters of one peer", found.dead_letters, limits.DEAD_LETTERS_PER_PEER_MAX),
        ("deferred facts", found.deferred, limits.DEFERRED_PER_PEER_MAX * peers),
        ("held pulls", found.long_polls, limits.LONG_POLLS_PER_PEER_MAX * peers),
        ("origins", found.origins, limits.ORIGINS_MAX + peers),
        ("peers", found.peers, limits.PEERS_MAX),
    ):
        if length > most:
            return f"{length} {name}, the bound is {most}"
    return None
