"""A client of any node that speaks the contract: `StigmemClient`, which blocks, and `AsyncStigmemClient`, for trio and
asyncio.

Names, models and errors are those of the published client, so that code written for that one runs here; besides them
there are batches, history, iterators over pages, `follow()` and subscriptions.

    with StigmemClient("http://127.0.0.1:8765", key) as node:
        node.assert_fact("user:ada", "memory:role", string_value("engineer"), "agent:me")
        for fact in node.iter_facts(entity="user:ada"):
            print(fact.relation, fact.value)
"""

from __future__ import annotations

from stigmem.client.awaiting import AsyncFollowing, AsyncStigmemClient
from stigmem.client.blocking import Following, StigmemClient
from stigmem.client.exceptions import (
    StigmemAuthError,
    StigmemConflictError,
    StigmemError,
    StigmemHTTPError,
    StigmemNotFoundError,
)
from stigmem.client.models import (
    AssertRequest,
    BatchItem,
    BatchResult,
    BooleanValue,
    Conflict,
    ConflictPage,
    ConflictResolution,
    DatetimeValue,
    Fact,
    FactChainCheckpointProof,
    FactChainProof,
    FactPage,
    FactScope,
    FactValue,
    LintReport,
    MemoryCard,
    Neighbor,
    NeighborPage,
    NodeInfo,
    NullValue,
    NumberValue,
    Peer,
    PeerPage,
    RecallRequest,
    RecallResponse,
    RecallWeights,
    RefValue,
    ResolveRequest,
    ScoreBreakdown,
    ScoredFact,
    StringValue,
    Subscription,
    Synthesis,
    TextValue,
    boolean_value,
    datetime_value,
    null_value,
    number_value,
    ref_value,
    string_value,
    text_value,
)
from stigmem.client.verification import (
    StigmemVerificationError,
    compute_fact_cid,
    verify_fact_chain_proof,
    verify_fact_cid,
)

__all__ = [
    "AssertRequest", "AsyncFollowing", "AsyncStigmemClient", "BatchItem", "BatchResult", "BooleanValue", "Conflict",
    "ConflictPage", "ConflictResolution", "DatetimeValue", "Fact", "FactChainCheckpointProof", "FactChainProof",
    "FactPage", "FactScope", "FactValue", "Following", "LintReport", "MemoryCard", "Neighbor", "NeighborPage",
    "NodeInfo", "NullValue", "NumberValue", "Peer", "PeerPage", "RecallRequest", "RecallResponse", "RecallWeights",
    "RefValue", "ResolveRequest", "ScoreBreakdown", "ScoredFact", "StigmemAuthError", "StigmemClient",
    "StigmemConflictError", "StigmemError", "StigmemHTTPError", "StigmemNotFoundError", "StigmemVerificationError",
    "StringValue", "Subscription", "Synthesis", "TextValue", "boolean_value", "compute_fact_cid", "datetime_value",
    "null_value", "number_value", "ref_value", "string_value", "text_value", "verify_fact_chain_proof",
    "verify_fact_cid",
]  # fmt: skip
