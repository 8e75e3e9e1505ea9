"""A fact as a peer serves it, to be bent in tests: good unless changed, signed after the changes.

Only making entries and taking them in; what must come of them is said in the tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stigmem.core.canonical import compact
from stigmem.core.content_id import cid7, cid8
from stigmem.core.envelope import TENANT
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact, record_of
from stigmem.core.ingest import IngestPolicy, PeerLink, admit, verify
from stigmem.core.keys import STAND_IN, encode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.page import decode_entry
from stigmem.core.values import Value, parse_value
from tests.builders import T0_MS, fact

__all__ = ["LINK", "ORIGIN", "OURS", "RELAY", "SIGNER", "STRANGER", "Draft", "Receiver"]

OURS = "stigmem:node:ours"
ORIGIN = "stigmem:node:origin"
RELAY = "stigmem:node:relay"
STRANGER = "stigmem:node:stranger"
SIGNER = STAND_IN.signer(bytes(32))
LINK = PeerLink(ORIGIN, "2.1+", ("company", "public"))


@dataclass
class Draft:
    """An entry before it is signed. Members set by tests stay; content id and signature follow unless given."""

    fact: dict[str, Any]
    origin: dict[str, Any]
    cid: Any = "ours"
    signature: Any = "ours"
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, written: Fact | None = None, /, **changes: Any) -> Draft:
        """The entry of a fact that its origin wrote and certified; `changes` are changes of the fact."""
        made = msgspec.structs.replace(written or fact(1, origin=ORIGIN), **changes)
        made = msgspec.structs.replace(made, id=made.certified_id())
        origin = {
            "tenant": TENANT, "node_id": made.origin, "allowed_scopes": [made.scope], "allowed_tenants": [TENANT],
            "entity_uri": "http://origin.example",
        }  # fmt: skip
        return cls(json.loads(msgspec.json.encode(record_of(made, None))), origin)

    def entry(self, dialect: str) -> dict[str, Any]:
        """The JSON object of the entry in a dialect."""
        wire = dict(self.fact)
        if self.cid != "absent":
            wire["cid"] = self._hash(cid7 if dialect == "0.5" else cid8) if self.cid == "ours" else self.cid
        if dialect == "0.5":
            return wire
        entry: dict[str, Any] = {"fact": wire, "origin": self.origin, **self.extra}
        if self.signature != "absent":
            entry["origin_sig"] = self._sign(wire) if self.signature == "ours" else self.signature
        return {name: value for name, value in entry.items() if value != "absent"}

    def raw(self, dialect: str) -> bytes:
        """The bytes of the entry; characters that are no Unicode go as escapes."""
        return json.dumps(self.entry(dialect)).encode()

    def _hash(self, hash_of: Any) -> Any:
        wire = self.fact
        try:
            value = wire["value"]
            parsed = parse_value(value["type"], value.get("v"), value.get("interpret_as"))
        except Rejection:
            parsed = Value("string", "whatever")
        except (KeyError, TypeError, AttributeError, ValueError):
            return None
        try:
            return hash_of(wire["entity"], wire["relation"], wire["scope"], wire["source"], parsed, wire["confidence"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    def _sign(self, wire: dict[str, Any]) -> Any:
        origin = self.origin
        try:
            message = compact(
                {
                    "cid": wire["cid"], "entity_uri": origin["entity_uri"], "fact_id": wire["id"],
                    "origin_allowed_scopes": sorted(origin["allowed_scopes"]),
                    "origin_allowed_tenants": sorted(origin["allowed_tenants"]),
                    "origin_node_id": origin["node_id"], "origin_tenant": origin["tenant"], "tv": "2.1",
                    "valid_until": wire["valid_until"],
                }
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            return "AAAA"
        return encode_base64(SIGNER.sign(message))


class Receiver:
    """A node's ingest on a ledger: what it makes of drafts."""

    def __init__(self, **policy: Any) -> None:
        self.ledger = Ledger()
        self.now_ms = T0_MS
        keys = {ORIGIN: SIGNER.public_key, RELAY: SIGNER.public_key, OURS: SIGNER.public_key}
        self.policy = IngestPolicy(OURS, STAND_IN, keys.get, lambda source: source == "agent:admin", **policy)

    def judge(self, raw: bytes, link: PeerLink = LINK) -> Fact | None:
        """The fact to store, None for a repetition; raises Rejection."""
        candidate = verify(decode_entry(raw, link.dialect), link, self.policy)
        return admit(candidate, self.ledger, link, self.policy, self.now_ms)

    def take(self, draft: Draft, link: PeerLink = LINK) -> str | None:
        """Judge a draft and store it if it is good: the code of its rejection, `repeated`, or None."""
        try:
            found = self.judge(draft.raw(link.dialect), link)
        except Rejection as rejection:
            return rejection.code
        if found is None:
            return "repeated"
        self.store(found)
        return None

    def store(self, found: Fact) -> Fact:
        """Put a fact into the ledger."""
        stored = msgspec.structs.replace(found, seq=len(self.ledger) + 1)
        self.ledger.add(stored)
        return stored
