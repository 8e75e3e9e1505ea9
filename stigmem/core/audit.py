"""The audit log: a closed vocabulary and one hash chain over every event (federation 8.2, spec/audit.md).

Rows are made and verified here and stored by the journal. A chain shows that nothing inside it was changed,
removed or reordered; that rows were cut off at its end shows only against a head kept elsewhere.

The chain does not run over what a row says but over a **commitment** to it: the hash of the row's subject and detail
with a salt of its own. So what a row says can be erased, salt and all, and the chain stays whole: the commitment takes
its place, and without the salt nobody can try out what it was made of. Which event it was, when, and of which fact
stays for good.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from stigmem.core.canonical import compact, quote, sha256_hex

__all__ = [
    "EVENTS", "SALT_BYTES", "AuditRow", "ChainHead", "append", "commitment_of", "erased", "event_hash", "row_hash",
    "unsalted_hash", "verify",
]  # fmt: skip

SALT_BYTES: Final = 16
"""As much chance as a guess cannot meet, and no more: every write has a row."""

EVENTS: Final = frozenset(
    {
        "fact_write", "page_accepted", "rejected_fact", "rejected_token", "scope_violation", "replay_attempt",
        "peer_hlc_anomaly", "federation_integrity_rejected", "federation_valid_until_extension_rejected",
        "quarantine_ingest", "instruction_quarantined", "team_egress",
        "peer_registered", "peer_rejected", "peer_approved", "peer_approval_failed", "peer_revoked",
        "peer_deleted", "peer_reachable", "peer_unreachable", "origin_key_learned", "origin_key_conflict",
        "key_created", "key_revoked", "quota_breach", "cursor_imported", "strangers_suppressed",
        "agent_key_registered", "agent_key_revoked", "attestation_dropped",
        "page_refused", "san_mismatch", "peer_dialect_changed",
        "subscription_created", "subscription_deleted", "subscription_ended",
        "decay_swept", "alias_created", "alias_deleted",
        "clock_doubted", "clock_doubt_ended", "facts_voided",
        "garden_created", "garden_deleted", "garden_member_added", "garden_member_changed", "garden_member_removed",
        "garden_write", "garden_swept", "quarantine_promote", "quarantine_reject", "instruction_promoted",
        "peer_changed", "origin_key_pinned", "origin_confirm_failed",
        "audit_rechained",
        "tombstone_created", "tombstone_revoked", "tombstone_federation_ingested",
        "tombstone_revocation_federation_ingested", "tombstone_federation_rejected", "entity_erased",
    }
)  # fmt: skip
"""Every event a node may record; `append` refuses others, so that a reader can rely on the list."""
_ERASED_DETAIL: Final = "{}"


class AuditRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="audit"):
    """One event. `subject` is a peer id, an origin's node id or a principal's entity; `fact_id` is None where the event
    is not about a fact. `ts_us` is this node's wall clock in microseconds since the epoch.

    `detail` is canonical JSON text. `seq` starts at 1 and has no gaps; `previous` is None on the first row. `salt` is
    hex. A row that was erased has neither subject, detail nor salt, and its `commitment` instead, which is empty on all
    others, since it follows from these three.
    """

    seq: int
    event: str
    subject: str
    fact_id: str | None
    detail: str
    ts_us: int
    previous: str | None
    hash: str
    salt: str
    commitment: str = ""

    @property
    def is_erased(self) -> bool:
        """Whether what it said is gone."""
        return self.commitment != ""


class ChainHead(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="head"):
    """Where a chain stands: sequence number and hash of its last row."""

    seq: int = 0
    hash: str | None = None


def commitment_of(salt: str, subject: str, detail: str) -> str:
    """`sha256:` and the hash by which a row is bound to what it says."""
    text = f'{{"detail":{quote(detail)},"salt":{quote(salt)},"subject":{quote(subject)}}}'
    return sha256_hex(text.encode())


def event_hash(seq: int, event: str, commitment: str, fact_id: str | None, ts_us: int, previous: str | None) -> str:
    """`sha256:` and the hash of a row over its members, with the commitment for what it says, and the hash of the row
    before it (None on the first)."""
    # As `compact` would write it, at a third of the price: every fact that is written has a row.
    text = (
        f'{{"commitment":{quote(commitment)},"event":{quote(event)},"fact_id":{_text(fact_id)},'
        f'"previous_hash":{_text(previous)},"seq":{seq},"ts_us":{ts_us}}}'
    )
    return sha256_hex(text.encode())


def unsalted_hash(row: AuditRow, previous: str | None) -> str:
    """The hash that a row had in logs of the first format, where it ran over what the row says in the clear."""
    text = (
        f'{{"detail":{quote(row.detail)},"event":{quote(row.event)},"fact_id":{_text(row.fact_id)},'
        f'"previous_hash":{_text(previous)},"seq":{row.seq},"subject":{quote(row.subject)},"ts_us":{row.ts_us}}}'
    )
    return sha256_hex(text.encode())


def row_hash(row: AuditRow) -> str | None:
    """The hash that a row must have by its other members; None when these cannot be those of a row: what an erased one
    says, no commitment vouches for, and one without a salt commits to what can be guessed."""
    if row.is_erased:
        if row.subject or row.salt or row.detail != _ERASED_DETAIL:
            return None
        commitment = row.commitment
    elif len(row.salt) != 2 * SALT_BYTES:
        return None
    else:
        commitment = commitment_of(row.salt, row.subject, row.detail)
    return event_hash(row.seq, row.event, commitment, row.fact_id, row.ts_us, row.previous)


def erased(row: AuditRow) -> AuditRow:
    """The row without what it said; its place in the chain stays."""
    if row.is_erased:
        return row
    commitment = commitment_of(row.salt, row.subject, row.detail)
    return msgspec.structs.replace(row, subject="", detail=_ERASED_DETAIL, salt="", commitment=commitment)


def _detail(members: dict[str, object]) -> str:
    pieces = []
    for name in sorted(members):
        value = members[name]
        if type(value) is str:
            pieces.append(f"{quote(name)}:{quote(value)}")
        elif type(value) is int:
            pieces.append(f"{quote(name)}:{value}")
        else:
            return compact(members).decode()
    return "{" + ",".join(pieces) + "}"


def _text(member: str | None) -> str:
    return "null" if member is None else quote(member)


def append(
    head: ChainHead,
    event: str,
    subject: str,
    fact_id: str | None,
    detail: dict[str, object],
    ts_us: int,
    *,
    salt: bytes,
) -> AuditRow:
    """The row that follows `head`, with `detail` as canonical JSON. `salt`: SALT_BYTES of chance, for this row alone.
    Raises ValueError for an event outside the vocabulary. Nothing is stored: the caller stages the row and keeps the
    new head."""
    if event not in EVENTS:
        raise ValueError(f"unknown audit event {event!r}")
    seq, text, salt_hex = head.seq + 1, _detail(detail), salt.hex()
    commitment = commitment_of(salt_hex, subject, text)
    digest = event_hash(seq, event, commitment, fact_id, ts_us, head.hash)
    return AuditRow(seq, event, subject, fact_id, text, ts_us, head.hash, digest, salt_hex)


def verify(rows: Iterable[AuditRow], after: ChainHead | None = None) -> tuple[ChainHead, str | None]:
    """Walk rows from the first, or from the one `after` a head: the head reached, and what broke the chain after it, or
    None.

    The reasons are `seq_gap`, `previous_hash_mismatch` and `hash_mismatch`.
    """
    head = after or ChainHead()
    for row in rows:
        if row.seq != head.seq + 1:
            return head, "seq_gap"
        if row.previous != head.hash:
            return head, "previous_hash_mismatch"
        if row.hash != row_hash(row):
            return head, "hash_mismatch"
        head = ChainHead(row.seq, row.hash)
    return head, None
