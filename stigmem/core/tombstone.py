"""Tombstones and their revocations: what is signed, who may sign it, and for what (federation 9.3).

A tombstone says that an entity is to be forgotten; a revocation takes one back. Both are signed, travel like facts and
are verified by whoever gets them. What a node does about one is `stigmem.core.erasure`; where they are kept and passed
on is `stigmem.node`.

Authority, in the order in which it is asked for:

1. The signature holds under the key that this node knows for the signer.
2. The signer may speak for the entity: its manifest lists the entity, or a `stigmem://` name above it, or this node's
   operator has said so (`STIGMEM_FEDERATION_TOMBSTONE_SIGNERS`).
3. A revocation is its tombstone's signer's, and nobody else's.

Example: `stigmem://north.example` may have `stigmem://north.example/agent/x` forgotten by everybody, and `user:carol`
by those whose operators have listed it.

Wart: whoever may erase may do harm that cannot be undone. There is no second person who must agree and no time to think
it over; a legal hold keeps what is suppressed, so that it can come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec

from stigmem.core import limits
from stigmem.core.canonical import compact
from stigmem.core.errors import Rejection
from stigmem.core.keys import Signer, Suite, decode_base64, encode_base64, key_id
from stigmem.core.scopes import SCOPES
from stigmem.core.timestamps import parse_us

__all__ = [
    "EVERY_SCOPE", "Revocation", "Tombstone", "check_shape", "is_authority", "parse_revocation", "parse_tombstone",
    "sign_revocation", "sign_tombstone", "signed_bytes", "verify_signature",
]  # fmt: skip

EVERY_SCOPE: Final = "*"
_TOMBSTONE_PREFIX: Final = "tomb_"
_REVOCATION_PREFIX: Final = "tombrevoke_"
T = TypeVar("T", bound="Tombstone | Revocation")
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
_Reason = Annotated[str, msgspec.Meta(max_length=limits.TOMBSTONE_REASON_CHARS_MAX)]


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """`entity_uri` is to be forgotten in `scope`, which is one of the four or `*`. `created_at` is the signer's text. A
    `legal_hold` suppresses and erases nothing. `reason` is in no signature, so that it can be left out later."""

    id: _Name
    entity_uri: _Name
    scope: str
    reason: _Reason | None = None
    signed_by: _Name
    key_id: str = ""
    signature: str
    created_at: str
    legal_hold: bool = False

    def covers_scope(self, scope: str) -> bool:
        return self.scope in (EVERY_SCOPE, scope)


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """The tombstone of this id counts no more."""

    id: _Name
    tombstone_id: _Name
    reason: _Reason | None = None
    signed_by: _Name
    key_id: str = ""
    signature: str
    created_at: str


def signed_bytes(record: Tombstone | Revocation) -> bytes:
    """What a signature is over: every member but itself and the reason."""
    members = msgspec.structs.asdict(record)
    del members["signature"], members["reason"]
    return compact(members)


def sign_tombstone(draft: Tombstone, signer: Signer) -> Tombstone:
    """The tombstone with the id of the signer's key and its signature."""
    named = msgspec.structs.replace(draft, key_id=key_id(signer.public_key))
    return msgspec.structs.replace(named, signature=encode_base64(signer.sign(signed_bytes(named))))


def sign_revocation(draft: Revocation, signer: Signer) -> Revocation:
    """The revocation with the id of the signer's key and its signature."""
    named = msgspec.structs.replace(draft, key_id=key_id(signer.public_key))
    return msgspec.structs.replace(named, signature=encode_base64(signer.sign(signed_bytes(named))))


def parse_tombstone(data: Any) -> Tombstone:
    """A tombstone from decoded JSON; raises Rejection `tombstone_malformed`."""
    return _read(data, Tombstone, "tombstone")


def parse_revocation(data: Any) -> Revocation:
    """A revocation from decoded JSON; raises Rejection `tombstone_malformed`."""
    return _read(data, Revocation, "revocation")


def _read(data: Any, kind: type[T], what: str) -> T:
    try:
        found = msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise Rejection("tombstone_malformed", f"the {what} is malformed: {error}") from error
    if not found.key_id:
        raise Rejection("tombstone_malformed", f"{what} missing key_id", field="key_id")
    return found


def check_shape(record: Tombstone | Revocation, now_us: int, skew_us: int) -> None:
    """What the types do not say: prefix of the id, scope, an instant that is not yet to come. Raises Rejection
    `tombstone_malformed`."""
    is_tombstone = isinstance(record, Tombstone)
    prefix = _TOMBSTONE_PREFIX if is_tombstone else _REVOCATION_PREFIX
    if not record.id.startswith(prefix):
        raise Rejection("tombstone_malformed", f"an id begins with {prefix}", field="id")
    if isinstance(record, Tombstone) and record.scope not in (EVERY_SCOPE, *SCOPES):
        raise Rejection("tombstone_malformed", f"scope is one of {', '.join(SCOPES)} or *", field="scope")
    try:
        created_us = parse_us(record.created_at)
    except ValueError as error:
        raise Rejection("tombstone_malformed", "created_at is no ISO-8601 instant", field="created_at") from error
    if created_us > now_us + skew_us:
        raise Rejection("tombstone_malformed", "created_at lies in the future", field="created_at")


def verify_signature(record: Tombstone | Revocation, public_key: str, suite: Suite) -> None:
    """Raises Rejection `tombstone_key_unknown` when it names another key than the signer's, and
    `tombstone_signature_invalid`."""
    if record.key_id != key_id(public_key):
        raise Rejection("tombstone_key_unknown", "key_id not in signer manifest", field="key_id")
    try:
        is_valid = suite.verify(public_key, signed_bytes(record), decode_base64(record.signature))
    except ValueError:
        is_valid = False
    if not is_valid:
        what = "tombstone" if isinstance(record, Tombstone) else "revocation"
        message = f"{what}_verification_failed: {what} signature verification failed"
        raise Rejection("tombstone_signature_invalid", message, field="signature")


def is_authority(signer: str, entity_uri: str, listed: Sequence[str], granted: Sequence[str]) -> bool:
    """Whether a signer may have an entity forgotten. `listed`: what its manifest lists. `granted`: the operator's list,
    each `SIGNER` or `SIGNER=PREFIX`, with `*` for any signer."""
    for name in listed:
        if name == entity_uri or (name.startswith("stigmem://") and entity_uri.startswith(name.rstrip("/") + "/")):
            return True
    for grant in granted:
        who, _, prefix = grant.partition("=")
        if who in ("*", signer) and entity_uri.startswith(prefix):
            return True
    return False
