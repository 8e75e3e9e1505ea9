"""Origin-signed envelopes of dialect 2.1: what makes a fact safe to pass on (federation, appendix B).

The origin signs content id, fact id, scopes, tenants and expiry; our fact ids commit to the rest, so together
they cover every member of a certified fact. Making entries and reading them; what is accepted is decided in
`stigmem.core.ingest`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stigmem.core.attestation import Attestation, sign_statement
from stigmem.core.canonical import quote
from stigmem.core.fact import Fact, record_of
from stigmem.core.keys import Signer, encode_base64

__all__ = ["TENANT", "Origin", "entry_json", "envelope_bytes", "origin_bytes"]

TENANT: Final = "default"
VERSION: Final = "2.1"


class Origin(msgspec.Struct, kw_only=True):
    """The `origin` member of an entry, as received: nothing of it is checked. A member that is absent is empty."""

    tenant: str = ""
    node_id: str = ""
    allowed_scopes: list[str] = []
    allowed_tenants: list[str] = []
    entity_uri: str = ""


def origin_bytes(origin: Origin, fact_id: str, cid: str, valid_until: str | None) -> bytes:
    """The bytes that the origin signed, rebuilt from an entry. Raises UnicodeEncodeError for what is no Unicode."""
    # As `compact` would write it, at a third of the price: every fact that arrives has an envelope.
    until = "null" if valid_until is None else quote(valid_until)
    return (
        f'{{"cid":{quote(cid)},"entity_uri":{quote(origin.entity_uri)},"fact_id":{quote(fact_id)},'
        f'"origin_allowed_scopes":[{_listed(origin.allowed_scopes)}],'
        f'"origin_allowed_tenants":[{_listed(origin.allowed_tenants)}],'
        f'"origin_node_id":{quote(origin.node_id)},"origin_tenant":{quote(origin.tenant)},"tv":"{VERSION}",'
        f'"valid_until":{until}}}'
    ).encode()


def _listed(names: list[str]) -> str:
    return quote(names[0]) if len(names) == 1 else ",".join(map(quote, sorted(names)))


def envelope_bytes(fact: Fact, cid8: str, entity_uri: str) -> bytes:
    """What we sign for a fact of our own: the bytes of `origin_bytes` for our one tenant and the fact's own scope.
    `entity_uri`: the organisation that this node speaks for."""
    until = "null" if fact.valid_until is None else quote(fact.valid_until)
    return (
        f'{{"cid":"{cid8}","entity_uri":{quote(entity_uri)},"fact_id":{quote(fact.id)},'
        f'"origin_allowed_scopes":["{fact.scope}"],"origin_allowed_tenants":["{TENANT}"],'
        f'"origin_node_id":{quote(fact.origin)},"origin_tenant":"{TENANT}","tv":"{VERSION}",'
        f'"valid_until":{until}}}'
    ).encode()


def entry_json(fact: Fact, signer: Signer, entity_uri: str, attestation: Attestation | None = None) -> bytes:
    """One entry of a page of dialect 2.1, as JSON. A fact of our own is signed here, and so is what we say of the key
    of its agent; a received one goes out under its origin's own signatures, unchanged. Only for facts that
    `is_exportable` lets out. `attestation`: what stands beside the fact, for who knows what that is."""
    cid = fact.cid8
    if fact.received_from is None:
        signature = signer.sign(envelope_bytes(fact, cid, entity_uri))
        grant, uri = [fact.scope], entity_uri
    else:
        signature = fact.signature or b""
        grant, uri = fact.grant.split(","), fact.entity_uri
    entry: dict[str, Any] = {
        "fact": record_of(fact, cid),
        "origin": {
            "tenant": TENANT,
            "node_id": fact.origin,
            "allowed_scopes": grant,
            "allowed_tenants": [TENANT],
            "entity_uri": uri,
        },
        "origin_sig": encode_base64(signature),
    }
    if attestation is not None:
        if fact.received_from is None:
            stated = sign_statement(attestation.key, fact.origin, signer)
            attestation = msgspec.structs.replace(attestation, key=stated)
        entry["attestation"] = attestation
    entry |= {"origin_manifest": None, "origin_key_proof": None}  # the last ones: see `stigmem.core.page.has_manifest`
    return msgspec.json.encode(entry)
