"""Nobody is served or read whom no operator approved: not while it is pending, not after it was revoked (S-13, S-14).

A fact that comes from a peer is judged when it becomes durable, by what the peer was before that: a page that was asked
for while the peer was approved, and comes after it was revoked, is not taken.
"""

from __future__ import annotations

from typing import Final

from sim.check.base import Asked, Checker, CheckResult, Commit, Commits, Served
from sim.check.leaks import node_id_of
from sim.ports import Observed
from stigmem.core.declaration import ACTIVE

__all__ = ["Unapproved"]

_PULL: Final = "/v1/federation/facts"
_AFTERMATH_NS: Final = 60_000_000_000
"""For so long after a disk was lost, what its node had asked before may still arrive."""


class Unapproved(Checker):
    """Pages go to active peers only, only active peers are asked for pages, and facts are taken from them alone."""

    name = "approved-only"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._wiped_ns: dict[str, int] = {}
        self.judged = 0

    def on_disk_wiped(self, machine: str) -> None:
        self._wiped_ns[machine] = self.observed.now_ns

    def on_commit(self, commit: Commit) -> None:
        node = self.observed.node(commit.machine)
        if node is None:
            return
        brought = {fact.received_from: fact for fact in commit.facts if fact.received_from is not None}
        for node_id, fact in brought.items():
            status = node.peer_status(node_id)
            if status != ACTIVE and node.ledger.held(fact.origin, fact.id) is None:
                name = self.observed.names.get(node_id, node_id)
                self.fail(
                    commit.machine, f"took fact {fact.id} from {name}, whose status is {status or 'unknown'}"
                )  # fmt: skip

    def on_response(self, served: Served) -> None:
        node = self.observed.node(served.machine)
        if node is None or served.response.status != 200 or not served.request.target.startswith(_PULL):
            return
        status = node.peer_status(node_id_of(self.observed, served.asker))
        self.judged += 1
        if status != ACTIVE:
            self.fail(served.machine, f"served {served.asker}, whose status is {status or 'unknown'}")

    def on_asked(self, asked: Asked) -> None:
        node = self.observed.node(asked.node)
        wiped_ns = self._wiped_ns.get(asked.node)
        if node is None or (wiped_ns is not None and self.observed.now_ns - wiped_ns < _AFTERMATH_NS):
            return
        status = node.peer_status(self.observed.hostile[asked.peer].node_id)
        self.judged += 1
        if status != ACTIVE:
            self.fail(asked.node, f"asked {asked.peer} for facts, whose status is {status or 'unknown'}")

    def result(self) -> CheckResult:
        return self.holds_of(self.judged, f"{self.judged} pulls of approved peers")
