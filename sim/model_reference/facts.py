"""A record of dialect 0.5, its content id, and what is looked at before one is stored (contract, 3.2 to 3.5).

Whatever is wrong with a record is an `Aborted`: an error while a page is taken in ends the whole cycle, so that one
kind of exception is enough, with the reason for the log.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Final

import msgspec

__all__ = ["Aborted", "StoredFact", "check_record", "content_id", "extends", "page_record", "value_text"]

_SCOPES: Final = ("local", "team", "company", "public")
_TYPES: Final = ("string", "text", "number", "boolean", "datetime", "ref", "null")
_NULLS: Final = (
    "origin_node_id", "origin_allowed_scopes", "attested_key_id", "attested", "source_trust", "quarantine_status",
    "quarantine_garden_id", "effective_confidence", "garden_id",
)  # fmt: skip


class Aborted(Exception):
    """An error that ends a cycle of pulls: the rest of the page and of the peers is left, and the cursor stays."""


class StoredFact(msgspec.Struct, kw_only=True):
    """A fact as it is stored: the body as it came, and a stamp of this node's own."""

    id: str
    entity: str
    relation: str
    source: str
    scope: str
    kind: str
    text: str
    interpret_as: str
    confidence: float
    timestamp: str
    hlc: str
    valid_until: str | None
    cid: str | None
    received_from: str | None
    """Node id of who served it; None for a fact of this node."""
    derived: bool = False

    @property
    def slot(self) -> tuple[str, str, str]:
        """What facts contradict each other in."""
        return self.entity, self.relation, self.scope

    def is_expired(self, now_s: float) -> bool:
        """Whether its time is over."""
        return self.valid_until is not None and _instant(self.valid_until) <= now_s

    def content(self) -> tuple[str, ...]:
        """Everything that nodes that hold it must agree about."""
        return (
            self.entity, self.relation, self.source, self.scope, self.kind, self.text, self.interpret_as,
            repr(self.confidence), str(self.valid_until),
        )  # fmt: skip


def value_text(value: dict[str, Any]) -> str:
    """The text form of a value: what is stored and hashed."""
    found = value.get("v")
    if value["type"] == "null":
        return "null"
    return ("true" if found else "false") if value["type"] == "boolean" else str(found)


def content_id(fields: dict[str, Any]) -> str:
    """Of the seven fields of dialect 0.5."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def hashed_fields(entity: str, relation: str, source: str, scope: str) -> dict[str, Any]:
    """Four of the seven fields."""
    return {"entity": entity, "relation": relation, "source": source, "scope": scope}


def page_record(fact: StoredFact) -> dict[str, Any]:
    """A fact as a page shows it. Numbers come back as floats, whatever they were hashed as."""
    shown: Any = {"number": lambda: float(fact.text), "boolean": lambda: fact.text == "true", "null": lambda: None}.get(
        fact.kind, lambda: fact.text
    )()
    return {
        "id": fact.id, "entity": fact.entity, "relation": fact.relation, "source": fact.source, "scope": fact.scope,
        "value": {"type": fact.kind, "v": shown, "interpret_as": fact.interpret_as}, "confidence": fact.confidence,
        "timestamp": fact.timestamp, "hlc": fact.hlc, "valid_until": fact.valid_until, "cid": fact.cid,
        "received_from": None, "contradicted": False, "warnings": [], "sanitizer_warnings": [],
        "sanitizer_redacted": False, "derived_from": [], **dict.fromkeys(_NULLS),
    }  # fmt: skip


def check_record(record: Any, known: StoredFact | None) -> StoredFact | None:
    """What a record of a page would be stored as, its stamp still the sender's; None when it is known already.

    The steps in the reference's order. The scopes of the link, the source and reserved names are not looked at.
    """
    try:
        fact_id, scope, source = record["id"], record["scope"], record["source"]
        body = {"entity": record["entity"], "relation": record["relation"], "source": source, "scope": scope}
        kind, text, confidence = record["value"]["type"], value_text(record["value"]), float(record["confidence"])
        timestamp = record["timestamp"]
        cid = record.get("cid")
        hashed = body | {"confidence": confidence, "value_type": kind, "value_v": text}
        if cid is not None and content_id(hashed) != cid:
            raise Aborted("cid_mismatch")
        use = record["value"].get("interpret_as", "content")
        if use not in ("content", "instruction"):
            raise Aborted("invalid_interpret_as")
        if (
            use == "instruction"
            or body["entity"].startswith("instruction:")
            or body["relation"].startswith("instruction:")
        ):
            raise Aborted("quarantine_garden_required")
        until = record.get("valid_until")
        if known is not None:
            if extends(until, known.valid_until):
                raise Aborted("valid_until_extension")
            return None
        fact = StoredFact(
            id=fact_id, scope=scope, source=source, entity=body["entity"], relation=body["relation"], kind=kind,
            text=text, interpret_as=use, confidence=confidence, timestamp=timestamp, hlc=record.get("hlc") or "",
            valid_until=until, cid=cid, received_from=None,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Aborted(f"malformed: {error!r:.80}") from error
    return fact


def check_columns(fact: StoredFact) -> None:
    """What the reference's database refuses. Raises Aborted."""
    texts = (fact.id, fact.entity, fact.relation, fact.source, fact.timestamp)
    if not all(isinstance(text, str) for text in texts):
        raise Aborted("a column is no text")
    if fact.scope not in _SCOPES or fact.kind not in _TYPES or not 0.0 <= fact.confidence <= 1.0:
        raise Aborted("a column breaks its bound")


def extends(incoming: str | None, stored: str | None) -> bool:
    """Whether a fact that came again would live longer than the stored one."""
    if incoming is None or stored is None:
        return incoming is None and stored is not None
    return _instant(incoming) > _instant(stored)


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
