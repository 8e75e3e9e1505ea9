"""What a hostile peer can write under its genuine key: facts, signed entries, pages, tokens, and papers about itself.

Keys, ids, signatures and the shape of pages are genuine unless a script says otherwise, so that a page fails only for
the reason that it is meant to fail for. No network and no victims here; `sim.simulation.peer_script` has those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any, Final

import msgspec

from stigmem.core.declaration import EXTENSIONS, declare
from stigmem.core.envelope import TENANT, Origin, origin_bytes
from stigmem.core.fact import Fact, record_of
from stigmem.core.hlc import ZERO, stamp, tick
from stigmem.core.keys import Signer, encode_base64, fingerprint
from stigmem.core.manifest import certified_node_id, make_manifest
from stigmem.core.scopes import Scope
from stigmem.core.timestamps import format_us
from stigmem.core.token import mint
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["Author", "PeerIdentity"]

_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, kw_only=True)
class PeerIdentity:
    """Who a hostile peer is. Its node id is the one that belongs to its key."""

    name: str
    signer: Signer
    url: str
    dialect: str
    scopes: tuple[Scope, ...]
    """What it declares to its victims."""
    usual_scope: Scope
    """Of facts that say nothing else: one that its victims take."""

    @cached_property
    def node_id(self) -> str:
        return certified_node_id(self.signer.public_key)


class Author:
    """A peer with a key and a right clock, at its desk."""

    def __init__(self, identity: PeerIdentity, rng: Random, now_ms: Callable[[], int]) -> None:
        """`now_ms` is true time in milliseconds since the epoch."""
        self.identity = identity
        self.rng = rng
        self._now_ms = now_ms
        self._stamp = ZERO

    @property
    def now_ms(self) -> int:
        return self._now_ms()

    @property
    def fingerprint(self) -> str:
        """Of its key, as operators compare it."""
        return fingerprint(self.identity.signer.public_key)

    def uuid(self) -> str:
        digits = f"{self.rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def sign(self, message: bytes) -> bytes:
        return self.identity.signer.sign(message)

    # --- facts, entries and pages ---

    def fact(self, entity: str, relation: str, text: str, *, ahead_ms: int = 0, **changes: Any) -> Fact:
        self._stamp = tick(self._stamp, self.now_ms)
        stamped = stamp(self.now_ms + ahead_ms, self.rng.randrange(1000)) if ahead_ms else self._stamp
        node_id = self.identity.node_id
        members: dict[str, Any] = {
            "stamp": stamped,
            "origin": node_id, "id": "", "entity": entity, "relation": relation, "scope": self.identity.usual_scope,
            "source": node_id, "kind": "string", "text": text, "interpret_as": "content", "confidence": 1.0,
            "timestamp_us": self.now_ms * 1_000, "valid_until": None,
        }  # fmt: skip
        draft = Fact(**(members | changes))
        return draft if draft.id else msgspec.structs.replace(draft, id=draft.certified_id())

    def entry(
        self, fact: Fact, *, cid: str | None = None, grant: list[str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        if self.identity.dialect == "0.5":
            return _record(fact, cid or fact.cid) | changes
        digest = cid or fact.cid8
        origin = Origin(
            tenant=TENANT,
            node_id=fact.origin,
            allowed_scopes=[fact.scope] if grant is None else grant,
            allowed_tenants=[TENANT],
            entity_uri=self.identity.url,
        )
        signature = self.sign(origin_bytes(origin, fact.id, digest, fact.valid_until))
        return {
            "fact": _record(fact, digest) | changes,
            "origin": msgspec.to_builtins(origin),
            "origin_sig": encode_base64(signature),
            "origin_manifest": None,
            "origin_key_proof": None,
        }

    def page(self, entries: Sequence[bytes], cursor: Any, has_more: Any) -> Response:
        """A page of entries that are bytes already, in the peer's dialect."""
        head = b'{"facts":[' if self.identity.dialect == "0.5" else b'{"v":2,"facts":['
        tail = msgspec.json.encode({"cursor": cursor, "has_more": has_more})
        return Response(200, JSON_TYPE, b"".join((head, b",".join(entries), b"],", tail[1:])))

    # --- tokens and requests ---

    def token(
        self,
        audience: str,
        *,
        nonce: str | None = None,
        scopes: tuple[str, ...] | None = None,
        at_ms: int | None = None,
    ) -> str:
        """A peer token for a node id."""
        return mint(
            self.identity.signer,
            issuer=self.identity.node_id,
            audience=audience,
            scopes=scopes or self.identity.scopes,
            nonce=nonce or self.uuid(),
            now_ms=self.now_ms if at_ms is None else at_ms,
        )

    def authorised(self, method: str, target: str, token: str, body: bytes = b"") -> Request:
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        return Request(method, target, headers | JSON_TYPE if body else headers, body)

    # --- papers about itself ---

    def declaration(self) -> bytes:
        """Its request to be a peer, signed now, as JSON."""
        me = self.identity
        return msgspec.json.encode(
            declare(
                me.signer,
                node_id=me.node_id,
                node_url=me.url,
                scopes=me.scopes,
                signed_at=format_us(self.now_ms * 1_000),
            )
        )

    def discovery(self) -> dict[str, Any]:
        """The document at the well-known address."""
        me = self.identity
        found: dict[str, Any] = {
            "version": "1.0", "node_id": me.node_id, "node_url": me.url, "auth": "required", "federation": "enabled",
            "federation_pubkey": me.signer.public_key, "entity_uri": me.url,
        }  # fmt: skip
        if me.dialect != "0.5":
            found["federation_version"] = "2.1"
        if me.dialect == "2.1+":
            found["federation_extensions"] = list(EXTENSIONS)
        return found

    def manifest(self, *entities: str) -> Any:
        me = self.identity
        issued = self.now_ms * 1_000 - _DAY_US
        return make_manifest(
            me.signer,
            entity_uri=me.url,
            entities=entities or (me.url, me.node_id),
            issued_at=format_us(issued),
            expires_at=format_us(issued + 365 * _DAY_US),
        )


def _record(fact: Fact, cid: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record_of(fact, cid)))
    return found
