"""The fact: one immutable, provenance-tagged assertion, and its form on the wire.

A Fact is complete and validated when it exists; whoever builds one has checked it (`stigmem.node.api.assertion` for
local writes, `stigmem.core.ingest` for a peer's). The record that responses and pages carry is here too: it has the
same members under the names of the contract.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, cast

import msgspec

from stigmem.core import limits
from stigmem.core.canonical import compact
from stigmem.core.content_id import cid7, cid8, self_certifying_id
from stigmem.core.errors import Rejection
from stigmem.core.hlc import Stamp, format_stamp, stamp_wall_ms
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.uris import is_system
from stigmem.core.values import Value, wire_value

__all__ = [
    "NO_PROVENANCE",
    "Fact",
    "FactRecord",
    "Slot",
    "derivation",
    "place",
    "rank",
    "record_of",
    "same_content",
    "says_the_same",
]

NO_PROVENANCE: Final = ""
_SYSTEM: Final = "stigmem:"

Slot: TypeAlias = tuple[str, str, str]
"""(entity, relation, scope): what a contradiction is about."""


class Fact(msgspec.Struct, frozen=True, order=True, gc=False, array_like=True, tag="fact"):
    """One assertion (spec/facts.md). Field order is sort order: origin stamp, origin node, id.

    `timestamp_us` is the origin's wall clock at the write, `valid_until` the writer's own text.
    `derived_from` is canonical JSON text or empty. `signature`, `entity_uri` and `grant` (the scopes the
    origin allows, comma-joined) are the origin's envelope: absent on facts of our own, which are signed when
    served, and of peers whose dialect has none. The last four fields are this node's bookkeeping (local
    sequence number, sender, whether the id was found to commit to the content, why it is held back): never
    hashed, signed or sent.
    """

    stamp: Stamp
    origin: str
    id: str
    entity: str
    relation: str
    scope: str
    source: str
    kind: str
    text: str
    interpret_as: str
    confidence: float
    timestamp_us: int
    valid_until: str | None
    derived_from: str = NO_PROVENANCE
    signature: bytes | None = None
    entity_uri: str = ""
    grant: str = ""
    seq: int = 0
    received_from: str | None = None
    certified: bool = True
    quarantine: str | None = None

    @property
    def value(self) -> Value:
        return Value(self.kind, self.text, self.interpret_as)

    @property
    def wall_ms(self) -> int:
        """Wall part of the origin stamp, in milliseconds since the epoch."""
        return stamp_wall_ms(self.stamp)

    @property
    def timestamp(self) -> str:
        """ISO-8601 text of the write time."""
        return format_us(self.timestamp_us)

    @property
    def slot(self) -> Slot:
        """Facts of one slot are compared with each other."""
        return (self.entity, self.relation, self.scope)

    @property
    def is_retraction(self) -> bool:
        return self.confidence == 0.0

    @property
    def is_system(self) -> bool:
        """Reserved bookkeeping, exempt from contradiction and never served to peers (except resolutions)."""
        entity, relation = self.entity, self.relation
        if not (entity.startswith(_SYSTEM) or relation.startswith(_SYSTEM)):  # nearly always, in half the time
            return False
        return is_system(entity) or is_system(relation)

    @property
    def cid(self) -> str:
        """Content id as the HTTP API shows it (seven fields)."""
        return cid7(self.entity, self.relation, self.scope, self.source, self.value, self.confidence)

    @property
    def cid8(self) -> str:
        """Content id as dialect 2.1 carries it (eight fields)."""
        return cid8(self.entity, self.relation, self.scope, self.source, self.value, self.confidence)

    @property
    def expires_us(self) -> int | None:
        """Expiry in microseconds since the epoch, or None when the fact does not expire."""
        return None if self.valid_until is None else parse_us(self.valid_until)

    def certified_id(self) -> str:
        """The id that commits to this fact's content, stamp, time and provenance (spec/facts.md, 5)."""
        return self_certifying_id(
            self.origin, format_stamp(self.stamp), self.timestamp, self.valid_until, self.cid8, self.derived_from
        )


def derivation(entries: list[dict[str, Any]]) -> str:
    """The `derived_from` text of provenance entries as callers and peers send them; empty when there are none.

    Raises Rejection `malformed_fact` when they are nested too deeply or hold text that is no Unicode.
    """
    if not entries:
        return NO_PROVENANCE
    try:
        if _nested(entries, limits.DERIVED_FROM_DEPTH_MAX):
            return compact(entries).decode()
    except UnicodeEncodeError as error:
        raise Rejection("malformed_fact", "provenance holds text that is no Unicode", field="derived_from") from error
    message = f"provenance is nested at most {limits.DERIVED_FROM_DEPTH_MAX} deep"
    raise Rejection("malformed_fact", message, field="derived_from")


