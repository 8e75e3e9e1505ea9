"""A transaction: what one batch of submissions wants to make true, before the journal has it.

Theory
------
A node has one writer. It takes what is in the mailbox (requests, pages that were pulled, things that fell due), and
has each **submission** stage what it wants into one **transaction**. The outcome is a **batch**, a plain value that
says what happens next and in which order:

1. `records` are made durable by the journal, all or none, and then applied to the state in memory;
2. `replies` are released: each submission answers whoever waits for it;
3. `notices` are told to the parts of this node that have work because of the records.

Staging reads committed state and writes only into the transaction. That gives the properties on which the rest of a
node rests:

* I1. A batch that the journal refuses costs nothing but itself: no state was touched, so there is nothing to undo.
* I2. No answer shows what a crash at that instant could take back: state that is not durable can be seen by nobody.
  A read is answered from the state before the batch, or by a function that runs after the batch was applied.
* I3. Submissions of one batch do not see each other's records in the state, only in the transaction. Where that
  matters (two writes of one fact, two decisions on one peer) they look there (`staged`, `staged_content`) or reserve
  a name; whoever comes second raises `RetryNextBatch`, stages nothing, and comes again in the next batch, in its place.
* I4. A bug in a submission costs that submission alone: the transaction is rolled back to the savepoint before it.
* I5. Local sequence numbers, stamps and the chain of audit rows continue from those of the state; a batch that was
  refused leaves no gap.
* I6. A reply that leans on records fails when the journal refuses, also when it staged no record of its own: a write
  that repeats another write of the same batch has nothing to stage, and yet is true only once the batch is durable.
  A reply that leans on nothing (a read) is released all the same.

Example: three submissions meet in one batch. `POST /v1/facts` stages a fact, an audit row and the answer "201 with
what the ledger shows of it". The same request once more finds the staged fact, stages nothing and leans on the batch.
`GET /v1/facts` is answered from the ledger as it was. The journal takes both records in one commit; then the fact is
applied, the three answers go out in the order of the requests, and `FactsAdded` releases the long polls that have
news now. Had the disk been full, the first two would have been told 507 and the third its page.

Nothing here waits, and nothing here knows a clock, a journal or a task: `stage_batch` can be called in a test without
an event loop. Committing, applying and releasing is `stigmem.node.writer`; the queue is `stigmem.node.mailbox`.

A wart: `finish` puts a record for a moved hybrid clock at the end of a batch that has records, so that no restart
issues a stamp twice; a batch without records does not move the clock durably, and need not, since nobody saw its
stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from stigmem.core import hlc, limits
from stigmem.core.audit import SALT_BYTES, AuditRow, ChainHead, append
from stigmem.core.errors import Refusal, StigmemError
from stigmem.core.fact import Fact
from stigmem.core.gardens import Garden
from stigmem.core.hlc import Stamp
from stigmem.core.ledger import Ledger
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import (
    ClockMark,
    ClockReset,
    DeadLetter,
    GardenFact,
    HorizonMark,
    PeerRow,
    Record,
    RevocationRow,
    SubscriptionRow,
    SweptFact,
    TombstoneRow,
)
from stigmem.node.ports import Entropy
from stigmem.node.settings import NodeSettings
from stigmem.node.staged_garden import StagedGarden
from stigmem.node.staged_words import StagedWords
from stigmem.node.state import NodeState

__all__ = [
    "Batch", "Command", "DeadlineAdded", "FactsAdded", "GardenFactsAdded", "Notice", "PeerChanged", "Reply",
    "RetryNextBatch", "Savepoint", "Submission", "SubscriptionChanged", "TombstonesAdded", "Transaction",
    "stage_batch",
]  # fmt: skip

T_co = TypeVar("T_co", covariant=True)


_IN_DOUBT: Final = (
    "this machine's wall clock jumped {:.0f} s ahead; nothing is written until it is set right, or confirmed by peers, "
    "by some minutes without a contradiction, or by `stigmem clock confirm`"
)
_RETRY_AFTER: Final = (("retry-after", "15"),)


Reservable = Literal[
    "agent_keys", "alias", "attested", "conflict", "cursor", "garden", "intent", "keys", "letter", "manifest", "nonce",
    "peer", "quarantine", "receipt", "registration", "subscription", "subscriptions", "sweep", "tombstones", "wait",
]  # fmt: skip
"""What only one submission of a batch may decide on: a conflict or a peer by its id, the cursor or the one long poll of
a peer, every garden together, every API key together, every agent's key together, what stands beside a fact by origin
and id, a dead letter by peer, name and code, every manifest together, a fact that waits by origin and id, a nonce, the
answer to an idempotency key, every registration together, a subscription by its id, every subscription of a subscriber
together, a fact that is swept by its garden and local sequence number, an alias by the other name, an intent by its id,
all tombstones and revocations together."""


class RetryNextBatch(Exception):
    """Raised while staging by a submission whose subject another one of this batch has reserved: nothing of it is
    staged, and it comes again in the next batch, before everything that came after it."""


class Reply(Protocol):
    """Somebody waits for the outcome of a submission. Exactly one of the two methods is called, once; neither raises
    or waits."""

    @property
    def leans_on_records(self) -> bool:
        """Whether the outcome is true only once the batch is durable; meaningful after staging."""
        ...

    def release(self) -> None:
        """The batch is durable and applied, or this reply does not lean on it."""
        ...

    def fail(self, error: StigmemError) -> None:
        """The journal refused the batch, or staging met a bug of ours (`internal_error`)."""
        ...


class Submission(Reply, Protocol):
    """What is in the mailbox: it stages once, or again after RetryNextBatch, and is then its own reply.

    One object from the mailbox to the answer: a request costs no second one.
    """

    def stage(self, txn: Transaction) -> None:
        """Read committed state, add to the transaction. Raises RetryNextBatch."""
        ...


class Command(Protocol[T_co]):
    """Something that a task of this node wants to make true; `Mailbox.submit` awaits its result."""

    def stage(self, txn: Transaction) -> T_co:
        """Read committed state, add to the transaction; the result, which its submitter gets once the batch is
        durable. May be called again after RetryNextBatch, so it keeps nothing on the command itself."""
        ...


class PeerChanged(NamedTuple):
    """A peer was registered, approved, revoked or deleted."""

    row: PeerRow


class SubscriptionChanged(NamedTuple):
    """A subscription was made or deleted."""

    row: SubscriptionRow


class DeadlineAdded(NamedTuple):
    """Something falls due by itself: a fact that expires, or one that was too early and is tried again."""


class GardenFactsAdded(NamedTuple):
    """Gardens have new facts, which are no news for anybody but those who follow a garden."""


class FactsAdded(NamedTuple):
    """The ledger has new facts. `monotonic_ns`: when the batch began."""

    monotonic_ns: int


class TombstonesAdded(NamedTuple):
    """Tombstones or revocations came: something is to be erased, or peers are to be told."""


Notice = TombstonesAdded | PeerChanged | SubscriptionChanged | DeadlineAdded | FactsAdded | GardenFactsAdded


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction came to. The order of the fields is the order of effects."""

    records: tuple[Record, ...]
    """Made durable, as one, before anything below happens; then applied to the state, in this order."""
    replies: tuple[Reply, ...]
    """Released after the records are durable and applied, in the order of submission. When the journal refuses the
    records, those that lean on them fail and the others are released."""
    notices: tuple[Notice, ...]
    """Told to their subscribers after the replies, and only when the records are durable: changed peers and
    subscriptions in the order of their records, then at most one DeadlineAdded, one FactsAdded and one
    GardenFactsAdded."""


