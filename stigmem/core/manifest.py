"""Organisation manifests: which key speaks for which node, signed by that key, with its rotations.

Parsing, verification and the rule by which one manifest may replace another (federation 1.5). Where manifests
are fetched, kept and served is `stigmem.node.membership` and `stigmem.node.api.manifests`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stigmem.core.canonical import compact
from stigmem.core.content_id import uuid_from_hash
from stigmem.core.errors import Rejection
from stigmem.core.keys import Signer, Suite, decode_base64, encode_base64, key_id
from stigmem.core.timestamps import parse_us

__all__ = [
    "Manifest", "RotationEvent", "certified_node_id", "make_manifest", "parse_manifest", "speaks_for",
    "verify_manifest", "verify_replacement", "verify_rotation_chain",
]  # fmt: skip

_DAY_US: Final = 86_400_000_000
LIFE_DAYS_MAX: Final = 730
"""Longest validity of a manifest, in days: the contract's two years (federation 1.5)."""
LIFE_DAYS_MAX_STRICT: Final = 365
"""As LIFE_DAYS_MAX where the operator is strict."""
ROTATION_EVENTS_MAX: Final = 100
"""Hand-overs that a manifest may list: the contract's bound; each costs one signature check."""


class RotationEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One hand-over of a key, signed by the key that retires. Keys and signature are base64url, `rotated_at` is
    ISO-8601 text, ids are those of `key_id`."""

    previous_key_id: str
    new_key_id: str
    new_public_key: str
    rotated_at: str
    signature: str
    previous_public_key: str = ""


class Manifest(msgspec.Struct, kw_only=True):
    """The wire object of federation 1.5. `entities`: the node ids and URIs that the key speaks for. Instants are
    ISO-8601 text; only `verify_manifest` has read them."""

    entity_uri: str
    key_id: str
    public_key: str
    issued_at: str
    expires_at: str
    entities: list[str] = []
    rotation_events: list[RotationEvent] = []
    signature: str = ""

    def expired(self, now_us: int) -> bool:
        """Whether `expires_at` has come; raises ValueError when it is no instant."""
        return parse_us(self.expires_at) <= now_us


def parse_manifest(data: Any) -> Manifest:
    """A Manifest from decoded JSON; raises Rejection `malformed_manifest`."""
    try:
        return msgspec.convert(data, Manifest)
    except msgspec.ValidationError as error:
        raise Rejection("malformed_manifest", f"the manifest is malformed: {error}") from error


def signed_bytes(manifest: Manifest) -> bytes:
    """Every member but the signature; an event's `previous_public_key` only when it has one."""
    members = msgspec.to_builtins(manifest)
    del members["signature"]
    return compact(members)


def make_manifest(
    signer: Signer, *, entity_uri: str, entities: tuple[str, ...], issued_at: str, expires_at: str
) -> Manifest:
    """A signed manifest of one key without rotations; instants are ISO-8601 text."""
    draft = Manifest(
        entity_uri=entity_uri,
        key_id=key_id(signer.public_key),
        public_key=signer.public_key,
        issued_at=issued_at,
        expires_at=expires_at,
        entities=list(entities),
    )
    return msgspec.structs.replace(draft, signature=encode_base64(signer.sign(signed_bytes(draft))))


def verify_manifest(manifest: Manifest, suite: Suite, *, strict: bool = False) -> None:
    """Check the window of validity, the number of events and the signature by the key itself. Whether the manifest has
    expired by now is the caller's question. `strict`: one year of validity at most instead of two.

    Raises Rejection `manifest_window`, `manifest_events` or `manifest_signature`.
    """
    try:
        issued, expires = parse_us(manifest.issued_at), parse_us(manifest.expires_at)
    except ValueError as error:
        raise Rejection("manifest_window", "issued_at and expires_at must be ISO-8601 instants") from error
    days = LIFE_DAYS_MAX_STRICT if strict else LIFE_DAYS_MAX
    if not 0 < expires - issued <= days * _DAY_US:
        raise Rejection("manifest_window", f"expires_at must lie after issued_at, by at most {days} days")
    if len(manifest.rotation_events) > ROTATION_EVENTS_MAX:
        raise Rejection("manifest_events", f"a manifest has at most {ROTATION_EVENTS_MAX} rotation events")
    if not _verify(suite, manifest.public_key, signed_bytes(manifest), manifest.signature):
        raise Rejection("manifest_signature", "the manifest is not signed by the key it names")


def event_bytes(event: RotationEvent) -> bytes:
    """What the retiring key signs."""
    return compact(
        {
            "new_key_id": event.new_key_id,
            "new_public_key": event.new_public_key,
            "previous_key_id": event.previous_key_id,
            "rotated_at": event.rotated_at,
        }
    )


def verify_rotation_chain(manifest: Manifest, known_key_id: str, known_public_key: str, suite: Suite) -> None:
    """Check that the rotations lead from a known key to the manifest's; raises Rejection `rotation_chain`."""
    events = manifest.rotation_events
    start = next((i for i, event in enumerate(events) if event.previous_key_id == known_key_id), None)
    if start is None:
        if manifest.key_id == known_key_id and not events and _same_key(manifest.public_key, known_public_key):
            return
        raise Rejection("rotation_chain", "no rotation leads from the known key to the manifest's key")
    seen = {known_key_id}
    current_id, current_key = known_key_id, known_public_key
    for event in events[start:]:
        if event.previous_key_id != current_id:
            raise Rejection("rotation_chain", "the rotations have a gap")
        if event.new_key_id in seen:
            raise Rejection("rotation_chain", "a key appears twice in the rotations")
        if not _verify(suite, current_key, event_bytes(event), event.signature):
            raise Rejection("rotation_chain", "a rotation is not signed by the key that retires")
        current_id, current_key = event.new_key_id, event.new_public_key
        seen.add(current_id)
    if current_id != manifest.key_id or not _same_key(current_key, manifest.public_key):
        raise Rejection("rotation_chain", "the rotations end at another key than the manifest's")


def verify_replacement(old: Manifest, new: Manifest, suite: Suite) -> None:
    """Check that `new` may take the place of `old`: same key *bytes*, or a chain of rotations to the new one."""
    if _same_key(old.public_key, new.public_key):
        return
    verify_rotation_chain(new, old.key_id, old.public_key, suite)


def certified_node_id(public_key: str) -> str:
    """The node id that is a hash of its key: nobody has to vouch for it (spec/identity.md, 2)."""
    return "stigmem:node:" + uuid_from_hash(b"stigmem node key\n" + decode_base64(public_key))


def speaks_for(manifest: Manifest, node_id: str, public_key: str | None = None) -> bool:
    """Whether the manifest lists the node, and its key is the one expected (if one is)."""
    return node_id in manifest.entities and (public_key is None or _same_key(manifest.public_key, public_key))


def _same_key(first: str, second: str) -> bool:
    try:
        return decode_base64(first) == decode_base64(second)
    except ValueError:
        return False


def _verify(suite: Suite, public_key: str, message: bytes, signature: str) -> bool:
    try:
        return suite.verify(public_key, message, decode_base64(signature))
    except ValueError:
        return False
