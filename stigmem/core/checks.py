"""The single checks on a received fact, each with the code of its rejection (federation 3.5, appendix B).

Pure predicates on one entry, without ledger and without time. Their order, and what follows from passing them,
is `stigmem.core.ingest`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stigmem.core import limits
from stigmem.core.content_id import cid7, cid8
from stigmem.core.envelope import TENANT, Origin, origin_bytes
from stigmem.core.errors import Rejection
from stigmem.core.keys import Suite, decode_base64
from stigmem.core.page import PageEntry, WireFact
from stigmem.core.scopes import is_scope
from stigmem.core.uris import RESOLUTION_PREFIX, is_system, reserved_source
from stigmem.core.values import Value

__all__ = [
    "IngestPolicy", "PeerLink", "check_cid", "check_envelope", "check_names", "check_scope", "check_source",
    "check_texts",
]  # fmt: skip


class PeerLink(NamedTuple):
    """What the receiver knows of the link a page came over."""

    sender: str
    dialect: str
    scopes: tuple[str, ...]
    catching_up: bool = False
    """Whether history is expected: old stamps are then accepted and remarked on (federation 4)."""


class IngestPolicy(NamedTuple):
    """This node's own rules for what it takes in."""

    node_id: str
    suite: Suite
    key_of: Callable[[str], str | None]
    """Public key of an origin, or None when it is not known."""
    local_sources: Callable[[str], bool]
    """Whether a source belongs to a principal of this node."""
    accept_relayed: bool = True
    owned_sources_only: bool = False
    skew_future_ms: int = limits.SKEW_FUTURE_MS
    skew_past_ms: int = limits.SKEW_PAST_MS


def check_envelope(entry: PageEntry, origin: Origin, link: PeerLink, policy: IngestPolicy) -> bytes:
    """The origin's signature, once origin, signature, grant and tenant hold.

    Raises Rejection `cid_required`, `origin_not_sender`, `origin_unresolvable`, `origin_sig_invalid`,
    `scope_not_in_origin_grant`, `invalid_scope`, `tenant_not_in_origin_grant` or `tenant_policy_unsafe`.
    """
    wire = entry.fact
    if not wire.cid:
        raise Rejection("cid_required", "a fact of dialect 2.1 carries its content id", field="cid")
    relayed = origin.node_id != link.sender
    if relayed and not (policy.accept_relayed and origin.node_id and wire.scope == "public"):
        raise Rejection("origin_not_sender", "this fact's origin is not the node that serves it")
    key = policy.key_of(origin.node_id)
    if key is None:
        raise Rejection("origin_unresolvable", "the key of this fact's origin is not known here")
    signature = _signature(entry, origin, key, policy.suite)
    if wire.scope not in origin.allowed_scopes:
        raise Rejection("scope_not_in_origin_grant", "the origin does not allow this scope", field="scope")
    if not is_scope(wire.scope):
        raise Rejection("invalid_scope", "scope must be local, team, company or public", field="scope")
    if origin.tenant not in origin.allowed_tenants:
        raise Rejection("tenant_not_in_origin_grant", "the origin does not allow its own tenant")
    if origin.tenant != TENANT:
        raise Rejection("tenant_policy_unsafe", f"this node has no tenant but {TENANT}")
    return signature


def _signature(entry: PageEntry, origin: Origin, key: str, suite: Suite) -> bytes:
    wire = entry.fact
    try:
        signature = decode_base64(entry.origin_sig or "")
        message = origin_bytes(origin, str(wire.id), wire.cid or "", wire.valid_until)
        # Without an entity URI nobody is named as the signer's organisation, whatever the signature says.
        valid = bool(origin.entity_uri) and suite.verify(key, message, signature)
    except ValueError:
        valid = False
    if not valid:
        raise Rejection("origin_sig_invalid", "the origin did not sign this", field="origin_sig")
    return signature


def check_texts(wire: WireFact) -> None:
    """Lengths, confidence and the absence of a garden; raises Rejection `malformed_fact` or `garden_leak`."""
    for name, text in (("entity", wire.entity), ("relation", wire.relation), ("source", wire.source)):
        if not 0 < len(text) <= limits.URI_CHARS_MAX:
            raise Rejection("malformed_fact", f"{name} needs 1 to {limits.URI_CHARS_MAX} characters", field=name)
    if len(str(wire.id)) > limits.FACT_ID_CHARS_MAX:
        raise Rejection("malformed_fact", f"an id has at most {limits.FACT_ID_CHARS_MAX} characters", field="id")
    if not 0.0 <= wire.confidence <= 1.0:
        raise Rejection("malformed_fact", "confidence lies between 0 and 1", field="confidence")
    if wire.garden_id is not None:
        raise Rejection("garden_leak", "a garden's fact must not leave its node", field="garden_id")


def check_scope(scope: str, link: PeerLink) -> None:
    """The link's grant; raises Rejection `malformed_fact` or `scope_violation`."""
    if not is_scope(scope):
        raise Rejection("malformed_fact", "scope must be local, team, company or public", field="scope")
    if scope not in link.scopes:
        raise Rejection(
            "scope_violation",
            f"scope {scope} is not granted on this link",
            field="scope",
            detail={"scope": scope, "permitted": list(link.scopes)},
        )


def check_names(wire: WireFact) -> None:
    """Reserved names, of which only resolutions travel; raises Rejection `reserved_namespace`."""
    if wire.entity.startswith(RESOLUTION_PREFIX) and not is_system(wire.relation):
        return
    if is_system(wire.entity) or is_system(wire.relation):
        raise Rejection("reserved_namespace", "stigmem: names are each node's own", field="entity")


def check_source(source: str, origin: str, policy: IngestPolicy) -> bool:
    """Whether the origin owns the source; raises Rejection `source_not_owned` for one that it cannot own."""
    if origin == policy.node_id:
        return True
    foreign = source == policy.node_id or reserved_source(source) or policy.local_sources(source)
    owned = source == origin or source.startswith(origin + "/")
    if foreign or (policy.owned_sources_only and not owned):
        message = "this source does not belong to the fact's origin"
        raise Rejection(
            "source_not_owned", message, field="source", detail={"source": source, "source_owned": owned, "by": origin}
        )
    return owned


def check_cid(wire: WireFact, value: Value, dialect: str) -> bool:
    """Check the content id, if there is one; whether it is the hash of our own spelling of the value.

    Raises Rejection `cid_mismatch`.
    """
    if not wire.cid:
        return False  # legacy and resolution facts of dialect 0.5 travel without one
    hash_of = cid8 if dialect != "0.5" else cid7

    def matches(spelling: Value) -> bool:
        return wire.cid == hash_of(wire.entity, wire.relation, wire.scope, wire.source, spelling, wire.confidence)

    if matches(value):
        return True
    whole = value.kind == "number" and float(value.text).is_integer()
    # The reference hashes an integer as it was written and serves it as a float (federation 3.4).
    if whole and matches(Value("number", str(int(float(value.text))), value.interpret_as)):
        return False
    raise Rejection("cid_mismatch", "the content id is not that of this content", field="cid")
