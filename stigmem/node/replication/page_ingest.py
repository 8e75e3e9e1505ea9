"""Taking in what a peer served: one page, its cursor, its rejections and its audit rows in one commit.

Theory
------
A page reaches the writer as a list of arrivals: entries that passed every check that needs neither ledger nor clock
(`VerifiedFact`), and entries that did not (`Refused`). Here they meet the ledger and the clock. `IngestPage` is the
command, `Ingestion` its work in one transaction, `PageIngested` what the puller learns. What a fact must be is
`stigmem.core.ingest`; the checks without ledger are `stigmem.node.replication.page_verifier`; when a page is asked for
is `stigmem.node.replication.puller`.

An entry has one of five ends:

    stored      new here: it gets the next local sequence number and moves the hybrid clock
    held        known already, from whomever: nothing happens, except that an old dead letter of it is cleared
    deferred    its stamp is too far ahead of our clock, and not absurdly far: its bytes are kept and tried again when
                the clock has reached it (`stigmem.node.replication.deferred`)
    refused     a dead letter with the code, and one audit row
    unclear     its origin's key became known while the page was on its way, or there is no room to defer it: nothing is
                recorded
    waiting     a quota of what is taken in is spent (`stigmem.node.intake_quota`): the page ends before it and comes
                again, or, when it is its origin's quota, the page is read again once there is room

An entry that is unclear, and one that is refused for the first time, have the page read again (`page_retry`).

Invariants:

* G1. One bad entry costs itself. Its neighbours are stored, and the page's cursor moves as if it had not been there,
  once it is refused again for the same reason.
* G2. Each fact is audited once for each reason and peer, however often it comes again: a dead letter with the same code
  is why nothing is written. Dead letters are bounded per peer (DEAD_LETTERS_PER_PEER_MAX); a peer that fills them has
  its oldest forgotten, and audited again should it come again.
* G3. Storing the same page twice stores nothing the second time, so a page may be asked for as often as it pleases.
* G4. The cursor moves only if it is still where the page began. A page does not undo what an operator or a new key has
  set back meanwhile.
* G5. Nobody is blamed for what an honest relay could not know (`_BLAMELESS`), nor before the last attempt (the puller's
  P3). `peer_errors` counts the rest, and slows the puller of that peer down.
* G6. A fact that somebody else's id could stand for never replaces one: where an id commits to its fact, the ids that
  do not are noted as collisions, and all are kept (S-31).
* G7. Two pages in one batch see each other's facts (`txn.staged`), so that the same fact from two peers at once is
  stored once.

Example: a page of three entries from north, begun at s:7. The first is new: stored, seq 12. The second carries a
content id that is not that of its content: a dead letter and an audit row, and `page_retry` keeps the cursor at
s:7; when the page comes again it has that dead letter already, nothing is written, and the cursor becomes s:10. The
third has a stamp ten minutes ahead: deferred, with the instant at which our clock will have come within the bound.

The audit row `page_accepted` stands for all facts of a page: a row for each would double the journal of a node that
mostly relays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.ingest import IngestPolicy, PeerLink, VerifiedFact, admit, check_claim, check_repeat
from stigmem.core.records import AttestedFact, CursorRow, DeadLetter, QuarantineRow
from stigmem.core.timestamps import format_us
from stigmem.node.intake_quota import Exceeded, Tally
from stigmem.node.transaction import Transaction
from stigmem.node.unknown_origins import UNKNOWN_ORIGIN, is_known
from stigmem.node.voiding import go_back

__all__ = ["Arrival", "IngestPage", "Ingestion", "PageIngested", "PagePlace", "Refused"]

_EVENTS: Final = {
    "cid_mismatch": "federation_integrity_rejected",
    "hlc_skew": "peer_hlc_anomaly",
    "valid_until_extension": "federation_valid_until_extension_rejected",
    "scope_violation": "scope_violation",
}
_BLAMELESS: Final = ("source_not_owned", "hlc_skew", "origin_unresolvable", "id_collision", "quarantine_full", "voided")
"""Codes for which an honest relay is not to blame: it took the fact in good faith, and could know neither who we are
(`source_not_owned`), nor what our clock shows (`hlc_skew`), nor whose keys we have (`origin_unresolvable`), nor what we
hold (`id_collision`, `quarantine_full`, `voided`)."""

_CERTAIN: Final = ("voided", "tombstoned", "attestation_required")
"""Codes for which nobody is to blame and nothing is read again: a peer serves what was written, in the order of
writing, and may be told only later that it was voided or is to be forgotten, and never what we ask for."""


class Refused(NamedTuple):
    """An entry that did not pass the stateless checks; `origin` is empty when not even that could be read."""

    name: str
    rejection: Rejection
    origin: str = ""


class Arrival(NamedTuple):
    """One entry after the stateless checks; `raw` is kept for facts that turn out to be too early."""

    raw: bytes
    outcome: VerifiedFact | Refused


class PageIngested(NamedTuple):
    """What became of a page."""

    stored: int
    """Facts that are new here."""
    peer_errors: int
    """Entries refused for good for what only their sender can be blamed for; counted on the last attempt only."""
    page_retry: bool
    """The cursor stays and the page comes again: facts that are too early did not all fit among the deferred, or an
    origin became known meanwhile, or something was refused for the first time and this was not the last attempt."""
    deferred_full: bool
    """There is no room for facts that are too early: reading the page again at once is of no use."""
    waits: bool
    """The peer's quota is spent: the rest of the page comes again when the window is over."""


