"""Source attestation: an agent signs what it says, and whoever holds the fact can verify it (spec/attestation.md).

Two signed forms. The **five lines** of the published node cover entity, relation, value and source; the node that was
asked verifies them, and nobody after it can. The **whole form** is ours: it covers every member of an assertion, the
node it is made at, a time and a nonce, goes with the fact to peers, and is verified again by each that takes the fact.

A node says whose key it is: a **key statement**, signed with the node's own key. It travels with each attestation, so
that a receiver needs nothing but the key of the fact's origin, which it has in any case. What a receiver then knows:
the origin says that this key is this agent's, and the holder of this key said exactly this at the origin, then.

Example: `agent:scout` has the key K at node A. It asserts `dam/4 level = 3.2` there and signs all of it with a fresh
nonce. A stores the fact and the attestation and serves both; B pulls them from C, which relays. C can leave the
attestation out, but it can neither change the fact under it nor put it beside another one, and A cannot make a word of
K that the agent did not say.

Invariants:

* A1. `verify_attestation` depends on the fact, the attestation and the origin's key alone: every node that has the
  three comes to the same result at any time. Neither the receiver's clock nor the order of arrival takes part.
* A2. A signature holds for one node, and for a fact whose write time lies in its window, at most a day long.
* A3. Under one key, node and nonce one fact is attested: the first by stamp (`stigmem.core.attestation_book`). A fact
  that repeats the nonce is a replay and counts as not attested.
* A4. The key's statement says from when to when it was good; a word written outside of that is not attested.

Warts: a node that is hostile itself can register keys of its own making for any agent's name: that a key is an agent's
is the node's word. A revocation is not told to peers; the node where the key is registered takes no word of it after.

Sources: the contract's federation document, 9.4 and its note on what the published form leaves out; RFC 8032 (Ed25519).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from stigmem.core import limits
from stigmem.core.canonical import compact
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.keys import Signer, Suite, decode_base64, encode_base64
from stigmem.core.timestamps import parse_us

__all__ = [
    "Attestation", "AttestationMode", "KeyStatement", "check_public_key", "five_lines", "parse_attestation",
    "sign_fact", "sign_statement", "signed_bytes", "statement_bytes", "verify_attestation", "verify_five_lines",
    "verify_signature",
]  # fmt: skip

AttestationMode: TypeAlias = Literal["off", "warn", "enforce"]
"""What is asked of the facts of a scope: nothing, a remark on each that carries no attestation, or one."""

_VERSION: Final = 1
_KEY_BYTES: Final = 32
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
_Short = Annotated[str, msgspec.Meta(max_length=128)]


class KeyStatement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node's word that a key is an agent's. `signature` is the node's; beside its own facts it is made anew when they
    are served, with the key that the node has then."""

    key_id: _Text
    entity_uri: _Text
    public_key: _Short
    registered_at: _Short
    expires_at: _Short | None = None
    signature: _Short = ""


class Attestation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What stands beside a fact. `form`: `whole`, or `lines` for the published form, which has a signature and no
    nonce or window and never leaves the node. `garden`: as the agent named it, for a fact in a garden."""

    key: KeyStatement
    signature: _Short
    form: Literal["whole", "lines"] = "whole"
    nonce: _Short = ""
    issued_at: _Short = ""
    expires_at: _Short = ""
    garden: _Text | None = None


def check_public_key(text: str) -> str:
    """A raw Ed25519 key as unpadded base64url. Raises Rejection `agent_key_malformed`."""
    try:
        raw = decode_base64(text)
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        message = "invalid Ed25519 public key: An Ed25519 public key is 32 bytes long"
        raise Rejection("agent_key_malformed", message, field="public_key")
    return encode_base64(raw)


# --- what is signed ---


def statement_bytes(key: KeyStatement, node_id: str) -> bytes:
    """What a node signs about an agent's key."""
    return compact(
        {
            "agent_key": _VERSION,
            "entity_uri": key.entity_uri,
            "expires_at": key.expires_at,
            "key_id": key.key_id,
            "node": node_id,
            "public_key": key.public_key,
            "registered_at": key.registered_at,
        }
    )


def sign_statement(key: KeyStatement, node_id: str, signer: Signer) -> KeyStatement:
    """The statement with the node's signature."""
    return msgspec.structs.replace(key, signature=encode_base64(signer.sign(statement_bytes(key, node_id))))


def signed_bytes(fact: Fact, attestation: Attestation) -> bytes:
    """What the agent signs in the whole form: canonical JSON of every member as the node stores it. Not of it: what
    the node adds (id, stamp, write time), and a trust class, which is told to nobody. Raises ValueError for text that
    is no Unicode."""
    return compact(
        {
            "attestation": _VERSION,
            "confidence": fact.confidence,
            "derived_from": msgspec.json.decode(fact.derived_from) if fact.derived_from else [],
            "entity": fact.entity,
            "expires_at": attestation.expires_at,
            "garden_id": attestation.garden,
            "interpret_as": fact.interpret_as,
            "issued_at": attestation.issued_at,
            "node": fact.origin,
            "nonce": attestation.nonce,
            "public_key": attestation.key.public_key,
            "relation": fact.relation,
            "scope": fact.scope,
            "source": fact.source,
            "valid_until": fact.valid_until,
            "value_type": fact.kind,
            "value_v": fact.text,
        }
    )


