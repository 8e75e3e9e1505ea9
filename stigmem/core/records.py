"""What a journal holds: the typed records from which a node's whole state is rebuilt.

A record is a fact of the past and never changes; state is the fold of the records in order
(`stigmem.node.state`). The simulated disk keeps their bytes, the SQLite journal a table per type.
"""

from __future__ import annotations

from typing import Final

import msgspec

from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp
from stigmem.core.nonces import SpentNonce

__all__ = [
    "ClockMark", "CursorRow", "DeadLetter", "KeyRow", "OriginRow", "PeerRow", "Receipt", "Record",
    "decode_record", "encode_record",
]  # fmt: skip


class ClockMark(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="clock"):
    """High-water mark of the hybrid clock: no stamp up to here may be issued again."""

    stamp: Stamp


class PeerRow(msgspec.Struct, frozen=True, array_like=True, tag="peer"):
    """One peer as this node knows it; an empty status is a deleted row (federation 2.4)."""

    peer_id: str
    node_id: str
    node_url: str
    public_key: str
    scopes: tuple[str, ...]
    status: str
    dialect: str
    entity_uri: str = ""
    established_us: int | None = None
    reason: str = ""


class CursorRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="cursor"):
    """How far this node has read a peer. `watermark` is our newest sequence number at that moment, `drained`
    whether the peer's history had been read to its end, `taken` how many facts came from it in all."""

    peer_id: str
    cursor: str | None
    watermark: int
    drained: bool
    taken: int = 0
    updated_us: int = 0


class OriginRow(msgspec.Struct, frozen=True, array_like=True, tag="origin"):
    """The key of a node whose facts may arrive through others.

    `how`: `certified` (the node id is the key's hash), `pinned` (an operator or our own handshake) or
    `vouched` (on the word of a peer). `vouched_by` is the peer that brought a `vouched` or `certified` one.
    `manifest` is its JSON text, or empty.
    """

    node_id: str
    public_key: str
    how: str
    vouched_by: str = ""
    manifest: str = ""


class DeadLetter(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="letter"):
    """A rejected fact, remembered so that reading it again is not audited again.

    `raw` and `retry_ms` are set on a fact that was only too early: it is tried again at that wall time. An
    empty code takes the letter back.
    """

    peer_id: str
    name: str
    code: str
    raw: bytes | None = None
    retry_ms: int | None = None


class KeyRow(msgspec.Struct, frozen=True, array_like=True, tag="key"):
    """An API key: Argon2id text of the secret, never the secret. An empty `verifier` is a deleted key."""

    key_id: str
    entity_uri: str
    verifier: str
    permissions: tuple[str, ...]
    scopes: tuple[str, ...]
    description: str
    created_us: int
    expires_us: int | None


class Receipt(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="receipt"):
    """What an idempotency key was answered: hash of the request's body, and the response's bytes."""

    key: str
    body_hash: str
    response: bytes
    at_us: int


Record = Fact | AuditRow | SpentNonce | ClockMark | PeerRow | CursorRow | OriginRow | DeadLetter | KeyRow | Receipt

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Record]] = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """A record's bytes."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """A record from its bytes; raises ValueError when they are none."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a journal record: {error}") from error
