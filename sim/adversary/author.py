"""What a hostile author can write: facts, signed entries and pages, each with one lie where its script wants one.

Keys, ids, signatures and the shape of pages are genuine unless a script says otherwise, so that a page fails
only for the reason it is meant to fail for. No network and no victims here.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from stigmem.core.declaration import EXTENSIONS
from stigmem.core.envelope import TENANT, Origin, origin_bytes
from stigmem.core.fact import Fact, record_of
from stigmem.core.hlc import ZERO, stamp, tick
from stigmem.core.keys import Signer, encode_base64
from stigmem.core.manifest import certified_node_id, make_manifest
from stigmem.core.scopes import Scope
from stigmem.core.timestamps import format_us
from stigmem.core.wire import JSON_TYPE, Response

__all__ = ["Author", "Entry", "members", "raw_page"]

Entry = dict[str, Any] | bytes
"""An entry as plain data, or already as bytes when it is not even JSON."""

_DAY_US: Final = 86_400_000_000


def raw_page(entries: list[bytes], *, cursor: Any, has_more: Any, bare: bool = False) -> Response:
    """A page of entries that are bytes already; `bare` is dialect 0.5."""
    head = b'{"facts":[' if bare else b'{"v":2,"facts":['
    tail = msgspec.json.encode({"cursor": cursor, "has_more": has_more})
    return Response(200, JSON_TYPE, b"".join((head, b",".join(entries), b"],", tail[1:])))


def members(answer: Response) -> dict[str, Any]:
    """The members of an answer's body; none when the wire garbled it."""
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _record(fact: Fact, cid: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record_of(fact, cid)))
    return found


class Author:
    """A key, an address and a right clock."""

    def __init__(self, signer: Signer, url: str, dialect: str, rng: Random, now_ms: Callable[[], int]) -> None:
        self.signer = signer
        self.url = url
        self.dialect = dialect
        self.rng = rng
        self.node_id = certified_node_id(signer.public_key)
        self.usual_scope: Scope = "public"
        """Of facts that say nothing else: one that its victims take."""
        self._now_ms = now_ms
        self._stamp = ZERO

    @property
    def now_ms(self) -> int:
        """True time in milliseconds since the epoch: a hostile peer's own clock is right."""
        return self._now_ms()

    def uuid(self) -> str:
        """A random id in the layout of version 4."""
        digits = f"{self.rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def fact(self, entity: str, relation: str, text: str, *, ahead_ms: int = 0, **changes: Any) -> Fact:
        """A complete fact of this author; `changes` are fields of Fact set before the id is made, so that the
        lie is consistently hashed and signed. An `id` among them is kept as it is."""
        self._stamp = tick(self._stamp, self.now_ms)
        stamped = stamp(self.now_ms + ahead_ms, self.rng.randrange(1000)) if ahead_ms else self._stamp
        members: dict[str, Any] = {
            "stamp": stamped,
            "origin": self.node_id, "id": "", "entity": entity, "relation": relation, "scope": self.usual_scope,
            "source": self.node_id, "kind": "string", "text": text, "interpret_as": "content", "confidence": 1.0,
            "timestamp_us": self.now_ms * 1_000, "valid_until": None,
        }  # fmt: skip
        draft = Fact(**(members | changes))
        return draft if draft.id else msgspec.structs.replace(draft, id=draft.certified_id())

    def entry(
        self, fact: Fact, *, cid: str | None = None, grant: list[str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """The signed entry of a fact, bare in dialect 0.5. `cid` and `grant` (the allowed scopes) are signed as
        they are given; `changes` are members of the record changed after signing."""
        if self.dialect == "0.5":
            return _record(fact, cid or fact.cid) | changes
        digest = cid or fact.cid8
        origin = Origin(
            tenant=TENANT,
            node_id=fact.origin,
            allowed_scopes=[fact.scope] if grant is None else grant,
            allowed_tenants=[TENANT],
            entity_uri=self.url,
        )
        signature = self.signer.sign(origin_bytes(origin, fact.id, digest, fact.valid_until))
        return {
            "fact": _record(fact, digest) | changes,
            "origin": msgspec.to_builtins(origin),
            "origin_sig": encode_base64(signature),
            "origin_manifest": None,
            "origin_key_proof": None,
        }

    def discovery(self) -> dict[str, Any]:
        """The document at the well-known address."""
        found: dict[str, Any] = {
            "version": "1.0", "node_id": self.node_id, "node_url": self.url, "auth": "required",
            "federation": "enabled", "federation_pubkey": self.signer.public_key, "entity_uri": self.url,
        }  # fmt: skip
        if self.dialect != "0.5":
            found["federation_version"] = "2.1"
        if self.dialect == "2.1+":
            found["federation_extensions"] = list(EXTENSIONS)
        return found

    def manifest(self, *entities: str) -> Any:
        """A genuine manifest of this key for itself and, when `entities` are given, for those instead."""
        issued = self.now_ms * 1_000 - _DAY_US
        return make_manifest(
            self.signer,
            entity_uri=self.url,
            entities=entities or (self.url, self.node_id),
            issued_at=format_us(issued),
            expires_at=format_us(issued + 365 * _DAY_US),
        )
