"""Everything that can grow is bounded, and stays within its bound at every commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult, Commit
from sim.diagnostics.errors import Violation
from stigmem.core import limits

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from stigmem.node.node import Node

__all__ = ["Queues"]


class Queues(Checker):
    """Mailboxes, nonces, dead letters, deferred facts, held pulls and origins never pass their limits."""

    name = "bounded-queues"

    def __init__(self) -> None:
        self.longest_mailbox = 0

    def on_commit(self, simulation: Simulation, commit: Commit) -> Violation | None:
        node = commit.machine.node
        sentence = None if node is None else self._node(node)
        return None if sentence is None else self.violation(commit.machine.name, commit.at_ns, sentence)

    def result(self, simulation: Simulation) -> CheckResult:
        for machine in simulation.machines.values():
            sentence = None if machine.node is None else self._node(machine.node)
            if sentence is not None:
                return CheckResult(self.name, False, f"{machine.name}: {sentence}")
        return CheckResult(self.name, True, f"longest mailbox: {self.longest_mailbox}")

    def _node(self, node: Node) -> str | None:
        longest = node.mailbox.longest
        if longest > self.longest_mailbox:
            self.longest_mailbox = longest
        state = node.state
        peers = len(state.peers) or 1
        # Asked at every commit, so the whole table is looked through only when something may be beyond its bound.
        if (
            len(state.nonces) > limits.NONCES_PER_PEER_MAX
            or longest > node.settings.mailbox_messages_max
            or len(node.long_polls) > limits.LONG_POLLS_PER_PEER_MAX
            or state.letters
            or state.deferred
            or len(state.origins) > limits.ORIGINS_MAX
            or peers > limits.PEERS_MAX
        ):
            return _beyond(node, peers)
        return None


def _beyond(node: Node, peers: int) -> str | None:
    """The first bound that a node is beyond."""
    state = node.state
    # A node's own messages (one page a peer, and its ticks) come on top of what strangers may fill.
    mailbox_max = node.settings.mailbox_messages_max + 2 * peers + 8
    letters = max(map(len, state.letters.values()), default=0)
    # A batch is checked against what the turns before it left: the last one may pass the limit by its own length.
    nonces_max = limits.NONCES_PER_PEER_MAX * peers + limits.TURN_MESSAGES_MAX
    for name, found, most in (
        ("messages in the mailbox", node.mailbox.longest, mailbox_max),
        ("spent nonces", len(state.nonces), nonces_max),
        ("dead letters of one peer", letters, limits.DEAD_LETTERS_PER_PEER_MAX),
        ("deferred facts", len(state.deferred), limits.DEFERRED_PER_PEER_MAX * peers),
        ("held pulls", len(node.long_polls), limits.LONG_POLLS_PER_PEER_MAX * peers),
        ("origins", len(state.origins), limits.ORIGINS_MAX + peers),
        ("peers", len(state.peers), limits.PEERS_MAX),
    ):
        if found > most:
            return f"{found} {name}, the bound is {most}"
    return None
