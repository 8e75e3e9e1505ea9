"""Evidence: two statements that one key signed and that cannot both hold, in one file that anybody can check.

    entries        one origin, one fact id, two content ids: a fact is immutable
    manifests      of one entity, issued at one instant, with different content: neither replaces the other
    declarations   of one node, signed at one instant, with two addresses; its scopes may differ from link to link

Nothing else is evidence. A page that leaves facts out, a token, a fact of dialect 0.5: nobody signed those, or what was
signed contradicts nothing. Two facts about one slot with ids of their own contradict each other in what they say, and
not as statements: whoever says both may have changed its mind.

A file holds what was signed, both signatures and the key, so that no other file is needed:

    {"format": "stigmem-evidence-1", "kind": "entries", "suite": "ed25519", "public_key": "...",
     "statements": [{"origin": {...}, "fact_id": "...", "cid": "sha256:...", "valid_until": null, "signature": "..."},
                    {...}]}

Whom it is against is the key. A statement names its author, but anybody can put any name under a key of their own; only
a node id that is a hash of the key (spec/identity.md, 2) is shown by the file itself to be that key's.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from stigmem.core import declaration as declarations
from stigmem.core import manifest as manifests
from stigmem.core.declaration import Declaration
from stigmem.core.envelope import Origin, origin_bytes
from stigmem.core.errors import StigmemError
from stigmem.core.keys import Suite, decode_base64, fingerprint
from stigmem.core.manifest import Manifest, certified_node_id
from stigmem.core.timestamps import parse_us

__all__ = [
    "EVIDENCE_BYTES_MAX", "EntryStatement", "Evidence", "EvidenceBroken", "NoEvidence", "read_evidence",
    "verify_evidence",
]  # fmt: skip

EVIDENCE_BYTES_MAX: Final = 1 << 20
"""A longer file is none of ours."""


class EvidenceBroken(Exception):
    """A file that cannot be read as evidence; the text is one sentence."""


class NoEvidence(StigmemError):
    """A file that was read and shows nothing: a signature does not hold, or both statements may."""


class EntryStatement(msgspec.Struct, kw_only=True):
    """What an origin signs of a fact that it gives to others, and the signature."""

    origin: Origin
    fact_id: str
    cid: str
    valid_until: str | None
    signature: str


class Evidence(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A file of evidence, read and not yet checked."""

    format: Literal["stigmem-evidence-1"] = "stigmem-evidence-1"
    kind: Literal["entries", "manifests", "declarations"]
    suite: Literal["ed25519", "stand-in"]
    public_key: str
    statements: Annotated[list[dict[str, Any]], Meta(min_length=2, max_length=2)]


class _Statement(msgspec.Struct, frozen=True):
    """One of the two in the terms in which all kinds are checked. `about` must be the same in both, `claim` not."""

    author: str
    about: tuple[str, ...]
    claim: str
    signed: bytes
    signature: bytes


_decoder: Final = msgspec.json.Decoder(Evidence)


def read_evidence(data: bytes) -> Evidence:
    """Evidence from the bytes of a file. Raises EvidenceBroken."""
    if len(data) > EVIDENCE_BYTES_MAX:
        raise EvidenceBroken(f"it has more than {EVIDENCE_BYTES_MAX} bytes, which no file of evidence has")
    try:
        found = _decoder.decode(data)
        for statement in found.statements:
            _read(found.kind, statement)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise EvidenceBroken(f"it is no file of evidence: {error}") from error
    return found


def verify_evidence(evidence: Evidence, suite: Suite) -> str:
    """Who signed what, in a sentence, when both signatures hold in a suite and the statements contradict each other.

    Raises NoEvidence `evidence_suite`, `evidence_signature` or `evidence_consistent`.
    """
    if evidence.suite != suite.name:
        raise NoEvidence(
            "evidence_suite",
            f"its signatures are of the suite '{evidence.suite}', which anybody can make; nothing is shown by them"
            if evidence.suite == "stand-in"
            else f"its signatures are of the suite '{evidence.suite}' and were to be checked in '{suite.name}'",
        )
    first, second = (_read(evidence.kind, statement) for statement in evidence.statements)
    for ordinal, each in (("first", first), ("second", second)):
        if not suite.verify(evidence.public_key, each.signed, each.signature):
            raise NoEvidence("evidence_signature", f"the {ordinal} statement is not signed by the key in the file")
    if first.about != second.about:
        raise NoEvidence("evidence_consistent", f"the statements are about different things: {_apart(first, second)}")
    if first.claim == second.claim:
        raise NoEvidence("evidence_consistent", "the statements say the same, and both may hold")
    subject = {
        "entries": "gave the fact {1} two contents",
        "manifests": "issued two manifests of {0} at one instant",
        "declarations": "declared two addresses at one instant",
    }[evidence.kind].format(*first.about)
    claims = f"{first.claim:.100} and {second.claim:.100}"
    return f"{_who(evidence.public_key, first.author)} {subject}: {claims}"


def _who(public_key: str, author: str) -> str:
    key = fingerprint(public_key)
    try:
        is_bound = certified_node_id(public_key) == author
    except ValueError:
        is_bound = False
    if is_bound:
        return f"the node {author}, whose id is the hash of its key ({key}),"
    return f"the holder of the key {key}, in the name of {author} (compare the key: a name alone shows nothing),"


def _apart(first: _Statement, second: _Statement) -> str:
    one, other = next(pair for pair in zip(first.about, second.about, strict=True) if pair[0] != pair[1])
    return f"{one:.100} and {other:.100}"


# --- the three kinds ---


def _read(kind: str, statement: dict[str, Any]) -> _Statement:
    """Raises ValueError (of which msgspec's errors are) for what is no such statement."""
    if kind == "entries":
        return _entry(msgspec.convert(statement, EntryStatement))
    if kind == "manifests":
        return _manifest(msgspec.convert(statement, Manifest))
    return _declaration(msgspec.convert(statement, Declaration))


def _entry(entry: EntryStatement) -> _Statement:
    return _Statement(
        author=entry.origin.node_id,
        about=(entry.origin.node_id, entry.fact_id, entry.origin.tenant),
        claim=entry.cid,
        signed=origin_bytes(entry.origin, entry.fact_id, entry.cid, entry.valid_until),
        signature=decode_base64(entry.signature),
    )


def _manifest(manifest: Manifest) -> _Statement:
    signed = manifests.signed_bytes(manifest)
    author = next((each for each in manifest.entities if each != manifest.entity_uri), manifest.entity_uri)
    return _Statement(
        author=author,
        about=(manifest.entity_uri, str(parse_us(manifest.issued_at))),
        claim=signed.decode(),
        signed=signed,
        signature=decode_base64(manifest.signature),
    )


def _declaration(declared: Declaration) -> _Statement:
    return _Statement(
        author=declared.node_id,
        about=(declared.node_id, str(parse_us(declared.signed_at)), declared.federation_pubkey),
        claim=declared.node_url,
        signed=declarations.signed_bytes(declared),
        signature=decode_base64(declared.declaration_sig),
    )
