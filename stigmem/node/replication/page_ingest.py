"""Taking in what a peer served: one page, its cursor, its rejections and its audit rows in one commit.

Messages for the writer. The stateless checks were done away from it (`stigmem.node.replication.page_verifier`);
here a page meets the ledger and the clock. Each rejected fact is audited once for each reason, however often it comes
again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.errors import Rejection, StigmemError
from stigmem.core.fact import Fact
from stigmem.core.ingest import IngestPolicy, PeerLink, VerifiedFact, admit, check_claim, check_repeat
from stigmem.core.records import CursorRow, DeadLetter
from stigmem.node.ports import Signal
from stigmem.node.transaction import Transaction

__all__ = ["Arrival", "IngestPage", "Refused"]

_EVENTS: Final = {
    "cid_mismatch": "federation_integrity_rejected",
    "hlc_skew": "peer_hlc_anomaly",
    "valid_until_extension": "federation_valid_until_extension_rejected",
    "scope_violation": "scope_violation",
}
_BLAMELESS: Final = ("source_not_owned", "hlc_skew", "origin_unresolvable", "id_collision")
"""Why a fact that an honest relay took in good faith may have to be refused here: who we are, what our clock shows,
whom we know and what we hold is not its fault."""


class Refused(NamedTuple):
    """An entry that did not pass the stateless checks; `origin` is empty when not even that could be read."""

    name: str
    rejection: Rejection
    origin: str = ""


class Arrival(NamedTuple):
    """One entry after the stateless checks; `raw` is kept for facts that turn out to be too early."""

    raw: bytes
    outcome: VerifiedFact | Refused


class IngestPage:
    """A page for the writer; `done` is set when it is stored (or could not be: see `error`)."""

    def __init__(
        self,
        peer_id: str,
        link: PeerLink,
        policy: IngestPolicy,
        arrivals: list[Arrival],
        done: Signal,
        *,
        begun: str | None = None,
        cursor: str | None = None,
        drained: bool = False,
        last_attempt: bool = True,
        retry: bool = False,
    ) -> None:
        """`begun` and `cursor`: where the page was asked to begin and where the next one does. `last_attempt`:
        whether what it has to refuse is refused for good. `retry`: these are single facts that were too early, and no
        page."""
        self._peer_id = peer_id
        self._link = link
        self._policy = policy
        self._arrivals = arrivals
        self._done = done
        self._begun = begun
        self._cursor = cursor
        self._drained = drained
        self._last_attempt = last_attempt
        self._retry = retry
        self.error: StigmemError | None = None
        self.stored = 0
        self.repeated = 0
        self.peer_errors = 0
        """Entries of a `last_attempt` page refused for what only their sender can be blamed for."""
        self.page_retry = False
        """The cursor stays and the page comes again: facts that are too early did not all fit among the deferred,
        or an origin became known meanwhile, or something was refused for the first time in a page that comes again."""
        self.full = False
        """That is so because there is no room for facts that are too early: asking again at once is of no use."""
        self._room = 0

    def stage(self, txn: Transaction) -> bool:
        row = txn.state.peers.get(self._peer_id)
        if row is None or row.status != ACTIVE:
            self.error = StigmemError("peer_not_active", "the peer was revoked meanwhile")
            return True
        if not self._retry and not txn.reserve("cursor", self._peer_id):
            return False
        waiting = sum(peer_id == self._peer_id for peer_id, _ in txn.state.deferred)
        self._room = limits.DEFERRED_PER_PEER_MAX - waiting
        facts: list[Fact] = []
        old = foreign = 0
        for arrival in self._arrivals:
            fact = self._take(txn, arrival)
            if fact is not None:
                facts.append(fact)
                foreign += isinstance(arrival.outcome, VerifiedFact) and not arrival.outcome.source_owned
                old += txn.now_ms - fact.wall_ms > self._policy.skew_past_ms > 0
        if old:
            txn.audit("peer_hlc_anomaly", self._peer_id, direction="past", accepted=old)
        if facts:
            detail: dict[str, Any] = {"sources_not_owned": foreign} if foreign else {}
            txn.audit(
                "page_accepted", self._peer_id, count=len(facts), first_seq=facts[0].seq, last_seq=facts[-1].seq,
                **detail,
            )  # fmt: skip
        self.stored = len(facts)
        self._advance(txn, facts)
        return True

    def finish(self) -> None:
        self._done.set()

    def fail(self, error: StigmemError) -> None:
        self.error = error
        self._done.set()

    def _advance(self, txn: Transaction, facts: list[Fact]) -> None:
        if self._retry:
            return
        held = txn.state.cursors.get(self._peer_id)
        cursor = self._cursor
        if self.page_retry or (held is not None and held.cursor != self._begun):  # set back while the page was read
            self.page_retry = True
            cursor = held.cursor if held is not None else None
        drained = (self._drained and not self.page_retry) or (held is not None and held.drained)
        taken = len(facts) + (held.taken if held is not None else 0)
        watermark = facts[-1].seq if facts else (held.watermark if held else txn.state.ledger.last_seq)
        if held is None or facts or held.cursor != cursor or held.drained != drained:
            txn.add(CursorRow(self._peer_id, cursor, watermark, drained, taken, txn.now_us))

    # --- one entry ---

    def _take(self, txn: Transaction, arrival: Arrival) -> Fact | None:
        outcome = arrival.outcome
        if isinstance(outcome, Refused):
            if outcome.rejection.code == "origin_unresolvable" and self._policy.key_of(outcome.origin) is not None:
                self.page_retry = True
            else:
                self._reject(txn, outcome, arrival.raw)
            return None
        name = outcome.fact.id
        try:
            fact = self._admit(txn, outcome)
        except Rejection as rejection:
            self._reject(txn, Refused(name, rejection, outcome.fact.origin), arrival.raw)
            return None
        if fact is None:
            self.repeated += 1
            if (self._peer_id, name) in txn.state.deferred:  # it came another way while it waited here
                txn.add(DeadLetter(self._peer_id, name, ""))
            return None
        if name in txn.state.letters.get(self._peer_id, {}):
            txn.add(DeadLetter(self._peer_id, name, ""))
        self._report_collisions(txn, fact)
        stored = txn.store(fact)
        txn.observe(stored.stamp)
        if stored.quarantine is not None:
            txn.audit("quarantine_ingest", self._peer_id, fact_id=stored.id, reason=stored.quarantine)
            txn.audit("instruction_quarantined", self._peer_id, fact_id=stored.id)
        return stored

    def _admit(self, txn: Transaction, candidate: VerifiedFact) -> Fact | None:
        fact = candidate.fact
        staged = txn.staged(fact.origin, fact.id)
        if staged is not None:
            check_repeat(staged, fact)
            return None
        check_claim(fact, txn.staged_id(fact.id))
        admitted = admit(candidate, txn.state.ledger, self._link, self._policy, txn.now_ms)
        if admitted is not None and not fact.certified and self._link.dialect == CERTIFYING:
            # Nobody but the id vouches for stamp and time: a relay or a flipped bit may have changed them.
            raise Rejection(
                "origin_stamp_unproven", "this peer's ids commit to stamp and time, and this one does not", field="id"
            )
        return admitted

    def _report_collisions(self, txn: Transaction, fact: Fact) -> None:
        """Facts of other origins have this id too. Those whose id commits to nothing are told of when the one comes
        that it commits to, and the newcomer when neither is: all are kept (S-31)."""
        for other in (*txn.state.ledger.find(fact.id), *txn.staged_id(fact.id)):
            doubtful = other if fact.certified else fact
            peer = None if doubtful.received_from is None else txn.state.peer_of(doubtful.received_from)
            if doubtful.certified or other.origin == fact.origin or peer is None:
                continue
            known = txn.state.letters.get(peer.peer_id, {}).get(fact.id, ())
            if "id_collision" not in known and txn.reserve("letter", f"{peer.peer_id}\n{fact.id}\nid_collision"):
                txn.add(DeadLetter(peer.peer_id, fact.id, "id_collision"))
                txn.audit(
                    "rejected_fact",
                    peer.peer_id,
                    fact_id=fact.id,
                    reason="id_collision",
                    kept=True,
                    origin=doubtful.origin,
                )

    def _reject(self, txn: Transaction, refused: Refused, raw: bytes) -> None:
        name, rejection = refused.name, refused.rejection
        codes = txn.state.letters.get(self._peer_id, {}).get(name, ())
        due_ms = self._due_ms(rejection)
        if (
            self._last_attempt
            and due_ms is None
            and not (refused.origin != self._link.sender and rejection.code in _BLAMELESS)
        ):
            self.peer_errors += 1
        if due_ms is not None and (self._retry or (self._peer_id, name) not in txn.state.deferred):
            if self._room <= 0 and not self._retry:
                self.page_retry = self.full = True
                due_ms = None
            self._room -= 1
        elif rejection.code in codes:
            return
        if (rejection.code in codes and due_ms is None) or not txn.reserve(
            "letter", f"{self._peer_id}\n{name}\n{rejection.code}"
        ):
            return
        keep = raw if due_ms is not None else None
        if rejection.code == "origin_unresolvable":
            keep = refused.origin.encode()  # so that the peer is read again once this origin's key is known
        txn.add(DeadLetter(self._peer_id, name, rejection.code, keep, due_ms))
        if rejection.code not in codes:
            self.page_retry |= due_ms is None and not self._last_attempt  # a bit may have flipped on the way
            event = _EVENTS.get(rejection.code, "rejected_fact")
            txn.audit(event, self._peer_id, fact_id=name, reason=rejection.code, **rejection.detail)

    def _due_ms(self, rejection: Rejection) -> int | None:
        """When a fact that is only too early may be tried again; None for every other fault."""
        detail = rejection.detail
        if rejection.code != "hlc_skew" or detail["direction"] != "future":
            return None
        if detail["skew_ms"] > limits.DEFERRED_AHEAD_MS_MAX:
            return None
        return int(detail["remote_wall_ms"]) - self._policy.skew_future_ms