class PagePlace(NamedTuple):
    """Where a page lies in what its sender has."""

    begun: str | None
    """The cursor that it was asked for with, None for the beginning."""
    cursor: str | None
    """The cursor that the next one begins with."""
    drained: bool
    """Whether it was the peer's last page for now."""
    last_attempt: bool
    """Whether what it has to refuse is refused for good."""


class IngestPage:
    """The command that stores a page, or single facts that were too early before."""

    def __init__(
        self,
        peer_id: str,
        link: PeerLink,
        policy: IngestPolicy,
        arrivals: Sequence[Arrival],
        place: PagePlace | None,
    ) -> None:
        """`place`: None for single facts that are no page, so that no cursor moves: they were pushed, or were too
        early before."""
        self.peer_id = peer_id
        self.link = link
        self.policy = policy
        self.arrivals = arrivals
        self.place = place
        self.last_attempt = place is None or place.last_attempt
        """Whether what it has to refuse is refused for good."""

    def stage(self, txn: Transaction) -> PageIngested | None:
        """None when the peer was revoked meanwhile: then nothing of its page is taken."""
        row = txn.state.peers.get(self.peer_id)
        if row is None or row.status != ACTIVE:
            return None
        if self.place is not None:
            txn.reserve("cursor", self.peer_id)
        return Ingestion(self, txn).run()