def _nested(value: Any, most: int) -> bool:
    """Whether a JSON value has at most `most` levels of objects and arrays."""
    if isinstance(value, dict):
        return most > 0 and all(_nested(inner, most - 1) for inner in value.values())
    if isinstance(value, list):
        return most > 0 and all(_nested(inner, most - 1) for inner in value)
    return True


def place(stamp: Stamp, origin: str = "", fact_id: str = "") -> Fact:
    """A fact that only has a place in the order, which stamp, origin and id decide."""
    return Fact(
        stamp=stamp,
        origin=origin,
        id=fact_id,
        entity="",
        relation="",
        scope="",
        source="",
        kind="",
        text="",
        interpret_as="",
        confidence=0.0,
        timestamp_us=0,
        valid_until=None,
    )


def same_content(fact: Fact, other: Fact) -> bool:
    """Whether two facts have the same content id."""
    return (
        fact.text == other.text
        and fact.kind == other.kind
        and fact.source == other.source
        and fact.confidence == other.confidence
        and fact.slot == other.slot
    )


def says_the_same(fact: Fact, draft: Fact) -> bool:
    """Whether two facts are one word of one author said twice: equal in content, author and expiry."""
    return (
        fact.origin == draft.origin
        and fact.valid_until == draft.valid_until
        and fact.interpret_as == draft.interpret_as
        and same_content(fact, draft)
    )


def rank(fact: Fact) -> tuple[float, int, str, str]:
    """Presentation order, best last: confidence, origin stamp, origin node, content id. Total and equal
    on every node that holds the fact."""
    return (fact.confidence, fact.stamp, fact.origin, fact.cid8)


class FactRecord(msgspec.Struct, kw_only=True):
    """A fact in responses and pages: 26 members, always all of them, in the order of http-api 1.2. What this node does
    not know or has no notion of is null, false or empty, as the contract has it. The last six are ours: left out
    where there is nothing to say, and never in a page for peers, since each node derives them itself."""

    id: str
    entity: str
    relation: str
    value: dict[str, Any]
    source: str
    timestamp: str
    hlc: str | None
    received_from: str | None = None
    valid_until: str | None
    confidence: float
    scope: str
    attested_key_id: str | None = None
    origin_node_id: str | None = None
    origin_allowed_scopes: list[str] | None = None
    garden_id: str | None = None
    attested: bool | None = None
    contradicted: bool = False
    warnings: list[str] = []
    source_trust: float | None = None
    quarantine_status: str | None = None
    quarantine_garden_id: str | None = None
    effective_confidence: float | None = None
    sanitizer_warnings: list[str] = []
    sanitizer_redacted: bool = False
    cid: str | None
    derived_from: list[dict[str, Any]] = []
    supersedes: str | msgspec.UnsetType = msgspec.UNSET
    """Id of the author's word just before this assertion, which this one ended."""
    superseded_by: str | msgspec.UnsetType = msgspec.UNSET
    retracted_by: str | msgspec.UnsetType = msgspec.UNSET
    """Id of the first word that ended this one: an assertion supersedes, a retraction retracts."""
    voided_by: str | msgspec.UnsetType = msgspec.UNSET
    """Id of the record by which its origin voided it."""
    fits_schema: bool | msgspec.UnsetType = msgspec.UNSET
    """False for a fact that does not fit the schema which its relation has on this node."""
    trust_class: str | msgspec.UnsetType = msgspec.UNSET
    """What kind of knowledge it is here: stated by its author or derived (`stigmem.core.trust`)."""


def record_of(fact: Fact, cid: str | None) -> FactRecord:
    """The wire record of a fact with every node-internal member null, as pages carry it (leak L10). `cid`: the content
    id to show, None for none."""
    return FactRecord(
        id=fact.id,
        entity=fact.entity,
        relation=fact.relation,
        value=wire_value(fact.kind, fact.text, fact.interpret_as),
        source=fact.source,
        timestamp=fact.timestamp,
        hlc=format_stamp(fact.stamp),
        valid_until=fact.valid_until,
        confidence=fact.confidence,
        scope=fact.scope,
        cid=cid,
        # The text is JSON already, and the very text that the id commits to.
        derived_from=cast("list[dict[str, Any]]", msgspec.Raw(fact.derived_from or "[]")),
    )
