"""Checking what a node says without trusting it: content ids, and proofs of the chain of facts (http-api 1.9, 1.10).

Nothing here asks anybody: what is checked is whether the parts of an answer fit together.
"""

from __future__ import annotations

import hashlib
from typing import Final

from stigmem.client.models import Fact, FactChainCheckpointProof, FactChainProof
from stigmem.core.canonical import compact
from stigmem.core.content_id import cid7
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.values import parse_value

__all__ = ["StigmemVerificationError", "compute_fact_cid", "verify_fact_chain_proof", "verify_fact_cid"]

_KIND: Final = "stigmem.fact_chain_checkpoint"


class StigmemVerificationError(ValueError):
    """What the node says does not hold."""


def compute_fact_cid(fact: Fact) -> str:
    """The content id that a fact must have. Raises StigmemVerificationError for a value that cannot be hashed."""
    given = fact.value
    try:
        value = parse_value(given.type, None if given.type == "null" else given.v)
    except (Refusal, Rejection) as error:
        raise StigmemVerificationError(f"the value of fact {fact.id} is none: {error}") from error
    return cid7(fact.entity, fact.relation, fact.scope, fact.source, value, fact.confidence)


def verify_fact_cid(fact: Fact) -> str:
    """The content id of a fact, computed anew; a fact without one passes. Raises StigmemVerificationError."""
    computed = compute_fact_cid(fact)
    if fact.cid is not None and fact.cid != computed:
        raise StigmemVerificationError(f"fact {fact.id} says that its content id is {fact.cid}, and it is {computed}")
    return computed


def verify_fact_chain_proof(proof: FactChainProof | None, *, require_checkpoint: bool = False) -> None:
    """Check that the parts of a proof fit together. Raises StigmemVerificationError, with `require_checkpoint` also
    when nothing was told to a log outside."""
    if proof is None:
        raise StigmemVerificationError("there is no proof")
    if proof.checked_entries > 0 and proof.head_hash is None:
        raise StigmemVerificationError("the proof checked entries and names no head")
    checkpoint = proof.checkpoint
    if checkpoint is None:
        if require_checkpoint:
            raise StigmemVerificationError("the proof has no checkpoint")
        return
    wrong = _wrong(proof, checkpoint)
    if wrong:
        raise StigmemVerificationError(f"the checkpoint {wrong}")


def _wrong(proof: FactChainProof, checkpoint: FactChainCheckpointProof) -> str:
    """What is wrong with a checkpoint; empty when nothing is."""
    if checkpoint.status != "submitted":
        return "was not submitted"
    if checkpoint.tenant_id != proof.tenant_id:
        return "is another tenant's"
    if checkpoint.chain_hash != proof.head_hash:
        return "does not cover the head"
    if checkpoint.covered_chain_seq > proof.checked_entries:
        return "covers more than was checked"
    if not checkpoint.tl_leaf_hash:
        return "names no leaf"
    payload = checkpoint.tl_raw.get("payload")
    if payload is None:
        return ""
    expected = {
        "chain_hash": checkpoint.chain_hash, "covered_chain_seq": checkpoint.covered_chain_seq,
        "created_at": checkpoint.created_at, "kind": _KIND, "tenant_id": checkpoint.tenant_id, "version": 1,
    }  # fmt: skip
    if payload != expected:
        return "was submitted as something else"
    if hashlib.sha256(compact(payload)).hexdigest() != checkpoint.tl_leaf_hash:
        return "has another leaf"
    return ""