def sign_fact(fact: Fact, draft: Attestation, signer: Signer) -> Attestation:
    """The attestation with the agent's signature over this fact."""
    return msgspec.structs.replace(draft, signature=encode_base64(signer.sign(signed_bytes(fact, draft))))


def five_lines(entity: str, relation: str, kind: str, v: Any, source: str, text: str) -> bytes:
    """What the published form signs: members as the client sent them. `text`: the canonical text of the value, for
    the types whose spelling in JSON is not their text. Raises UnicodeEncodeError."""
    shown = str(v) if kind == "number" else text
    return f"{entity}\n{relation}\n{kind}\n{shown}\n{source}".encode()


# --- verifying ---


def parse_attestation(data: bytes) -> Attestation:
    """An attestation as a peer sent it; raises Rejection `attestation_invalid`. Only the whole form travels, and no
    garden does."""
    if len(data) > limits.ATTESTATION_BYTES_MAX:
        message = f"an attestation has at most {limits.ATTESTATION_BYTES_MAX} bytes as JSON"
        raise Rejection("attestation_invalid", message)
    try:
        found = msgspec.json.decode(data, type=Attestation)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Rejection("attestation_invalid", f"the attestation is malformed: {error}") from error
    if found.form != "whole" or found.garden is not None:
        raise Rejection("attestation_invalid", "this form of attestation does not leave its node")
    return found


def verify_attestation(attestation: Attestation, fact: Fact, origin_key: str, suite: Suite) -> None:
    """Check the whole form beside a fact: what the origin says of the key, and what the agent signed. `origin_key`: the
    public key of the fact's origin. Raises Rejection `attestation_invalid`."""
    key = attestation.key
    if not _verify(suite, origin_key, statement_bytes(key, fact.origin), key.signature):
        raise Rejection("attestation_invalid", "the fact's origin did not sign the statement about the agent's key")
    verify_signature(attestation, fact, suite)


def verify_signature(attestation: Attestation, fact: Fact, suite: Suite) -> None:
    """As `verify_attestation`, where the statement about the key is the node's own. Raises Rejection
    `attestation_invalid`, and `attestation_key_expired` for a key that was not good when the fact was written."""
    key = attestation.key
    if fact.source != key.entity_uri:
        message = f"the key is of {key.entity_uri}, which is not the source"
        raise Rejection("attestation_invalid", message, field="source")
    if not limits.ATTESTATION_NONCE_CHARS_MIN <= len(attestation.nonce) <= limits.ATTESTATION_NONCE_CHARS_MAX:
        least, most = limits.ATTESTATION_NONCE_CHARS_MIN, limits.ATTESTATION_NONCE_CHARS_MAX
        message = f"a nonce has {least} to {most} characters"
        raise Rejection("attestation_invalid", message, field="attestation.nonce")
    _check_times(attestation, fact.timestamp_us)
    try:
        is_valid = _verify(suite, key.public_key, signed_bytes(fact, attestation), attestation.signature)
    except (ValueError, RecursionError):  # text that is no Unicode
        is_valid = False
    if not is_valid:
        raise Rejection("attestation_invalid", "attestation signature verification failed", field="attestation")


def _check_times(attestation: Attestation, at_us: int) -> None:
    """Whether a word written at this instant lies in the window of its signature and in the life of its key."""
    key = attestation.key
    try:
        issued, expires = parse_us(attestation.issued_at), parse_us(attestation.expires_at)
        registered = parse_us(key.registered_at)
        ends = None if key.expires_at is None else parse_us(key.expires_at)
    except ValueError as error:
        raise Rejection("attestation_invalid", "the times of an attestation are ISO-8601 instants") from error
    if not 0 < expires - issued <= limits.ATTESTATION_LIFE_S_MAX * 1_000_000:
        hours = limits.ATTESTATION_LIFE_S_MAX // 3_600
        message = f"an attestation ends after it begins, by at most {hours} hours"
        raise Rejection("attestation_invalid", message, field="attestation.expires_at")
    if not issued - limits.ATTESTATION_SKEW_S * 1_000_000 <= at_us < expires:
        message = "the fact was not written while its attestation was good"
        raise Rejection("attestation_invalid", message, field="attestation.expires_at")
    if at_us < registered or (ends is not None and at_us >= ends):
        message = f"attestation.key_id '{key.key_id}' was not good when the fact was written"
        raise Rejection("attestation_key_expired", message, field="attestation.key_id")


def verify_five_lines(message: bytes, public_key: str, signature: str, suite: Suite) -> None:
    """Raises Rejection `attestation_invalid`."""
    if not _verify(suite, public_key, message, signature):
        raise Rejection("attestation_invalid", "attestation signature verification failed", field="attestation")


def _verify(suite: Suite, public_key: str, message: bytes, signature: str) -> bool:
    try:
        return suite.verify(public_key, message, decode_base64(signature))
    except ValueError:
        return False