class Ingestion:
    """One page meeting the ledger and the clock, in one transaction."""

    def __init__(self, page: IngestPage, txn: Transaction) -> None:
        self._page = page
        self._peer_id = page.peer_id
        self._policy = page.policy
        self._txn = txn
        waiting = sum(peer_id == page.peer_id for peer_id, _ in txn.state.deferred)
        self._room = limits.DEFERRED_PER_PEER_MAX - waiting
        """How many more of the peer's facts that are too early may be kept."""
        self._waiting: Counter[str] | None = None
        """Facts that wait in quarantine, by their origin, and under the empty name those that this peer brought;
        counted when the first one comes."""
        self._repeated = 0
        """Entries that are held already."""
        self._unsigned = 0
        """New facts without an attestation where one is wished for."""
        self._peer_errors = 0
        self._page_retry = False
        self._deferred_full = False
        self._waits = False
        self._tally: Tally | None = None
        """What this batch took in so far; made when it is needed."""

    def run(self) -> PageIngested:
        """Take every entry, then move the cursor."""
        txn = self._txn
        facts: list[Fact] = []
        old = foreign = namesakes = 0
        for arrival in self._page.arrivals:
            fact = self.take(arrival)
            if fact is not None:
                facts.append(fact)
                foreign += isinstance(arrival.outcome, VerifiedFact) and not arrival.outcome.source_owned
                namesakes += fact.origin != self._policy.node_id and self._policy.local_sources(fact.source)
                old += txn.now_ms - fact.wall_ms > self._policy.skew_past_ms > 0
            if self._waits:
                break
        if any(fact.origin == self._policy.node_id for fact in facts):
            go_back(txn, self._policy.node_id, facts)
        if old:
            txn.audit("peer_hlc_anomaly", self._peer_id, direction="past", accepted=old)
        if facts:
            detail: dict[str, Any] = {"sources_not_owned": foreign} if foreign else {}
            if namesakes:
                detail["names_of_our_keys"] = namesakes
            if self._unsigned:
                detail["not_attested"] = self._unsigned
            txn.audit(
                "page_accepted", self._peer_id, count=len(facts), first_seq=facts[0].seq, last_seq=facts[-1].seq,
                **detail,
            )  # fmt: skip
        if self._page.place is not None:
            self._advance(facts, self._page.place)
        return PageIngested(len(facts), self._peer_errors, self._page_retry, self._deferred_full, self._waits)

    def _advance(self, facts: list[Fact], place: PagePlace) -> None:
        state = self._txn.state
        held = state.cursors.get(self._peer_id)
        cursor = place.cursor
        if self._page_retry or (held is not None and held.cursor != place.begun):  # set back while the page was read
            self._page_retry = True
            cursor = held.cursor if held is not None else None
        drained = (place.drained and not self._page_retry) or (held is not None and held.drained)
        taken = len(facts) + (held.taken if held is not None else 0)
        watermark = facts[-1].seq if facts else (held.watermark if held else state.ledger.last_seq)
        if held is None or facts or held.cursor != cursor or held.drained != drained:
            self._txn.add(
                CursorRow(
                    peer_id=self._peer_id,
                    cursor=cursor,
                    watermark=watermark,
                    drained=drained,
                    taken=taken,
                    updated_us=self._txn.now_us,
                )
            )

    # --- one entry ---

    def take(self, arrival: Arrival) -> Fact | None:
        """The fact that an entry adds to the ledger; None when it is refused, deferred or held already."""
        txn, outcome = self._txn, arrival.outcome
        if isinstance(outcome, Refused):
            if outcome.rejection.code == "origin_unresolvable" and self._policy.key_of(outcome.origin) is not None:
                self._page_retry = True
            else:
                self.reject(outcome, arrival.raw)
            return None
        name = outcome.fact.id
        try:
            fact = self._admit(outcome)
        except Rejection as rejection:
            self.reject(Refused(name, rejection, outcome.fact.origin), arrival.raw)
            return None
        if fact is None:
            self._repeated += 1
            self._attest_held(outcome)
            if (self._peer_id, name) in txn.state.deferred:  # it came another way while it waited here
                txn.add(DeadLetter.cleared(self._peer_id, name))
            return None
        if (exceeded := self._exceeded(fact)) is not None:
            self._tell_of_quota(exceeded)
            self.wait(arrival, fact, exceeded)
            return None
        if fact.quarantine is None and self._is_strange(fact):
            fact = msgspec.structs.replace(fact, quarantine=UNKNOWN_ORIGIN)
        if fact.quarantine is not None and (full := self._full_quarantine(fact)) is not None:
            if fact.quarantine == UNKNOWN_ORIGIN:
                self._wait_for_quarantine(arrival, fact)
            else:
                self.reject(Refused(name, full, fact.origin), arrival.raw)
            return None
        if name in txn.state.letters.get(self._peer_id, {}):
            txn.add(DeadLetter.cleared(self._peer_id, name))
        self._report_collisions(fact)
        stored = txn.store(fact)
        if self._tally is not None:
            self._tally.add(stored)
        txn.observe(stored.stamp, ours=stored.certified and stored.origin == self._policy.node_id)
        self._attest(stored, outcome)
        if stored.quarantine is not None:
            txn.add(QuarantineRow(stored.origin, stored.id, "pending", txn.now_us))
            txn.audit("quarantine_ingest", self._peer_id, fact_id=stored.id, reason=stored.quarantine)
            if stored.quarantine != UNKNOWN_ORIGIN:
                txn.audit("instruction_quarantined", self._peer_id, fact_id=stored.id)
        return stored

    # --- quotas ---

    def _exceeded(self, fact: Fact) -> Exceeded | None:
        """Which quota of what is taken in a fact exceeds."""
        txn, quota = self._txn, self._txn.state.intake
        if not quota.limits.any or fact.origin == self._policy.node_id:
            return None
        if self._tally is None:
            self._tally = Tally(quota.tally(txn.now_us))
            for record in txn.records:
                if isinstance(record, Fact):
                    self._tally.add(record)
        return quota.exceeded(fact, self._page.link.sender, self._tally)

    def _tell_of_quota(self, exceeded: Exceeded) -> None:
        txn, quota = self._txn, self._txn.state.intake
        if not quota.is_told(exceeded, txn.now_us):
            until = format_us(quota.ends_us(txn.now_us))
            dimension = f"intake_{exceeded.whose}_{exceeded.dimension}"
            txn.audit(
                "quota_breach", self._peer_id, dimension=dimension, node_id=exceeded.name, most=exceeded.most,
                until=until,
            )  # fmt: skip

    def wait(self, arrival: Arrival, fact: Fact, exceeded: Exceeded) -> None:
        """A fact for which a quota leaves no room now."""
        txn, place = self._txn, self._page.place
        until_ms = txn.state.intake.ends_us(txn.now_us) // 1_000
        if place is None:
            txn.add(DeadLetter.deferred(self._peer_id, fact.id, "hlc_skew", arrival.raw, until_ms))
        elif exceeded.whose == "peer":
            self._waits = self._page_retry = True
        else:
            letter = DeadLetter.for_quota(self._peer_id, fact.origin, place.begun, until_ms)
            known = (self._peer_id, letter.name) in txn.state.rereadings
            if not known and _first_letter(txn, self._peer_id, letter.name, letter.code):
                txn.add(letter)

    def _attest(self, stored: Fact, outcome: VerifiedFact) -> None:
        """What the agent of a new fact signed stands beside it; one that did not verify is told of."""
        self._unsigned += outcome.is_unsigned
        if outcome.flaw:
            self._txn.audit("attestation_dropped", self._peer_id, fact_id=stored.id, reason=outcome.flaw)
        if outcome.attestation is not None and self._txn.try_reserve("attested", (stored.origin, stored.id)):
            self._txn.add(AttestedFact(stored.origin, stored.id, stored.stamp, outcome.attestation))

    def _attest_held(self, outcome: VerifiedFact) -> None:
        """A fact that is held without an attestation, which whoever brought it left out, comes again with one."""
        txn, fact = self._txn, outcome.fact
        held = txn.staged(fact.origin, fact.id) or txn.state.ledger.held(fact.origin, fact.id)
        is_new = outcome.attestation is not None and not txn.state.attestations.knows(fact.origin, fact.id)
        # The id of a certified fact commits to all that was signed, its time included.
        if is_new and held is not None and held.certified and txn.try_reserve("attested", (fact.origin, fact.id)):
            txn.add(AttestedFact(held.origin, held.id, held.stamp, outcome.attestation))

    # --- quarantine ---

    def _is_strange(self, fact: Fact) -> bool:
        """Whether a fact waits because nobody here has decided on its origin."""
        strict = self._txn.settings.unknown_origins == "quarantine"
        return strict and not is_known(self._txn, fact.origin, self._policy.node_id)

    def _wait_for_quarantine(self, arrival: Arrival, fact: Fact) -> None:
        exceeded = Exceeded("origin", fact.origin, "quarantine", limits.QUARANTINE_PER_ORIGIN_MAX)
        self._tell_of_quota(exceeded)
        self.wait(arrival, fact, exceeded)

    def _full_quarantine(self, fact: Fact) -> Rejection | None:
        """Why a fact cannot wait here; None when there is room, which it then takes."""
        if self._waiting is None:
            waiting = self._txn.state.quarantine.pending(self._txn.now_us)
            self._waiting = Counter(each.origin for each in waiting)
            self._waiting[""] = sum(each.received_from == self._page.link.sender for each in waiting)
        for name, most in ((fact.origin, limits.QUARANTINE_PER_ORIGIN_MAX), ("", limits.QUARANTINE_PER_PEER_MAX)):
            if self._waiting[name] >= most:
                whose = "its origin" if name else "its sender"
                return Rejection("quarantine_full", f"{most} facts of {whose} wait here already, and nobody decided")
        self._waiting.update((fact.origin, ""))
        return None

    def _admit(self, candidate: VerifiedFact) -> Fact | None:
        txn, fact = self._txn, candidate.fact
        staged = txn.staged(fact.origin, fact.id)
        if staged is not None:
            check_repeat(staged, fact)
            return None
        state = txn.state
        if state.erasures.covering(fact) is not None or state.ledger.is_erased(fact.origin, fact.id):
            raise Rejection("tombstoned", "this was erased here")
        check_claim(fact, txn.staged_id(fact.id))
        admitted = admit(candidate, txn.state.ledger, self._page.link, self._policy, txn.now_ms)
        if admitted is not None and not fact.certified and self._page.link.dialect == CERTIFYING:
            # Nobody but the id vouches for stamp and time: a relay or a flipped bit may have changed them.
            raise Rejection(
                "origin_stamp_unproven", "this peer's ids commit to stamp and time, and this one does not", field="id"
            )
        return admitted

    def _report_collisions(self, fact: Fact) -> None:
        """Facts of other origins have this id too. Those whose id commits to nothing are told of when the one comes
        that it commits to, and the newcomer when neither is: all are kept (S-31)."""
        txn = self._txn
        for other in (*txn.state.ledger.find(fact.id), *txn.staged_id(fact.id)):
            doubtful = other if fact.certified else fact
            peer = None if doubtful.received_from is None else txn.state.peer_of(doubtful.received_from)
            if doubtful.certified or other.origin == fact.origin or peer is None:
                continue
            known = txn.state.letters.get(peer.peer_id, {}).get(fact.id, ())
            if "id_collision" not in known and _first_letter(txn, peer.peer_id, fact.id, "id_collision"):
                txn.add(DeadLetter(peer.peer_id, fact.id, "id_collision"))
                txn.audit(
                    "rejected_fact",
                    peer.peer_id,
                    fact_id=fact.id,
                    reason="id_collision",
                    kept=True,
                    origin=doubtful.origin,
                )

    def reject(self, refused: Refused, raw: bytes) -> None:
        """Record that an entry is not taken: as deferred when it is only too early, else as a dead letter. Each reason
        is audited once for each fact and peer."""
        txn, name, rejection = self._txn, refused.name, refused.rejection
        codes = txn.state.letters.get(self._peer_id, {}).get(name, ())
        due_ms, is_single = self.due_ms(rejection), self._page.place is None
        is_blameless = refused.origin != self._page.link.sender and rejection.code in _BLAMELESS
        is_blameless = is_blameless or rejection.code in _CERTAIN
        if self._page.last_attempt and due_ms is None and not is_blameless:
            self._peer_errors += 1
        if due_ms is not None and (is_single or (self._peer_id, name) not in txn.state.deferred):
            if self._room <= 0 and not is_single:
                self._page_retry = self._deferred_full = True
                due_ms = None
            self._room -= 1
        elif rejection.code in codes:
            return
        is_known = rejection.code in codes and due_ms is None
        if is_known or not _first_letter(txn, self._peer_id, name, rejection.code):
            return
        if rejection.code == "origin_unresolvable":  # the peer is read again once this origin's key is known
            txn.add(DeadLetter.for_origin(self._peer_id, name, refused.origin))
        elif due_ms is not None:
            txn.add(DeadLetter.deferred(self._peer_id, name, rejection.code, raw, due_ms))
        else:
            txn.add(DeadLetter(self._peer_id, name, rejection.code))
        if rejection.code not in codes:
            is_certain = due_ms is not None or rejection.code in _CERTAIN
            self._page_retry |= not is_certain and not self._page.last_attempt  # a bit may have flipped on the way
            event = _EVENTS.get(rejection.code, "rejected_fact")
            txn.audit(event, self._peer_id, fact_id=name, reason=rejection.code, **rejection.detail)

    def due_ms(self, rejection: Rejection) -> int | None:
        """When a fact that is only too early may be tried again, on the wall clock; None for every other fault."""
        detail = rejection.detail
        if rejection.code != "hlc_skew" or detail["direction"] != "future":
            return None
        if detail["skew_ms"] > limits.DEFERRED_AHEAD_MS_MAX:
            return None
        return int(detail["remote_wall_ms"]) - self._policy.skew_future_ms


def _first_letter(txn: Transaction, peer_id: str, name: str, code: str) -> bool:
    """Whether no other submission of this batch recorded this reason for this fact and peer."""
    return txn.try_reserve("letter", (peer_id, name, code))
