"""Erasing: what a tombstone suppresses in memory at once leaves the journal in steps, until nothing of it is left.

Theory
------
When the state takes in a tombstone, every covered fact is replaced by its husk in the same turn
(`stigmem.core.ledger_erasure`): nobody is shown one any more. The journal still has them, and so have records of other
kinds. The eraser goes through all of that in commits of a bounded size:

1. **Facts**: each husk that the journal does not have yet takes the place of its fact.
2. **Other records** that name who is to be forgotten: answers to idempotency keys, facts that were too early, other
   names, keys, agents' keys and what was signed with them, subscriptions, memberships of gardens, notes of moderators.
3. **Audit rows** about an erased fact, or that name who is to be forgotten: what they say goes, their place stays
   (`stigmem.core.audit`). Rows about tombstones name tombstones and nobody else.
4. **The file**: the journal is rewritten without what was deleted or replaced, its write-ahead log included.
5. The tombstone is marked as finished.

* X1. Each step can be repeated: a crash between any two commits costs that the next start begins again with step 1, and
  finds less to do. A tombstone is finished only when all steps of it are through.
* X2. Under a legal hold nothing is erased. A tombstone that is not finished cannot be revoked (`busy`): it is either
  taken back whole, before it came, or carried out whole.
* X3. What is committed while the eraser works is covered by the tombstone already: it comes as a husk, and is found in
  step 1 again before the tombstone is finished.

Example: `user:ada` has forty facts and wrote six hundred audit rows. One commit for the forty, none for other records,
two or three for the rows, one rewriting of the file, one commit for the mark.

Warts: rewriting the file takes as long as reading and writing all of it, and writes wait meanwhile. A disk without room
for a second copy cannot be rewritten; the eraser says so by trying again every minute. Backups, and write-ahead logs
that `stigmem recover` set aside, are the operator's to delete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from stigmem.core import limits
from stigmem.core.audit import AuditRow, erased
from stigmem.core.ledger import Ledger
from stigmem.core.records import (
    AliasRow,
    DeadLetter,
    ErasedAudit,
    GardenRow,
    Husk,
    QuarantineRow,
    Record,
    TombstoneRow,
)
from stigmem.core.uris import normalise_filter
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Clock, Journal, JournalFull
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction

__all__ = ["Eraser", "Mentions", "Remains", "remains_of"]

_AGAIN_NS: Final = 60_000_000_000
"""Before another try when the disk takes no writes."""
_ITS_OWN: Final = ("tombstone_", "entity_erased", "audit_rechained")
"""How the events of rows begin that name nobody who is to be forgotten."""
_EDGE: Final = r"[\w:/@.-]"


class Mentions:
    """Whether texts name one of some entities, alone or among other words."""

    def __init__(self, entities: Iterable[str]) -> None:
        self.names = {normalise_filter(entity): None for entity in entities}
        every = "|".join(re.escape(name) for name in {**dict.fromkeys(entities), **self.names})
        self._pattern = re.compile(f"(?<!{_EDGE})(?:{every})(?![\\w:/@-]|\\.\\w)", re.IGNORECASE)

    def is_name(self, text: str) -> bool:
        """Whether the text is the name and nothing else."""
        return normalise_filter(text) in self.names

    def are_in(self, text: str) -> bool:
        """Whether the text is the name or has it among other words."""
        return self._pattern.search(text) is not None

    def are_in_json(self, data: bytes | str) -> bool:
        """As `are_in`, for any text inside of a JSON document."""
        try:
            return any(map(self.are_in, _texts(msgspec.json.decode(data))))
        except (msgspec.DecodeError, RecursionError):
            return self.are_in(data.decode("utf-8", "replace") if isinstance(data, bytes) else data)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


# --- records of other kinds ---


class Remains(NamedTuple):
    """Records that name who is to be forgotten, by what they are, as the records that take them away."""

    receipts: list[Record]
    letters: list[Record]
    aliases: list[Record]
    keys: list[Record]
    subscriptions: list[Record]
    gardens: list[Record]
    quarantine: list[Record]
    agent_keys: list[Record]
    attestations: list[Record]

    def records(self) -> Iterator[Record]:
        for records in self:
            yield from records


def remains_of(state: NodeState, names: Mentions) -> Remains:
    """What of a node's other records names somebody; looks through all of them."""
    return Remains(
        receipts=[
            row.deleted() for row in state.receipts.values() if names.are_in(row.key) or names.are_in_json(row.response)
        ],
        letters=[
            DeadLetter.cleared(letter.peer_id, letter.name)
            for letter in state.deferred.values()
            if names.are_in_json(letter.raw or b"")
        ],
        aliases=[
            msgspec.structs.replace(row, canonical="")
            for row in state.aliases.values()
            if any(map(names.is_name, (row.raw, row.canonical, row.by)))
        ],
        keys=[row.deleted() for row in state.keys.values() if names.is_name(row.entity_uri)],
        subscriptions=[
            row.deleted()
            for row in state.subscriptions.values()
            if names.is_name(row.subscriber) or names.is_name(row.target)
        ],
        gardens=list(_changed_gardens((garden.row for garden in state.gardens), names)),
        quarantine=list(_changed_decisions(state.quarantine.rows(), names)),
        agent_keys=[row.deleted() for row in state.agent_keys.values() if names.is_name(row.entity_uri)],
        # In the published form a key may be of somebody else than the source.
        attestations=[
            record.deleted()
            for record in state.attestations
            if record.attestation is not None and names.is_name(record.attestation.key.entity_uri)
        ],
    )