class Savepoint(NamedTuple):
    """A place in a transaction that it can be taken back to."""

    records: int
    stamp: Stamp
    used: Stamp
    head: ChainHead
    next_seq: int
    is_reset: bool
    is_closed: bool


class Transaction:
    """The records of one batch, in order, with the little that later submissions of the batch must see."""

    def __init__(
        self,
        state: NodeState,
        settings: NodeSettings,
        now_ns: int,
        monotonic_ns: int,
        *,
        salts: Entropy,
        clock_lead_ns: int = 0,
    ) -> None:
        """`now_ns`: the time the node goes by, `monotonic_ns`: its monotonic clock, both when the batch began.
        `salts`: what the salts of audit rows are drawn from. `clock_lead_ns`: by how much the machine's wall clock is
        ahead of that and in doubt; 0 when it is not."""
        self.state = state
        self.settings = settings
        self.now_ns = now_ns
        self.monotonic_ns = monotonic_ns
        self.clock_lead_ns = clock_lead_ns
        self.records: list[Record] = []
        self.stamp: Stamp = state.stamp
        self._salts = salts
        self.used: Stamp = state.used
        """As in the state: stamps up to here may have been issued before."""
        self._is_reset = False
        self.is_closed = False
        """Whether what comes after it has to see its records in the state, and so waits for the next batch."""
        self._head = state.head
        self._next_seq = state.ledger.last_seq
        self._held: dict[tuple[str, str], Fact] = {}
        self._contents: dict[str, list[Fact]] = {}
        self._ids: dict[str, list[Fact]] = {}
        self._words = StagedWords(state.ledger.cardinality)
        self._unfiled: list[Fact] = []
        """Staged facts that `words` does not know yet."""
        self._gardens: dict[str, StagedGarden] = {}
        self._reserved: dict[tuple[Reservable, Hashable], None] = {}

    @property
    def now_ms(self) -> int:
        """The node's own wall clock at the start of the batch."""
        return self.now_ns // 1_000_000

    @property
    def now_us(self) -> int:
        return self.now_ns // 1_000

    # --- what only one submission of a batch may decide on ---

    def try_reserve(self, kind: Reservable, name: Hashable) -> bool:
        """Reserve something for the rest of the batch; False when an earlier submission has it. A rollback gives
        nothing back: whatever was reserved stays so until the next batch."""
        if (kind, name) in self._reserved:
            return False
        self._reserved[kind, name] = None
        return True

    def reserve(self, kind: Reservable, name: Hashable) -> None:
        """As `try_reserve`, for who cannot go on without: raises RetryNextBatch."""
        if not self.try_reserve(kind, name):
            raise RetryNextBatch

    # --- staging ---

    def add(self, record: Record) -> None:
        """Stage a record."""
        self.records.append(record)

    def audit(self, event: str, subject: str, *, fact_id: str | None = None, **detail: Any) -> AuditRow:
        """Stage an audit row at the end of the chain."""
        row = append(self._head, event, subject, fact_id, detail, self.now_us, salt=self._salts.token(SALT_BYTES))
        self._head = type(self._head)(row.seq, row.hash)
        self.records.append(row)
        return row

    def tick(self) -> Stamp:
        """The stamp of a new local fact, which no fact of this node has. Raises Refusal 503 while the clock is in
        doubt."""
        self.need_clock()
        self.stamp = hlc.tick(self.stamp, self.now_ms)
        while self.stamp <= self.used and self.ledger.has_stamp(self.stamp):
            self.stamp = hlc.tick(self.stamp, self.now_ms)
        return self.stamp

    def need_clock(self) -> None:
        """Raises Refusal 503 while the clock is in doubt: a stamp cannot be taken back, and one that is far ahead hides
        its fact from every peer."""
        if self.clock_lead_ns:
            raise Refusal(503, "clock_in_doubt", _IN_DOUBT.format(self.clock_lead_ns / 1e9), headers=_RETRY_AFTER)

    def reset_clock(self, stamp: Stamp) -> None:
        """Let the clock go on from `stamp`, which lies behind what was issued: every fact of this node after it was
        voided. Nothing may be staged before this that has a stamp."""
        self.used = max(self.used, self.stamp)
        self.stamp = stamp
        self._is_reset = True

    def observe(self, remote: Stamp, *, ours: bool = False) -> None:
        """Let a received stamp move the clock, within the drag bound. One of `ours`, that comes home to a node which
        lost its disk or was restored, moves it whatever the bound: what is said from now on comes after it."""
        if ours:
            self.stamp = max(self.stamp, remote)
        else:
            self.stamp = hlc.receive(self.stamp, remote, self.now_ms, self.settings.drag_ms)

    def store(self, fact: Fact, cid: str | None = None) -> Fact:
        """Stage a fact under the next local sequence number. `cid`: its content id, when that is known already."""
        self._next_seq += 1
        stored = msgspec.structs.replace(fact, seq=self._next_seq)
        self.records.append(stored)
        self._file(stored, cid)
        return stored

    def _file(self, stored: Fact, cid: str | None = None) -> None:
        self._held[stored.origin, stored.id] = stored
        self._unfiled.append(stored)
        self._ids.setdefault(stored.id, []).append(stored)
        if stored.received_from is None:
            self._contents.setdefault(cid or stored.cid, []).append(stored)

    def garden(self, garden: Garden) -> StagedGarden:
        """What this transaction stages in a garden."""
        staged = self._gardens.get(garden.row.garden_id)
        if staged is None:
            staged = StagedGarden(garden, now_ms=self.now_ms, add=self.records.append)
            self._gardens[garden.row.garden_id] = staged
        return staged

    # --- what earlier submissions staged ---

    @property
    def ledger(self) -> Ledger:
        """The committed facts of the node itself; those of gardens are in none but their own."""
        return self.state.ledger

    def staged(self, origin: str, fact_id: str) -> Fact | None:
        """A fact staged earlier in this batch."""
        return self._held.get((origin, fact_id))

    @property
    def staged_facts(self) -> Sequence[Fact]:
        """The facts of the node itself that were staged earlier in this batch."""
        return list(self._held.values())

    def staged_id(self, fact_id: str) -> list[Fact]:
        """Facts staged earlier in this batch with this id, of whatever origin."""
        return self._ids.get(fact_id, [])

    def staged_content(self, cid: str) -> list[Fact]:
        """Local facts staged earlier in this batch with this content id."""
        return self._contents.get(cid, [])

    @property
    def words(self) -> StagedWords:
        """What the facts staged earlier may have done to others. Filed when a write asks: pages of peers never do."""
        for fact in self._unfiled:
            self._words.add(fact)
        self._unfiled.clear()
        return self._words

    # --- taking back, and the end ---

    def savepoint(self) -> Savepoint:
        """Where the transaction stands, for `rollback`."""
        return Savepoint(
            records=len(self.records),
            stamp=self.stamp,
            used=self.used,
            head=self._head,
            next_seq=self._next_seq,
            is_reset=self._is_reset,
            is_closed=self.is_closed,
        )

    def rollback(self, savepoint: Savepoint) -> None:
        """Undo what was staged since: a submission that met a bug leaves nothing half done."""
        del self.records[savepoint.records :]
        self.stamp, self.used = savepoint.stamp, savepoint.used
        self._head, self._next_seq = savepoint.head, savepoint.next_seq
        self._is_reset, self.is_closed = savepoint.is_reset, savepoint.is_closed
        self._held, self._contents, self._ids = {}, {}, {}
        self._words, self._unfiled, self._gardens = StagedWords(self.ledger.cardinality), [], {}
        for record in self.records:
            if isinstance(record, Fact):
                self._file(record)
            elif isinstance(record, GardenFact):
                garden = self.state.gardens.get(record.garden_id)
                if garden is not None:
                    self.garden(garden).file(record.fact)

    def finish(self, replies: Iterable[Reply]) -> Batch:
        """The batch; a moved clock is among its records, so that no restart issues a stamp again, and by which instant
        readers were answered once its facts were there."""
        ledger = self.state.ledger
        if self._next_seq > ledger.last_seq:
            sweeps = ledger.sweeps + sum(isinstance(record, SweptFact) for record in self.records)
            self.records.append(HorizonMark(ledger.last_seq, self._next_seq, self.now_us, sweeps))
        if self._is_reset:
            self.records.append(ClockReset(self.stamp, self.used))
        elif self.records and self.stamp > self.state.stamp:
            self.records.append(ClockMark(self.stamp))
        return Batch(tuple(self.records), tuple(replies), self._notices())

    def _notices(self) -> tuple[Notice, ...]:
        changed: list[Notice] = []
        has_facts = has_deadline = has_garden_facts = has_tombstones = False
        for record in self.records:
            kind = type(record)
            if kind is SpentNonce or kind is AuditRow or kind is HorizonMark:
                continue  # beside facts all that most batches hold
            if isinstance(record, Fact):
                has_facts = True
                has_deadline = has_deadline or record.valid_until is not None
            elif isinstance(record, DeadLetter):
                has_deadline = has_deadline or record.retry_ms is not None
            elif isinstance(record, GardenFact):
                has_garden_facts = True
            elif isinstance(record, PeerRow):
                changed.append(PeerChanged(record))
            elif isinstance(record, SubscriptionRow):
                changed.append(SubscriptionChanged(record))
            elif isinstance(record, (TombstoneRow, RevocationRow)):
                has_tombstones = True
        if has_deadline:
            changed.append(DeadlineAdded())
        if has_facts:
            changed.append(FactsAdded(self.monotonic_ns))
        if has_garden_facts:
            changed.append(GardenFactsAdded())
        if has_tombstones:
            changed.append(TombstonesAdded())
        return tuple(changed)


def stage_batch(
    txn: Transaction, submissions: Sequence[Submission], on_bug: Callable[[Exception], None]
) -> tuple[Batch, list[Submission]]:
    """The batch of these submissions, and those among them that come again in the next one, in their order.

    A submission that meets a bug has failed when this returns; the bug was told to `on_bug`. When the transaction is
    full (TURN_RECORDS_MAX records) the rest comes again.
    """
    replies: list[Reply] = []
    again: list[Submission] = []
    for submission in submissions:
        if txn.is_closed or len(txn.records) >= limits.TURN_RECORDS_MAX:
            again.append(submission)
            continue
        savepoint = txn.savepoint()
        try:
            submission.stage(txn)
        except RetryNextBatch:
            txn.rollback(savepoint)
            again.append(submission)
        except Exception as bug:  # a bug of ours must cost one submission, not the node
            txn.rollback(savepoint)
            on_bug(bug)
            submission.fail(StigmemError("internal_error", f"this node met a bug of its own: {bug}"))
        else:
            replies.append(submission)
    return txn.finish(replies), again
