"""Peer declarations: the signed statement "this is me, at this address, for these scopes" (federation 2).

Making and checking them, and the life of a peer as a transition table. Fetching the other side's discovery document
is `stigmem.node.membership.handshake`, which hands the answer in here.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from stigmem.core import limits
from stigmem.core.canonical import escaped
from stigmem.core.errors import Rejection
from stigmem.core.keys import Signer, Suite, decode_base64, encode_base64
from stigmem.core.scopes import Scope, ordered
from stigmem.core.timestamps import parse_us

__all__ = [
    "ACTIVE", "CERTIFYING", "EXTENSIONS", "PEER_TRANSITIONS", "PENDING", "REJECTED", "REVOKED", "UNVERIFIED",
    "Declaration", "Discovery", "declare", "signed_bytes", "step", "verify_declaration",
]  # fmt: skip

CERTIFYING: Final = "2.1+"
"""Dialect 2.1 between nodes whose fact ids commit to their stamps: ours."""
EXTENSIONS: Final = ("certified-ids", "wait")
"""What our nodes advertise beyond dialect 2.1: ids that commit to their facts, and pulls that wait for news."""

UNVERIFIED: Final = "pending_verification"
PENDING: Final = "pending_approval"
ACTIVE: Final = "active"
REJECTED: Final = "rejected"
REVOKED: Final = "revoked"

PEER_TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    ("", "register"): UNVERIFIED,
    (UNVERIFIED, "register"): UNVERIFIED,
    (REJECTED, "register"): UNVERIFIED,
    (REVOKED, "register"): UNVERIFIED,
    (UNVERIFIED, "verified"): PENDING,
    (UNVERIFIED, "refused"): REJECTED,
    (PENDING, "approve"): ACTIVE,
    (UNVERIFIED, "revoke"): REVOKED,
    (PENDING, "revoke"): REVOKED,
    (ACTIVE, "revoke"): REVOKED,
    (REJECTED, "delete"): "",
    (REVOKED, "delete"): "",
}
"""(state, event) -> state; the empty state is "no row". Whatever is not listed is refused."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]


class Declaration(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/federation/peers` (federation 2.1): base64url key and signature, `signed_at` as ISO-8601 text.
    Only the bounds of its texts have been checked when it exists."""

    node_url: _Text
    node_id: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NODE_ID_CHARS_MAX)]
    federation_pubkey: _Text
    allowed_scopes: Annotated[list[Scope], msgspec.Meta(max_length=16)]
    signed_at: _Text
    declaration_sig: _Text


class Discovery(msgspec.Struct, kw_only=True):
    """What of `/.well-known/stigmem` decides a registration; other members are ignored. None: the document lacks it."""

    node_id: str | None = None
    federation_pubkey: str | None = None
    federation_version: str | None = None
    federation_extensions: list[str] = []
    entity_uri: str | None = None

    @property
    def dialect(self) -> str:
        """The dialect to speak with this peer; 0.5 when it does not say (federation 0.1)."""
        if self.federation_version != "2.1":
            return "0.5"
        return CERTIFYING if "certified-ids" in self.federation_extensions else "2.1"


def step(state: str, event: str) -> str | None:
    """The peer's next state, or None when the event is not allowed in this one."""
    return PEER_TRANSITIONS.get((state, event))


def signed_bytes(declaration: Declaration) -> bytes:
    """What the declaring node signs: exactly five members as escaped JSON, the scopes in the order they were sent."""
    return escaped(
        {
            "allowed_scopes": list(declaration.allowed_scopes),
            "federation_pubkey": declaration.federation_pubkey,
            "node_id": declaration.node_id,
            "node_url": declaration.node_url,
            "signed_at": declaration.signed_at,
        }
    )


def declare(signer: Signer, *, node_id: str, node_url: str, scopes: tuple[str, ...], signed_at: str) -> Declaration:
    """A signed declaration of our own. Scopes are sorted by name, so that the order that is signed is the one that is
    sent; `signed_at` is ISO-8601 text."""
    draft = Declaration(
        node_url=node_url,
        node_id=node_id,
        federation_pubkey=signer.public_key,
        allowed_scopes=sorted(ordered(scopes)),  # type: ignore[arg-type]
        signed_at=signed_at,
        declaration_sig="-",
    )
    return msgspec.structs.replace(draft, declaration_sig=encode_base64(signer.sign(signed_bytes(draft))))


def verify_declaration(
    declaration: Declaration, discovery: Discovery | None, suite: Suite, *, now_ms: int, fresh: bool
) -> None:
    """Check a declaration against what its address serves. `discovery`: that document, or None when it could not be
    fetched. `now_ms`: our wall clock. `fresh`: whether the age of the declaration counts.

    Raises Rejection `declaration_sig`, `well_known_key_differs_or_unreachable`, `node_id_differs` or, when
    `fresh` asks for it, `declaration_stale` (S-15 to S-17).
    """
    try:
        signature = decode_base64(declaration.declaration_sig)
    except ValueError:
        signature = b""
    if not suite.verify(declaration.federation_pubkey, signed_bytes(declaration), signature):
        raise Rejection("declaration_sig", "the declaration is not signed by the key it names")
    if discovery is None or discovery.federation_pubkey != declaration.federation_pubkey:
        raise Rejection(
            "well_known_key_differs_or_unreachable",
            "the address declared does not serve the key declared, in the same spelling",
        )
    if discovery.node_id != declaration.node_id:
        raise Rejection("node_id_differs", "the address declared belongs to another node id")
    if fresh:
        bound = limits.DECLARATION_AGE_MS_MAX + limits.SKEW_FUTURE_MS
        try:
            age_ms = abs(now_ms - parse_us(declaration.signed_at) // 1000)
        except ValueError:
            age_ms = bound + 1
        if age_ms > bound:
            raise Rejection("declaration_stale", "signed_at is too far from this node's clock")
