"""stigmem: a node for federated knowledge, written once and run twice.

stigmem.core     pure and synchronous: facts, clock, ledger, contradiction, tokens, ingest
stigmem.node     the actors around it: they await nothing but their Context
stigmem.host     the real world: HTTP, SQLite, files, the wall clock, the command line
stigmem.testing  the ports of a node for tests: time that the test moves, a journal in memory, scripted peers
stigmem.client   a node from outside: StigmemClient and AsyncStigmemClient, their models and errors

Imports point up this list only. The simulated world is the other package, `sim`.

The names below are the library: to embed a node, fill the four ports of `Context`, give it and `NodeSettings` to
`Node`, `await node.load()`, `node.start()`, and hand it every `Request` with `node.offer`. Whatever else is in these
packages may change without notice. To speak to a node that runs, use `StigmemClient`: `Fact` and `Conflict` are what a
client gets, and what a ledger holds under these names stays in `stigmem.core.fact` and `stigmem.core.conflicts`.
Errors are `StigmemError`s with a stable `code`: a `Refusal` is the fault of who asked, a `Rejection` that of a peer;
`JournalFull`, `JournalCorrupt` and `Unreachable` are what ports raise, a `StigmemHTTPError` what clients do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stigmem.client import (
        AssertRequest,
        AsyncFollowing,
        AsyncStigmemClient,
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
        Following,
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
        StigmemAuthError,
        StigmemClient,
        StigmemConflictError,
        StigmemHTTPError,
        StigmemNotFoundError,
        StigmemVerificationError,
        StringValue,
        Subscription,
        Synthesis,
        TextValue,
        boolean_value,
        compute_fact_cid,
        datetime_value,
        null_value,
        number_value,
        ref_value,
        string_value,
        text_value,
        verify_fact_chain_proof,
        verify_fact_cid,
    )
    from stigmem.core.errors import JournalCorrupt, Refusal, Rejection, StigmemError
    from stigmem.core.ledger import Ledger
    from stigmem.core.wire import Request, Response
    from stigmem.node.node import Node
    from stigmem.node.ports import (
        Clock,
        Context,
        Entropy,
        Journal,
        JournalFull,
        Signal,
        Transport,
        Unreachable,
    )
    from stigmem.node.settings import NodeSettings

__all__ = [
    "AssertRequest",
    "AsyncFollowing",
    "AsyncStigmemClient",
    "BatchItem",
    "BatchResult",
    "BooleanValue",
    "Clock",
    "Conflict",
    "ConflictPage",
    "ConflictResolution",
    "Context",
    "DatetimeValue",
    "Entropy",
    "Fact",
    "FactChainCheckpointProof",
    "FactChainProof",
    "FactPage",
    "FactScope",
    "FactValue",
    "Following",
    "Journal",
    "JournalCorrupt",
    "JournalFull",
    "Ledger",
    "LintReport",
    "MemoryCard",
    "Neighbor",
    "NeighborPage",
    "Node",
    "NodeInfo",
    "NodeSettings",
    "NullValue",
    "NumberValue",
    "Peer",
    "PeerPage",
    "RecallRequest",
    "RecallResponse",
    "RecallWeights",
    "RefValue",
    "Refusal",
    "Rejection",
    "Request",
    "ResolveRequest",
    "Response",
    "ScoreBreakdown",
    "ScoredFact",
    "Signal",
    "StigmemAuthError",
    "StigmemClient",
    "StigmemConflictError",
    "StigmemError",
    "StigmemHTTPError",
    "StigmemNotFoundError",
    "StigmemVerificationError",
    "StringValue",
    "Subscription",
    "Synthesis",
    "TextValue",
    "Transport",
    "Unreachable",
    "__version__",
    "boolean_value",
    "compute_fact_cid",
    "datetime_value",
    "null_value",
    "number_value",
    "ref_value",
    "string_value",
    "text_value",
    "verify_fact_chain_proof",
    "verify_fact_cid",
]

__version__ = "0.1.0"

_HOMES: Final = {
    "stigmem.client": (
        "AssertRequest", "AsyncFollowing", "AsyncStigmemClient", "BatchItem", "BatchResult", "BooleanValue",
        "Conflict", "ConflictPage", "ConflictResolution", "DatetimeValue", "Fact", "FactChainCheckpointProof",
        "FactChainProof", "FactPage", "FactScope", "FactValue", "Following", "LintReport", "MemoryCard", "Neighbor",
        "NeighborPage", "NodeInfo", "NullValue", "NumberValue", "Peer", "PeerPage", "RecallRequest",
        "RecallResponse", "RecallWeights", "RefValue", "ResolveRequest", "ScoreBreakdown", "ScoredFact",
        "StigmemAuthError", "StigmemClient", "StigmemConflictError", "StigmemHTTPError", "StigmemNotFoundError",
        "StigmemVerificationError", "StringValue", "Subscription", "Synthesis", "TextValue", "boolean_value",
        "compute_fact_cid", "datetime_value", "null_value", "number_value", "ref_value", "string_value",
        "text_value", "verify_fact_chain_proof", "verify_fact_cid",
    ),
    "stigmem.core.errors": ("JournalCorrupt", "Refusal", "Rejection", "StigmemError"),
    "stigmem.core.ledger": ("Ledger",),
    "stigmem.core.wire": ("Request", "Response"),
    "stigmem.node.node": ("Node",),
    "stigmem.node.ports": (
        "Clock", "Context", "Entropy", "Journal", "JournalFull", "Signal", "Transport", "Unreachable",
    ),
    "stigmem.node.settings": ("NodeSettings",),
}  # fmt: skip
"""Module -> public names in it. They are imported when they are asked for: a command that prints its version or its
help must not wait for a node."""


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module 'stigmem' has no attribute {name!r}")
