"""The fact chain of http-api 1.10: one link per locally asserted fact, and checkpoints over it.

Hash formulas and their verification, for reading chains that the reference wrote and for the proofs its
client checks. Our own tamper evidence is the audit chain (`stigmem.core.audit`), which covers every event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from stigmem.core.canonical import compact, sha256_hex

__all__ = ["checkpoint_leaf", "fact_event_hash", "link_hash", "log_line_hash", "verify_chain"]

_EVENT_MEMBERS: Final = (
    "cid", "confidence", "entity", "relation", "scope", "source", "tenant_id", "value_type", "value_v",
)  # fmt: skip
_LINK_MEMBERS: Final = ("chain_seq", "created_at", "event_hash", "fact_id", "previous_hash", "tenant_id")


def fact_event_hash(fact: Mapping[str, Any]) -> str:
    """Hash of what was asserted: a mapping with `id` and the nine members of the contract."""
    return sha256_hex(compact({"fact_id": fact["id"], **{name: fact[name] for name in _EVENT_MEMBERS}}))


def link_hash(link: Mapping[str, Any]) -> str:
    """Hash of one link over its place, its event and the link before it."""
    return sha256_hex(compact({name: link[name] for name in _LINK_MEMBERS}))


def checkpoint_leaf(payload: Mapping[str, Any]) -> str:
    """Leaf hash of a checkpoint payload in a transparency log: bare hex."""
    return hashlib.sha256(compact(dict(payload))).hexdigest()


def log_line_hash(previous_hash: str, leaf_hash: str) -> str:
    """Chain hash of a local log line: SHA-256 of two hex strings set side by side."""
    return hashlib.sha256((previous_hash + leaf_hash).encode("ascii")).hexdigest()


def verify_chain(
    links: Iterable[Mapping[str, Any]], facts: Mapping[str, Mapping[str, Any]], tenant_id: str
) -> tuple[int, str | None, str | None]:
    """Entries checked, head hash, and the reason of the first break or None.

    `facts` maps fact ids to facts. Links are walked by their place, whatever order they come in. Per link the
    order of checks is the reference's: place, previous hash, presence of the fact (in the same tenant), event
    hash, link hash.
    """
    checked, head = 0, None
    ours = [link for link in links if link["tenant_id"] == tenant_id]
    for link in sorted(ours, key=lambda link: int(link["chain_seq"])):
        if link["chain_seq"] != checked + 1:
            return checked, head, "chain_seq_gap"
        if link["previous_hash"] != head:
            return checked, head, "previous_hash_mismatch"
        fact = facts.get(link["fact_id"])
        if fact is None or fact["tenant_id"] != tenant_id:
            return checked, head, "fact_missing"
        if link["event_hash"] != fact_event_hash(fact):
            return checked, head, "event_hash_mismatch"
        if link["chain_hash"] != link_hash(link):
            return checked, head, "chain_hash_mismatch"
        checked, head = checked + 1, link["chain_hash"]
    return checked, head, None
