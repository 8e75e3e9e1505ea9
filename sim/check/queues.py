"""Everything that can grow is bounded, and stays within its bound at every commit."""

from __future__ import annotations

from sim.check.base import Checker, CheckResult, Commit, Commits
from sim.observation.node_view import QueueLengths
from sim.ports import Observed
from stigmem.core import limits

__all__ = ["Queues"]


class Queues(Checker):
    """Mailboxes, nonces, dead letters, deferred facts, held pulls and origins never pass their limits."""

    name = "bounded-queues"
    sees = Commits.ALL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.longest_mailbox = 0

    def on_commit(self, commit: Commit) -> None:
        self._look(commit.machine)

    def result(self) -> CheckResult:
        for machine in self.observed.nodes:
            self._look(machine)
        return self.holds(f"longest mailbox: {self.longest_mailbox}")

    def _look(self, machine: str) -> None:
        node = self.observed.node(machine)
        if node is None:
            return
        found = node.queue_lengths()
        if found.mailbox > self.longest_mailbox:
            self.longest_mailbox = found.mailbox
        # Asked at every commit, so the whole table is looked through only when something may be beyond its bound.
        if (
            found.nonces > limits.NONCES_PER_PEER_MAX
            or found.mailbox > node.settings.mailbox_messages_max
            or found.long_polls > limits.LONG_POLLS_PER_PEER_MAX
            or found.dead_letters
            or found.deferred
            or found.origins > limits.ORIGINS_MAX
            or found.peers > limits.PEERS_MAX
        ):
            sentence = _beyond(found, node.settings.mailbox_messages_max)
            if sentence is not None:
                self.fail(machine, sentence)


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
