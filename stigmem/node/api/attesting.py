"""The attestation of a write: which key, which of the two signed forms, and whether one is asked for (http-api 4.7).

What is signed and how it is verified is `stigmem.core.attestation`; this is what a request brings and what is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from stigmem.core import limits
from stigmem.core.attestation import (
    Attestation,
    KeyStatement,
    five_lines,
    sign_statement,
    verify_five_lines,
    verify_signature,
)
from stigmem.core.errors import Refusal, Rejection, shown
from stigmem.core.fact import Fact
from stigmem.core.records import AgentKeyRow
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise
from stigmem.node.callers import Principal
from stigmem.node.identity import Identity
from stigmem.node.transaction import Transaction

__all__ = ["AttestationBody", "Saying", "attestation_of", "missing_warnings"]

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
_REQUIRED: Final = "attestation required; register an agent key at POST /v1/auth/agent-keys"


class AttestationBody(msgspec.Struct, kw_only=True, gc=False):
    """The member `attestation` of a write. With `nonce`, `issued_at` and `expires_at` the signature is over every
    member (spec/attestation.md); without them it is over five lines, as the published node has it."""

    key_id: _Text
    signature: _Text
    nonce: _Text | None = None
    issued_at: _Text | None = None
    expires_at: _Text | None = None


class Saying(msgspec.Struct, gc=False):
    """The members of a write as the client sent them, which the five lines are made of."""

    entity: str
    relation: str
    v: Any
    source: str
    garden: str | None


def _statement(row: AgentKeyRow, identity: Identity) -> KeyStatement:
    """What this node says about a key, under its signature."""
    said = KeyStatement(
        key_id=row.key_id,
        entity_uri=row.entity_uri,
        public_key=row.public_key,
        registered_at=format_us(row.registered_us),
        expires_at=None if row.expires_us is None else format_us(row.expires_us),
    )
    return sign_statement(said, identity.node_id, identity.signer)


def attestation_of(
    txn: Transaction, principal: Principal, body: AttestationBody | None, saying: Saying, fact: Fact, identity: Identity
) -> Attestation | None:
    """The verified attestation of a write; None without one. Raises Refusal 400 or 403 for one that is not good, and
    400 where one is asked for and does not come. Whether a nonce is new is asked where the fact is written."""
    mode = txn.settings.attestation_mode(fact.scope)
    if body is None:
        if txn.settings.attestation_required or mode == "enforce":
            raise Refusal(400, "attestation_required", _REQUIRED, field="attestation")
        return None
    row = _key(txn, principal, body.key_id)
    try:
        if body.nonce is not None or body.issued_at is not None or body.expires_at is not None:
            found = Attestation(
                key=_statement(row, identity), signature=body.signature, nonce=body.nonce or "",
                issued_at=body.issued_at or "", expires_at=body.expires_at or "", garden=saying.garden,
            )  # fmt: skip
            verify_signature(found, fact, txn.settings.suite)
            return found
        message = five_lines(saying.entity, saying.relation, fact.kind, saying.v, saying.source, fact.text)
        verify_five_lines(message, row.public_key, body.signature, txn.settings.suite)
    except Rejection as rejection:
        raise Refusal(400, rejection.code, rejection.message, field=rejection.field or "attestation") from rejection
    if mode == "enforce":
        message_text = f"in scope {fact.scope} an attestation covers every member: sign the whole form"
        raise Refusal(400, "attestation_required", message_text, field="attestation")
    return Attestation(key=_statement(row, identity), signature=body.signature, form="lines")


def missing_warnings(txn: Transaction, scope: str, attestation: Attestation | None) -> list[str]:
    """A remark on a write that nobody signed whole, where the operator cares."""
    if txn.settings.attestation_mode(scope) != "warn" or (attestation is not None and attestation.form == "whole"):
        return []
    return [f"this fact carries no attestation of every member, which is wanted in scope {scope}"]


def _key(txn: Transaction, principal: Principal, key_id: str) -> AgentKeyRow:
    row = txn.state.agent_keys.get(key_id)
    member, name = "attestation.key_id", shown(key_id)
    if row is None:
        raise Refusal(400, "agent_key_not_found", f"{member} '{name}' not found", field=member)
    if principal.key_id and row.entity_uri != normalise(principal.entity_uri):
        message = "attestation key belongs to a different entity"
        raise Refusal(403, "not_your_agent_key", message, field=member)
    if row.revoked_us:
        raise Refusal(400, "agent_key_revoked", f"{member} '{name}' has been revoked", field=member)
    if row.has_expired(txn.now_us):
        raise Refusal(400, "agent_key_expired", f"{member} '{name}' has expired", field=member)
    return row