def _changed_gardens(rows: Iterable[GardenRow], names: Mentions) -> Iterator[Record]:
    for row in rows:
        kept = tuple(
            msgspec.structs.replace(each, added_by="" if names.is_name(each.added_by) else each.added_by)
            for each in row.members
            if not names.is_name(each.entity_uri)
        )
        described = row.description is not None and names.are_in(row.description)
        changed = msgspec.structs.replace(
            row,
            members=kept,
            created_by="" if names.is_name(row.created_by) else row.created_by,
            description=None if described else row.description,
        )
        if changed != row:
            yield changed


def _changed_decisions(rows: Iterable[QuarantineRow], names: Mentions) -> Iterator[Record]:
    for row in rows:
        if names.is_name(row.acted_by) or names.are_in(row.note):
            yield msgspec.structs.replace(row, acted_by="", note="")


# --- commands ---


class _WriteHusks:
    """The command that has husks take the places of their facts in the journal."""

    def __init__(self, state: NodeState) -> None:
        self._state = state

    def stage(self, txn: Transaction) -> int:
        """How many were written; 0 when the journal has them all."""
        left = limits.ERASED_PER_BATCH_MAX
        for garden_id, ledger in _ledgers(self._state):
            for seq in list(ledger.unwritten)[:left]:
                husk = ledger.unwritten[seq]
                txn.add(Husk(husk, garden_id))
                attested = self._state.attestations.gone.get((husk.origin, husk.id))
                if attested is not None:
                    txn.add(attested.deleted())
                left -= 1
        return limits.ERASED_PER_BATCH_MAX - left


class _Write:
    """The command that stores records that take something away."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def stage(self, txn: Transaction) -> None:
        for record in self._records:
            if not isinstance(record, AliasRow) or record.raw in txn.state.aliases:
                txn.add(record)


class _Finish:
    """The command that marks tombstones as carried out, unless facts came meanwhile that are not erased yet."""

    def __init__(self, rows: Sequence[TombstoneRow], audit_rows: int) -> None:
        self._rows = rows
        self._audit_rows = audit_rows

    def stage(self, txn: Transaction) -> None:
        if any(ledger.unwritten for _, ledger in _ledgers(txn.state)):
            return
        for row in self._rows:
            txn.add(msgspec.structs.replace(row, finished_us=txn.now_us))
        names = [row.tombstone.id for row in self._rows]
        txn.audit("entity_erased", "system:stigmem:erasure", tombstones=names, audit_rows=self._audit_rows)


def _ledgers(state: NodeState) -> Iterator[tuple[str, Ledger]]:
    yield "", state.ledger
    for garden in state.gardens:
        yield garden.row.garden_id, garden.ledger


class Eraser:
    """Carries out the tombstones of a node, one round after the other."""

    def __init__(self, *, state: NodeState, mailbox: Mailbox, journal: Journal, clock: Clock) -> None:
        self._state = state
        self._mailbox = mailbox
        self._journal = journal
        self._clock = clock
        self._wake = clock.signal()
        self._is_running = False

    def start(self) -> None:
        """The node begins: go on with what is not finished."""
        if self._state.erasures.unfinished():
            self.tombstones_added()

    def tombstones_added(self) -> None:
        """Something may be to erase."""
        self._wake.set()
        if not self._is_running:
            self._is_running = True
            self._clock.spawn("eraser", self._run)

    async def _run(self) -> None:
        while await self._wake.wait():
            while self._state.erasures.unfinished():
                try:
                    await self.carry_out()
                except (NotStored, JournalFull):  # told elsewhere; nothing of it is visible meanwhile
                    await self._clock.sleep(_AGAIN_NS)

    async def carry_out(self) -> None:
        """One round, for every tombstone that is not finished. Raises NotStored, JournalFull."""
        rows = self._state.erasures.unfinished()
        names = Mentions(row.tombstone.entity_uri for row in rows)
        while await self._mailbox.submit(_WriteHusks(self._state)):
            continue
        remains = list(remains_of(self._state, names).records())
        for at in range(0, len(remains), limits.ERASED_PER_BATCH_MAX):
            await self._mailbox.submit(_Write(remains[at : at + limits.ERASED_PER_BATCH_MAX]))
        audit_rows = await self._erase_audit_rows(names)
        await self._journal.compact()
        await self._mailbox.submit(_Finish(rows, audit_rows))

    async def _erase_audit_rows(self, names: Mentions) -> int:
        after = count = 0
        while rows := await self._journal.audit(after, limits.AUDIT_ROWS_PER_SLICE_MAX):
            found = [ErasedAudit(row.seq, erased(row).commitment) for row in rows if self._is_about(row, names)]
            for at in range(0, len(found), limits.ERASED_PER_BATCH_MAX):
                await self._mailbox.submit(_Write(found[at : at + limits.ERASED_PER_BATCH_MAX]))
            count += len(found)
            after = rows[-1].seq
            await self._clock.checkpoint()
        return count

    def _is_about(self, row: AuditRow, names: Mentions) -> bool:
        if row.is_erased or row.event.startswith(_ITS_OWN):
            return False
        if row.fact_id is not None and any(ledger.is_id_of_husk(row.fact_id) for ledger in self._state.ledgers()):
            return True
        return names.is_name(row.subject) or names.are_in_json(row.detail)
