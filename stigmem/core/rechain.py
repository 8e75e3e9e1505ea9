"""A log of the first format in the format of today: chained anew once, under a row that says so and is signed.

Rows of the first format were hashed over what they say in the clear (`unsalted_hash`), so that nothing could be erased
without breaking the chain. Whoever kept a head of that chain must still be able to tell that nothing was changed since,
and so the new chain says which old head it took the place of:

    rows 1 to n    as they were, each with a salt, chained anew
    row n + 1      `audit_rechained`: both heads, signed with the key of the node

Invariants:

* R1. What the rows say is untouched, so that as long as none of them was erased the old chain can be computed again,
  and must lead to the old head (`OldChain`).
* R2. A log that was altered before does not become sound by this: what was found broken is said in the signed row.

Wart: once a row among the first n was erased, an old head other than the last is not recognised any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from stigmem.core.audit import AuditRow, ChainHead, append, commitment_of, event_hash, unsalted_hash
from stigmem.core.canonical import compact
from stigmem.core.keys import Signer, Suite, decode_base64, encode_base64

__all__ = ["EVENT", "OldChain", "Rechaining", "chained_anew", "read_rechaining", "rechaining_row"]

EVENT: Final = "audit_rechained"
_SENTENCES: Final = {
    "seq_gap": "a row was missing after row {}",
    "previous_hash_mismatch": "the row after row {} did not follow from it",
    "hash_mismatch": "the row after row {} had been changed",
}


class OldChain:
    """The chain of the first format, followed over rows whose hashes may be those of today."""

    def __init__(self) -> None:
        self.head = ChainHead()
        self.finding = ""
        """What was broken in it, as a sentence; empty while nothing is."""

    def judge(self, row: AuditRow) -> None:
        """Go on by a row that has the hash of the first format; what breaks the chain first is kept."""
        if not self.finding:
            reason = None
            if row.seq != self.head.seq + 1:
                reason = "seq_gap"
            elif row.previous != self.head.hash:
                reason = "previous_hash_mismatch"
            elif row.hash != unsalted_hash(row, row.previous):
                reason = "hash_mismatch"
            if reason is not None:
                self.finding = _SENTENCES[reason].format(self.head.seq)
        self.head = ChainHead(row.seq, row.hash)

    def follow(self, row: AuditRow) -> None:
        """Go on by a row that has been chained anew."""
        self.head = ChainHead(row.seq, unsalted_hash(row, self.head.hash))


class Rechaining(msgspec.Struct):
    """What the signed row says. Heads are SEQ:HASH; `finding` is what was broken before, or empty."""

    rows: int
    old_head: str
    new_head: str
    finding: str
    public_key: str
    signature: str

    def is_signed(self, suite: Suite, node_id: str) -> bool:
        """Whether the key it names has signed it, for this node."""
        try:
            signature = decode_base64(self.signature)
        except ValueError:
            return False
        return suite.verify(self.public_key, _signed_text(self, node_id), signature)


def _signed_text(said: Rechaining, node_id: str) -> bytes:
    members: dict[str, object] = {
        "event": EVENT, "finding": said.finding, "new_head": said.new_head, "node_id": node_id,
        "old_head": said.old_head, "rows": said.rows,
    }  # fmt: skip
    return compact(members)


def chained_anew(rows: Iterable[AuditRow], old: OldChain, salt: Callable[[], bytes]) -> Iterator[AuditRow]:
    """Rows of the first format, from the first on and without gaps, in the format of today; `old` notes where the old
    chain led."""
    head = ChainHead()
    for row in rows:
        old.judge(row)
        salt_hex = salt().hex()
        commitment = commitment_of(salt_hex, row.subject, row.detail)
        digest = event_hash(head.seq + 1, row.event, commitment, row.fact_id, row.ts_us, head.hash)
        new = AuditRow(
            head.seq + 1, row.event, row.subject, row.fact_id, row.detail, row.ts_us, head.hash, digest, salt_hex
        )
        head = ChainHead(new.seq, new.hash)
        yield new


def rechaining_row(
    old: OldChain, head: ChainHead, *, node_id: str, signer: Signer, ts_us: int, salt: bytes
) -> AuditRow:
    """The signed row that follows the rows that were chained anew up to `head`."""
    said = Rechaining(
        rows=head.seq,
        old_head=f"{old.head.seq}:{old.head.hash}",
        new_head=f"{head.seq}:{head.hash}",
        finding=old.finding,
        public_key=signer.public_key,
        signature="",
    )
    said.signature = encode_base64(signer.sign(_signed_text(said, node_id)))
    return append(head, EVENT, node_id, None, msgspec.structs.asdict(said), ts_us, salt=salt)


def read_rechaining(row: AuditRow) -> Rechaining | None:
    """What a row of this event says; None when it says nothing of the kind."""
    try:
        return msgspec.json.decode(row.detail, type=Rechaining)
    except msgspec.MsgspecError:
        return None
