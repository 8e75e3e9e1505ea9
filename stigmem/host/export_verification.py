"""What an export shows by itself: whether each fact is what its ids say, and whether origin and agent signed it.

Nothing else is read and no node need run: keys come from the header of the export, or from whoever asks. A key proves
itself where the node id is its hash; of another origin it is the word of the node that wrote the export, unless the
key was given by hand. Which of several facts with one nonce is the attested one is decided among those in the export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from stigmem.core.attestation import verify_attestation
from stigmem.core.attestation_book import AttestationBook
from stigmem.core.envelope import TENANT, Origin, origin_bytes
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.keys import ED25519
from stigmem.core.manifest import certified_node_id
from stigmem.core.records import AttestedFact
from stigmem.host.transfer import Exported, Header, read_header, read_line

__all__ = ["Finding", "verify_export"]

_CERTIFIED: str = "stigmem:node:"

Ids = Literal["hold", "changed"]
Outcome = Literal["verified", "not signed", "invalid", "no key", "replay", "here only"]
"""`here only`: in the published form, which nobody but the node that was asked can verify, or an origin's signature of
a fact of the node's own, which is made when it is served."""


class Finding(NamedTuple):
    """What an export shows of one fact."""

    line: int
    fact: Fact
    ids: Ids
    origin: Outcome
    agent: Outcome
    key_id: str
    """Of the agent's key, or empty."""
    why: str
    """What is wrong, or empty."""

    @property
    def is_bad(self) -> bool:
        return self.ids == "changed" or "invalid" in (self.origin, self.agent)


def verify_export(lines: Iterator[bytes], keys: Mapping[str, str]) -> list[Finding]:
    """Every fact of an export, in its order. `keys`: public keys by node id, which go before those of the export.
    Raises BadExport for what is no export."""
    header = read_header(next(lines, b""))
    known = {**header.origins, header.node_id: header.public_key, **keys}
    book = AttestationBook()
    found: list[Finding] = []
    for number, line in enumerate(lines, 2):
        if line.strip():
            found.append(_look(read_line(line, number), header, known, book))
    return [_with_replay(each, book) for each in found]


def _look(row: Exported, header: Header, known: Mapping[str, str], book: AttestationBook) -> Finding:
    _, fact, cid, attestation = row
    if fact.cid != cid or (fact.certified and fact.id != fact.certified_id()):
        return Finding(row.line, fact, "changed", "invalid", "invalid", "", "its ids do not fit its content")
    key, why = _key_of(fact.origin, known)
    origin: Outcome = "here only" if fact.origin == header.node_id else _origin(fact, key)
    if attestation is None:
        return Finding(row.line, fact, "hold", origin, "not signed", "", why if origin == "invalid" else "")
    agent: Outcome = "here only"
    if attestation.form == "whole":
        agent, why = ("no key", why) if key is None else ("verified", "")
        if key is not None:
            try:
                verify_attestation(attestation, fact, key, ED25519)
                book.apply(AttestedFact(fact.origin, fact.id, fact.stamp, attestation), is_erased=False)
            except Rejection as rejection:
                agent, why = "invalid", rejection.message
    return Finding(row.line, fact, "hold", origin, agent, attestation.key.key_id, why)


def _key_of(origin: str, known: Mapping[str, str]) -> tuple[str | None, str]:
    """The key of an origin, or None and why not."""
    key = known.get(origin)
    if key is None:
        return None, f"the key of {origin} is not known: give --origin-key"
    try:
        is_other = origin.startswith(_CERTIFIED) and certified_node_id(key) != origin
    except ValueError:
        is_other = True
    return (None, f"the key that is given for {origin} is another node's") if is_other else (key, "")


def _origin(fact: Fact, key: str | None) -> Outcome:
    """What the envelope that was kept of a received fact shows."""
    if fact.signature is None:
        return "not signed"
    if key is None:
        return "no key"
    said = Origin(
        tenant=TENANT, node_id=fact.origin, allowed_scopes=fact.grant.split(","), allowed_tenants=[TENANT],
        entity_uri=fact.entity_uri,
    )  # fmt: skip
    message = origin_bytes(said, fact.id, fact.cid8, fact.valid_until)
    return "verified" if ED25519.verify(key, message, fact.signature) else "invalid"


def _with_replay(finding: Finding, book: AttestationBook) -> Finding:
    if finding.agent == "verified" and not book.is_attested(finding.fact):
        return finding._replace(agent="replay", why="an earlier fact carries the same nonce")
    return finding
