"""Everything that can grow is bounded, and stayed within its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.check.base import Checker, CheckResult
from stigmem.core import limits

if TYPE_CHECKING:
    from sim.lab import Lab
    from stigmem.node.node import Node

__all__ = ["Queues"]


class Queues(Checker):
    """Mailboxes, nonces, dead letters, deferred facts and held pulls never passed their limits."""

    name = "bounded-queues"

    def __init__(self) -> None:
        self.longest_mailbox = 0

    def settled(self, lab: Lab) -> CheckResult:
        for machine in lab.machines.values():
            if machine.node is not None:
                sentence = self._node(machine.node)
                if sentence is not None:
                    return CheckResult(self.name, False, f"{machine.name}: {sentence}")
        return CheckResult(self.name, True, f"longest mailbox: {self.longest_mailbox}")

    def _node(self, node: Node) -> str | None:
        state, settings = node.state, node.settings
        self.longest_mailbox = max(self.longest_mailbox, node.mailbox.longest)
        peers = max(1, len(state.peers))
        # A node's own messages (one page a peer, and its ticks) come on top of what strangers may fill.
        bounds = {
            "mailbox": (node.mailbox.longest, settings.mailbox_messages_max + 2 * peers + 8),
            "nonces": (len(state.nonces), limits.NONCES_PER_PEER_MAX * peers),
            "dead letters": (max(map(len, state.letters.values()), default=0), limits.DEAD_LETTERS_PER_PEER_MAX),
            "deferred facts": (len(state.deferred), limits.DEFERRED_PER_PEER_MAX * peers),
            "held pulls": (len(node.waiting), limits.WAITING_PULLS_PER_PEER_MAX * peers),
            "origins": (len(state.origins), limits.ORIGINS_MAX + peers),
        }
        for name, (found, most) in bounds.items():
            if found > most:
                return f"{found} {name}, the bound is {most}"
        return None
