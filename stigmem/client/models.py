"""What a node takes and gives, as models: the names and members of the published client, and those that this one adds.

Answers keep members that are not named here (`model_extra`), since other nodes have some of their own. Values are a
strict union: a text is no number, and a value of a kind that is not among the eight is refused.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from stigmem.core.trust import TrustClass

__all__ = [
    "AssertRequest", "BatchItem", "BatchResult", "BooleanValue", "Conflict", "ConflictPage", "ConflictResolution",
    "DatetimeValue", "Fact", "FactChainCheckpointProof", "FactChainProof", "FactPage", "FactScope", "FactValue",
    "FederationEndpoints", "Intent", "IntentAct", "IntentPage", "JsonValue", "LintReport", "MemoryCard", "Neighbor",
    "NeighborPage", "NodeInfo", "NullValue",
    "NumberValue", "Peer", "PeerPage", "RecallRequest", "RecallResponse", "RecallWeights", "RefValue",
    "ResolveRequest", "ScoreBreakdown", "ScoredFact", "StringValue", "Subscription", "SubscriptionPage",
    "Synthesis", "TextValue", "boolean_value", "datetime_value", "json_value", "null_value", "number_value",
    "ref_value", "string_value", "text_value",
]  # fmt: skip

FactScope: TypeAlias = Literal["local", "team", "company", "public"]


class _Answer(BaseModel):
    """Something that a node says, with whatever it adds."""

    model_config = ConfigDict(extra="allow")


# --- values ---


class StringValue(BaseModel):
    """A short text."""

    type: Literal["string"]
    v: str


class TextValue(BaseModel):
    """A longer text."""

    type: Literal["text"]
    v: str


class NumberValue(BaseModel):
    """A number; whole ones are kept as their double."""

    type: Literal["number"]
    v: float


class BooleanValue(BaseModel):
    """True or false."""

    type: Literal["boolean"]
    v: bool


class DatetimeValue(BaseModel):
    """An instant as ISO-8601 text."""

    type: Literal["datetime"]
    v: str


class RefValue(BaseModel):
    """The URI of another entity."""

    type: Literal["ref"]
    v: str


class NullValue(BaseModel):
    """Nothing, said on purpose."""

    type: Literal["null"]


class JsonValue(BaseModel):
    """An object, an array or anything else of JSON but null, where a schema of the relation allows it."""

    type: Literal["json"]
    v: Any


FactValue: TypeAlias = (
    StringValue | TextValue | NumberValue | BooleanValue | DatetimeValue | RefValue | NullValue | JsonValue
)


def string_value(v: str) -> StringValue:
    """A short text as a value."""
    return StringValue(type="string", v=v)


def text_value(v: str) -> TextValue:
    """A longer text as a value."""
    return TextValue(type="text", v=v)


def number_value(v: float) -> NumberValue:
    """A number as a value."""
    return NumberValue(type="number", v=v)


def boolean_value(v: bool) -> BooleanValue:  # noqa: FBT001 - the published name and form
    """True or false as a value."""
    return BooleanValue(type="boolean", v=v)


def datetime_value(v: str) -> DatetimeValue:
    """An instant, as ISO-8601 text, as a value."""
    return DatetimeValue(type="datetime", v=v)


def ref_value(v: str) -> RefValue:
    """The URI of another entity as a value."""
    return RefValue(type="ref", v=v)


def null_value() -> NullValue:
    """Nothing as a value."""
    return NullValue(type="null")


def json_value(v: Any) -> JsonValue:
    """Anything of JSON but null as a value."""
    return JsonValue(type="json", v=v)


# --- facts ---


class AssertRequest(_Answer):
    """A fact to be written."""

    entity: str
    relation: str
    value: FactValue
    source: str
    confidence: float = 1.0
    scope: FactScope = "company"
    valid_until: str | None = None
    write_mode: str = "assert"
    derived_from: list[dict[str, Any]] = Field(default_factory=list)
    trust_class: TrustClass | None = None


class Fact(_Answer):
    """A fact as a node shows it."""

    id: str
    entity: str
    relation: str
    value: FactValue
    source: str
    timestamp: str
    hlc: str | None = None
    valid_until: str | None = None
    confidence: float
    scope: FactScope
    contradicted: bool = False
    received_from: str | None = None
    cid: str | None = None
    trust_class: str | None = None


class FactPage(BaseModel):
    """Facts, newest first, and where to go on; `total` counts this page. `point_of_time`: which one was asked about, by
    the name under which it can be asked about again."""

    facts: list[Fact]
    total: int
    cursor: str | None = None
    point_of_time: dict[str, str] | None = None


class BatchItem(_Answer):
    """What became of one fact of a batch; `error` says why it was not taken."""

    index: int
    status: Literal["accepted", "rejected"]
    fact_id: str | None = None
    error: dict[str, Any] | None = None


class BatchResult(_Answer):
    """What became of a batch, a result for each fact in its order."""

    accepted: int
    rejected: int
    results: list[BatchItem]


# --- contradictions ---


class Conflict(_Answer):
    """Two facts that cannot both be so."""

    conflict_id: str
    fact_a: Fact
    fact_b: Fact
    status: Literal["unresolved", "resolved"]
    resolved_by: str | None = None
    detected_at: str


class ConflictPage(BaseModel):
    """Conflicts, newest first, and where to go on; `point_of_time` as for facts."""

    conflicts: list[Conflict]
    cursor: str | None = None
    has_more: bool = False
    point_of_time: dict[str, str] | None = None


class ResolveRequest(BaseModel):
    """How a conflict is decided."""

    winning_fact_id: str | None = None
    resolution_note: str = ""
    new_value: FactValue | None = None


class ConflictResolution(_Answer):
    """That a conflict was decided, and by which fact."""

    resolution_fact_id: str
    conflict_status: Literal["resolved"]


# --- nodes and peers ---


class FederationEndpoints(_Answer):
    """Where a node is spoken to by its peers."""

    peers: str
    facts: str
    push: str | None = None


class NodeInfo(_Answer):
    """What a node says of itself to anybody."""

    version: str
    node_id: str
    node_url: str
    auth: Literal["none", "required"]
    federation: Literal["disabled", "enabled"]
    federation_pubkey: str | None = None
    federation_version: str | None = None
    federation_endpoints: FederationEndpoints | None = None
    namespaces: list[str] = Field(default_factory=list)
    spec: str | None = None


class Peer(_Answer):
    """Another node that this one exchanges facts with."""

    peer_id: str
    node_id: str
    node_url: str
    status: Literal["pending_verification", "active", "rejected", "revoked"]
    allowed_scopes: list[FactScope]
    established_at: str | None = None


class PeerPage(BaseModel):
    """Every peer."""

    peers: list[Peer]


# --- recall and cards ---


class RecallWeights(_Answer):
    """How much each sign of relevance counts, from 0 to 1."""

    lexical: float = 0.35
    semantic: float = 0.35
    graph: float = 0.15
    source_trust: float = 0.1
    recency: float = 0.05


class RecallRequest(_Answer):
    """A question to be answered with facts, within a number of tokens."""

    query: str
    scope: FactScope = "local"
    token_budget: int = 4000
    depth: int = 2
    weights: RecallWeights = Field(default_factory=RecallWeights)
    min_confidence: float = 0.1
    include_neighbors: bool = True
    limit: int = 100
    as_of: str | None = None


class ScoreBreakdown(_Answer):
    """What a score is made of."""

    lexical: float = 0.0
    semantic: float = 0.0
    graph: float = 0.0
    source_trust: float = 0.0
    recency: float = 0.0
    weighted_total: float = 0.0


class ScoredFact(_Answer):
    """A fact that was recalled, and why."""

    fact: Fact
    score: float
    score_breakdown: ScoreBreakdown
    hop_distance: int = 0
    token_estimate: int


class FactChainCheckpointProof(_Answer):
    """A point of the chain of facts that was told to a log outside."""

    id: str
    tenant_id: str
    covered_chain_seq: int
    chain_hash: str
    status: str
    attempt_count: int
    created_at: str
    submitted_at: str | None = None
    last_error: str | None = None
    tl_backend: str
    tl_log_id: str | None = None
    tl_leaf_hash: str | None = None
    tl_log_index: int | None = None
    tl_integrated_time: int | None = None
    tl_inclusion_proof: dict[str, Any] = Field(default_factory=dict)
    tl_raw: dict[str, Any] = Field(default_factory=dict)


class FactChainProof(_Answer):
    """How far the chain of facts was checked."""

    tenant_id: str
    checked_entries: int
    head_hash: str | None = None
    checkpoint: FactChainCheckpointProof | None = None


class RecallResponse(_Answer):
    """Facts that answer a question, best first. `content` and `instructions` divide them by what they are meant as."""

    recall_id: str
    query_hash: str
    facts: list[ScoredFact]
    content: list[ScoredFact] = Field(default_factory=list)
    instructions: list[ScoredFact] = Field(default_factory=list)
    total_scored: int | None
    token_budget: int
    tokens_used: int
    truncated: bool
    chain_proof: FactChainProof | None = None


class MemoryCard(_Answer):
    """What is known of one entity, in a few lines."""

    entity_uri: str
    scope: str
    summary: str
    fact_hashes: list[str]
    avg_confidence: float
    refreshed_at: str | None = None
    is_stale: bool = False
    has_contradictions: bool = False


class Neighbor(_Answer):
    """An entity that another one is linked to, `hops` steps away; `path` leads to it, without it."""

    entity: str
    relation: str
    hops: int
    confidence: float
    source_trust: float | None = None
    path: list[str] = Field(default_factory=list)


class NeighborPage(_Answer):
    """Neighbours of an entity, and where to go on."""

    entity: str
    depth: int
    neighbors: list[Neighbor]
    next_cursor: str | None = None
    total_hint: int | None = None


class LintReport(_Answer):
    """What in a scope wants attention."""

    findings: list[dict[str, Any]]
    checked_at: str
    scope: str
    fact_count: int


class Synthesis(_Answer):
    """What a scope holds to be so."""

    summary: list[dict[str, Any]]
    synthesized_at: str
    scope: str
    fact_count: int
    contradiction_count: int


# --- intents ---


class IntentAct(_Answer):
    """What somebody did about an intent; `counted` says whether it changed anything."""

    fact_id: str
    kind: str
    by: str
    at: str
    rule: int | None = None
    text: str | None = None
    counted: bool = True


class Intent(_Answer):
    """What somebody wants to happen, and how it stands (spec/intents.md). `as_`: in a box, as what it concerns its
    owner."""

    id: str
    from_: str = Field(alias="from")
    to: list[str]
    goal: str
    scope: str
    state: str
    created_at: str
    expires_at: str | None = None
    constraint: list[dict[str, Any]] = Field(default_factory=list)
    preference: list[dict[str, Any]] = Field(default_factory=list)
    deference: list[dict[str, Any]] = Field(default_factory=list)
    escalation: dict[str, Any] | None = None
    handoff: dict[str, Any] | None = None
    acts: list[IntentAct] = Field(default_factory=list)
    consultations: list[dict[str, Any]] = Field(default_factory=list)
    escalated: dict[str, Any] | None = None
    missing_refs: list[str] = Field(default_factory=list)
    contested_by: list[str] = Field(default_factory=list)
    fact_ids: list[str] = Field(default_factory=list)
    as_: list[str] = Field(default_factory=list, alias="as")


class IntentPage(_Answer):
    """Part of a box, and where to go on."""

    intents: list[Intent]
    cursor: str | None = None


# --- subscriptions ---


class Subscription(_Answer):
    """Somebody who is told of facts by a webhook."""

    id: str
    subscriber_identity: str
    target: str
    target_kind: str
    on_change: Literal["webhook", "wake"]
    delivery_address: str
    idempotency_key: str | None = None
    created_at: str
    last_delivered_at: str | None = None
    circuit_open: bool = False
    consecutive_failures: int = 0
    signing_secret: str | None = None


class SubscriptionPage(BaseModel):
    """The caller's subscriptions, newest first."""

    subscriptions: list[Subscription]
    total: int
