"""A node's whole state as the fold of its journal's records.

`apply` is the only way anything here changes, at run time and at recovery alike, so that a restarted node is the node
that crashed: there is no second code that rebuilds. It does not wait and does not decide; what is recorded was decided
in a transaction (`stigmem.node.transaction`), and a record that could be refused is a bug of whoever staged it.

Two things follow from the clock and not from records: expiry, and which nonces may be forgotten. The writer brings both
up to the clock at the beginning of each batch; a recovery ends with the expiry.

What is bounded is bounded here, deterministically: the oldest dead letter, awaited origin or receipt gives way. So two
folds of the same records end in the same state, whatever happened between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from stigmem.core import limits
from stigmem.core.attestation_book import AttestationBook
from stigmem.core.audit import AuditRow, ChainHead
from stigmem.core.conflicts import ConflictBook
from stigmem.core.decay import DecayPolicies
from stigmem.core.declaration import ACTIVE
from stigmem.core.erasure import ERASED, Erasures, forget_names
from stigmem.core.fact import Fact
from stigmem.core.gardens import Gardens
from stigmem.core.hlc import ZERO, Stamp, stamp_wall_ms
from stigmem.core.horizons import Horizons
from stigmem.core.ledger import Ledger
from stigmem.core.nonces import NonceTable, SpentNonce
from stigmem.core.quarantine import Quarantine
from stigmem.core.records import (
    AgentKeyRow,
    AliasRow,
    AttestedFact,
    ClockDoubt,
    ClockMark,
    ClockReset,
    CursorRow,
    DeadLetter,
    DeliveryMark,
    ErasedAudit,
    GardenFact,
    GardenRow,
    HorizonMark,
    Husk,
    KeyRow,
    OriginRow,
    PeerRow,
    QuarantineRow,
    Receipt,
    Record,
    RevocationRow,
    StatedTrust,
    SubscriptionRow,
    SweptFact,
    SweptGardenFact,
    TombstoneRow,
)
from stigmem.core.schemas import SCHEMA_RELATION, SchemaBook
from stigmem.node.intake_quota import IntakeQuota
from stigmem.node.ports import Clock
from stigmem.node.settings import NodeSettings

__all__ = ["NodeState"]


class NodeState:
    """Ledger, peers, cursors, origins, nonces, dead letters, keys, hybrid clock and audit head."""

    def __init__(self, settings: NodeSettings, clock: Clock) -> None:
        self._clock = clock
        self.erasures = Erasures()
        self.schemas = SchemaBook(settings.schema_authorities, settings.node_id)
        self.ledger = _ledger(settings, self.schemas, self.erasures)
        self.conflicts = ConflictBook(self.ledger)
        self.stamp: Stamp = ZERO
        self.used: Stamp = ZERO
        """The newest stamp that was issued before the clock was reset the last time; facts of this node may have any
        stamp up to there."""
        self.doubted_line_ms = 0
        """The time that this node went by when it began to doubt its clock; 0 while it does not."""
        self.head = ChainHead()
        self.nonces = NonceTable()
        self.peers: dict[str, PeerRow] = {}
        self.cursors: dict[str, CursorRow] = {}
        self.origins: dict[str, OriginRow] = {}
        self.origins_vouched: dict[str, int] = {}
        """Node id -> how many of the origins above became known by its word."""
        self.letters: dict[str, dict[str, tuple[str, ...]]] = {}
        """Peer -> names of rejected facts with the codes of their rejections, oldest first, bounded."""
        self.awaiting: dict[str, dict[str, None]] = {}
        """Peer -> origins whose facts it served before their keys were known, oldest first, bounded."""
        self.deferred: dict[tuple[str, str], DeadLetter] = {}
        self.rereadings: dict[tuple[str, str], DeadLetter] = {}
        """Peer and name of a letter -> what of the peer is read again when an origin's quota allows, oldest first."""
        self.keys: dict[str, KeyRow] = {}
        self.key_holders: dict[str, int] = {}
        """Entity -> how many keys it has: whose names peers may not write in."""
        self.agent_keys: dict[str, AgentKeyRow] = {}
        """Agents' public keys by their ids, oldest first, revoked and expired ones included."""
        self.attestations = AttestationBook()
        self.receipts: dict[str, Receipt] = {}
        self.subscriptions: dict[str, SubscriptionRow] = {}
        self.deliveries: dict[str, DeliveryMark] = {}
        self.refused_deliveries: dict[str, dict[int, int]] = {}
        """Subscription -> local sequence numbers of facts that its address refused for good, with the status,
        bounded."""
        self.gardens = Gardens(self.schemas, self.erasures)
        self.decay = DecayPolicies(settings.decay_policies, self.schemas)
        self.stated_trust: dict[str, str] = {}
        """Fact of this node -> the trust class that its author stated."""
        self.other_names: dict[str, dict[str, None]] = {}
        """Entity -> its other names, oldest first."""
        self.aliases: dict[str, AliasRow] = {}
        """Other names of entities, by the other name, oldest first."""
        self.quarantine = Quarantine()
        self.horizons = Horizons()
        self.intake = IntakeQuota(settings.intake, ledger=self.ledger, horizons=self.horizons)
        self._receipt_bytes = 0
        self._peer_of_node: dict[str, str] = {}
        self._appliers = self._build_appliers()

    def _build_appliers(self) -> dict[type, Callable[[Any], None]]:
        return {
            Fact: self._fact,
            AuditRow: self._audit,
            SpentNonce: self._nonce,
            ClockMark: self._mark,
            ClockReset: self._reset,
            ClockDoubt: self._doubt,
            PeerRow: self._peer,
            CursorRow: self._cursor,
            OriginRow: self._origin,
            DeadLetter: self._letter,
            KeyRow: self._key,
            AgentKeyRow: self._agent_key,
            AttestedFact: self._attested,
            Receipt: self._receipt,
            SubscriptionRow: self._subscription,
            DeliveryMark: self._delivery,
            GardenRow: self.gardens.apply_row,
            GardenFact: self._garden_fact,
            SweptFact: self._swept,
            SweptGardenFact: self._swept_in_garden,
            StatedTrust: self._trust,
            HorizonMark: self.horizons.add,
            AliasRow: self._alias,
            QuarantineRow: self.quarantine.apply,
            TombstoneRow: self._tombstone,
            RevocationRow: self._revocation,
            Husk: self._husk,
            ErasedAudit: lambda _: None,
        }

    def apply(self, record: Record) -> None:
        """Take in one committed record."""
        self._appliers[type(record)](record)

    def apply_all(self, records: Sequence[Record]) -> None:
        """Take in a batch of the journal at a start: as `apply` for each, facts in a row together. Raises ValueError
        when a fact does not follow from those before it."""
        for kind, run in groupby(records, key=type):
            if kind is Fact:
                self._facts([record for record in run if isinstance(record, Fact)])
            else:
                for record in run:
                    self.apply(record)

    def advance(self, now_us: int) -> None:
        """Apply expiry as of an instant, in microseconds since the epoch."""
        self.ledger.advance(now_us)
        if len(self.gardens):  # most nodes have none, and this is asked of each batch
            for garden in self.gardens:
                garden.ledger.advance(now_us)
        self._reinterpret(self.schemas.time_passed(self.ledger))

    def rederive(self, words_max: int) -> None:
        """Go on deriving slots anew, by at most so many words of each ledger."""
        if self.slots_to_rederive:
            for ledger in (self.ledger, *(garden.ledger for garden in self.gardens)):
                ledger.rederive(words_max)
            # A schema may be among what counts again, or no longer.
            self._reinterpret(self.schemas.refresh(self.ledger))

    @property
    def slots_to_rederive(self) -> int:
        """How many slots do not show yet what follows from the present meaning of their words."""
        waiting = self.ledger.slots_to_rederive
        if len(self.gardens):
            waiting += sum(garden.ledger.slots_to_rederive for garden in self.gardens)
        return waiting

    def peer_of(self, node_id: str) -> PeerRow | None:
        """The peer row of a node id, whatever its status."""
        peer_id = self._peer_of_node.get(node_id)
        return self.peers[peer_id] if peer_id is not None else None

    def key_of_origin(self, node_id: str) -> str | None:
        """The public key that speaks for an origin, if this node knows one."""
        row = self.origins.get(node_id)
        return row.public_key if row is not None else None

    def stamps_ahead_ms(self, now_ms: int) -> int:
        """By how much this node's newest stamp is ahead of `now_ms` where that is more than peers accept, so that what
        it writes now reaches nobody before that time has passed; else 0."""
        ahead_ms = stamp_wall_ms(self.stamp) - now_ms
        return ahead_ms if ahead_ms > limits.SKEW_FUTURE_MS else 0

    def manifest_of(self, node_id: str) -> str:
        """The JSON text of an origin's manifest, as it is passed on with the origin's first fact; empty when there is
        none, or it is longer than peers take."""
        row = self.origins.get(node_id)
        return row.manifest if row is not None and len(row.manifest) <= limits.MANIFEST_CHARS_MAX else ""

    def _follow_schema(self, fact: Fact) -> None:
        """A fact may be a schema, or settle between schemas."""
        if fact.relation == SCHEMA_RELATION and fact.quarantine is None:
            self._reinterpret(self.schemas.added(self.ledger, fact))

    def _reinterpret(self, relations: list[str]) -> None:
        """Relations mean something else now: derive their slots anew."""
        for relation in relations:
            for ledger in (self.ledger, *(garden.ledger for garden in self.gardens)):
                ledger.reinterpret(relation)

    # --- one method per record ---

    def _fact(self, fact: Fact) -> None:
        self.ledger.add(fact)
        self._came(fact)

    def _facts(self, facts: Sequence[Fact]) -> None:
        self.ledger.extend(facts)
        for fact in facts:
            self._came(fact)

    def _came(self, fact: Fact) -> None:
        if self.ledger.log[fact.seq - 1].quarantine not in (None, ERASED):
            self.quarantine.add(fact)
        # Up to `used`, a mark says where the clock stands: a fact may have been stamped before it was reset.
        if fact.received_from is None and fact.stamp > self.stamp and fact.stamp > self.used:
            self.stamp = fact.stamp
        self._follow_schema(self.ledger.log[fact.seq - 1])  # its husk, if it is covered by a tombstone

    def _audit(self, row: AuditRow) -> None:
        self.head = ChainHead(row.seq, row.hash)

    def _nonce(self, record: SpentNonce) -> None:
        self.nonces.apply(record, self._clock.wall_ns() // 1_000_000, self._clock.monotonic_ns())

    def _mark(self, mark: ClockMark) -> None:
        self.stamp = max(self.stamp, mark.stamp)

    def _reset(self, record: ClockReset) -> None:
        self.stamp, self.used = record.stamp, max(self.used, record.used)

    def _doubt(self, record: ClockDoubt) -> None:
        self.doubted_line_ms = record.line_ms

    def _peer(self, row: PeerRow) -> None:
        if not row.is_deleted:
            self.peers[row.peer_id] = row
            self._peer_of_node[row.node_id] = row.peer_id
        else:
            self.peers.pop(row.peer_id, None)
            if self._peer_of_node.get(row.node_id) == row.peer_id:
                del self._peer_of_node[row.node_id]
            self.cursors.pop(row.peer_id, None)
            self.letters.pop(row.peer_id, None)
            self.awaiting.pop(row.peer_id, None)
        if row.status != ACTIVE:  # what it served is read again should it be approved again
            for waiting in (self.deferred, self.rereadings):
                for key in [key for key in waiting if key[0] == row.peer_id]:
                    del waiting[key]

    def _cursor(self, row: CursorRow) -> None:
        self.cursors[row.peer_id] = row

    def _origin(self, row: OriginRow) -> None:
        held, vouched = self.origins.get(row.node_id), self.origins_vouched
        if held is not None:
            vouched[held.vouched_by] -= 1
        vouched[row.vouched_by] = vouched.get(row.vouched_by, 0) + 1
        self.origins[row.node_id] = row
        if row.is_bound:
            for origins in self.awaiting.values():
                origins.pop(row.node_id, None)

    def _letter(self, letter: DeadLetter) -> None:
        held = self.letters.setdefault(letter.peer_id, {})
        codes = held.pop(letter.name, ())
        self._no_longer_waits(letter.peer_id, letter.name)
        if letter.is_cleared:
            return
        held[letter.name] = codes if letter.code in codes else (*codes, letter.code)
        if len(held) > limits.DEAD_LETTERS_PER_PEER_MAX:
            oldest = next(iter(held))
            del held[oldest]
            self._no_longer_waits(letter.peer_id, oldest)
        missing = letter.missing_origin
        if letter.is_deferred:
            self.deferred[letter.peer_id, letter.name] = letter
        elif letter.is_rereading:
            self.rereadings[letter.peer_id, letter.name] = letter
        elif missing:
            origins = self.awaiting.setdefault(letter.peer_id, {})
            origins[missing] = None
            if len(origins) > limits.UNKNOWN_ORIGINS_MAX:
                del origins[next(iter(origins))]

    def _no_longer_waits(self, peer_id: str, name: str) -> None:
        self.deferred.pop((peer_id, name), None)
        self.rereadings.pop((peer_id, name), None)

    def _key(self, row: KeyRow) -> None:
        held = self.keys.get(row.key_id)
        if held is not None:
            self.key_holders[held.entity_uri] -= 1
            if not self.key_holders[held.entity_uri]:
                del self.key_holders[held.entity_uri]
        if not row.is_deleted:
            self.keys[row.key_id] = row
            self.key_holders[row.entity_uri] = self.key_holders.get(row.entity_uri, 0) + 1
        else:
            self.keys.pop(row.key_id, None)

    def _agent_key(self, row: AgentKeyRow) -> None:
        if row.is_deleted:
            self.agent_keys.pop(row.key_id, None)
        else:
            self.agent_keys[row.key_id] = row

    def _attested(self, record: AttestedFact) -> None:
        is_erased = any(ledger.is_erased(record.origin, record.fact_id) for ledger in self.ledgers())
        self.attestations.apply(record, is_erased=is_erased)

    def _garden_fact(self, record: GardenFact) -> None:
        self.gardens.apply_fact(record.garden_id, record.fact)

    def _receipt(self, receipt: Receipt) -> None:
        held = self.receipts.pop(receipt.key, None)
        self._receipt_bytes += len(receipt.response) - (len(held.response) if held is not None else 0)
        if receipt.is_deleted:
            return
        self.receipts[receipt.key] = receipt
        oldest_us = receipt.at_us - limits.RECEIPT_LIFE_S * 1_000_000
        while True:
            first = next(iter(self.receipts.values()))
            full = len(self.receipts) > limits.RECEIPTS_MAX or self._receipt_bytes > limits.RECEIPTS_BYTES_MAX
            if first is receipt or not (full or first.at_us < oldest_us):
                return
            del self.receipts[first.key]
            self._receipt_bytes -= len(first.response)

    def _subscription(self, row: SubscriptionRow) -> None:
        if not row.is_deleted:
            self.subscriptions[row.subscription_id] = row
        else:
            self.subscriptions.pop(row.subscription_id, None)
            self.deliveries.pop(row.subscription_id, None)
            self.refused_deliveries.pop(row.subscription_id, None)

    def _delivery(self, mark: DeliveryMark) -> None:
        name = mark.subscription_id
        self.deliveries[name] = mark
        if mark.refused:
            refused = self.refused_deliveries.setdefault(name, {})
            refused[mark.seq] = mark.refused
            if len(refused) > limits.REFUSED_DELIVERIES_MAX:
                del refused[min(refused)]

    def _swept(self, row: SweptFact) -> None:
        self.ledger.sweep(row.seq, row.at_us)

    def _swept_in_garden(self, row: SweptGardenFact) -> None:
        garden = self.gardens.get(row.garden_id)
        if garden is not None:
            garden.ledger.sweep(row.seq, row.at_us)

    def _tombstone(self, row: TombstoneRow) -> None:
        had_key, is_new = bool(self.erasures.husk_key), self.erasures.apply_tombstone(row)
        if not had_key:
            for ledger in self.ledgers():
                ledger.match_husks()
        if not is_new:
            return
        for ledger in self.ledgers():
            gone = ledger.erase(row.tombstone)
            for fact in gone:
                self.quarantine.forget(fact)
                self.stated_trust.pop(fact.id, None)
                self.attestations.forget(fact)
            if ledger is self.ledger and gone:
                self._reinterpret(self.schemas.erased(ledger, gone))
        forget_names()

    def _revocation(self, row: RevocationRow) -> None:
        if self.erasures.apply_revocation(row) is None:
            return
        for ledger in self.ledgers():
            for fact in ledger.restore():
                self.attestations.restore(fact)
                if fact.quarantine is not None:
                    self.quarantine.add(fact)
                if ledger is self.ledger:
                    self._follow_schema(fact)

    def ledgers(self) -> list[Ledger]:
        """That of the node, and those of its gardens."""
        return [self.ledger, *(garden.ledger for garden in self.gardens)]

    def _husk(self, record: Husk) -> None:
        garden = self.gardens.get(record.garden_id) if record.garden_id else None
        if garden is not None:
            garden.ledger.husk_written(record.fact)
        elif not record.garden_id:
            self.ledger.husk_written(record.fact)

    def _trust(self, row: StatedTrust) -> None:
        self.stated_trust[row.fact_id] = row.trust_class

    def _alias(self, row: AliasRow) -> None:
        held = self.aliases.pop(row.raw, None)
        if held is not None:
            names = self.other_names[held.canonical]
            del names[row.raw]
            if not names:
                del self.other_names[held.canonical]
        if not row.is_deleted:
            self.aliases[row.raw] = row
            self.other_names.setdefault(row.canonical, {})[row.raw] = None


def _ledger(settings: NodeSettings, schemas: SchemaBook, erasures: Erasures) -> Ledger:
    trusted = frozenset(settings.resolvers)
    return Ledger(
        relay=settings.relay,
        resolvers=lambda origin: "*" in trusted or origin in trusted,
        cardinality=schemas.cardinality,
        fits=schemas.fits,
        erasures=erasures,
    )
