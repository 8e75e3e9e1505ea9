"""A file of evidence shows that one key signed two statements that cannot both hold, or it shows nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from stigmem.core.declaration import declare
from stigmem.core.envelope import Origin, origin_bytes
from stigmem.core.evidence import EntryStatement, Evidence, EvidenceBroken, NoEvidence, read_evidence, verify_evidence
from stigmem.core.keys import ED25519, STAND_IN, encode_base64, fingerprint
from stigmem.core.manifest import certified_node_id, make_manifest

SIGNER = ED25519.signer(bytes(range(32)))
OTHER = ED25519.signer(bytes(range(32, 64)))
KEY = SIGNER.public_key
NODE = certified_node_id(KEY)
FACT = "8f0f0b52-5d7a-4a0c-9f1b-2f1e3d4c5b6a"


def entry(cid: str, *, fact_id: str = FACT, node_id: str = NODE, signer: Any = SIGNER) -> dict[str, Any]:
    origin = Origin(
        tenant="default", node_id=node_id, allowed_scopes=["public"], allowed_tenants=["default"], entity_uri="x://y"
    )
    signature = encode_base64(signer.sign(origin_bytes(origin, fact_id, cid, None)))
    statement = EntryStatement(origin=origin, fact_id=fact_id, cid=cid, valid_until=None, signature=signature)
    return dict(msgspec.to_builtins(statement))


def manifest(entity: str, issued_at: str, *also: str) -> dict[str, Any]:
    made = make_manifest(
        SIGNER, entity_uri=entity, entities=(NODE, *also), issued_at=issued_at, expires_at="2026-09-01T00:00:00Z"
    )
    return dict(msgspec.to_builtins(made))


def declaration(url: str, signed_at: str, *scopes: Any) -> dict[str, Any]:
    made = declare(SIGNER, node_id=NODE, node_url=url, scopes=scopes or ("public",), signed_at=signed_at)
    return dict(msgspec.to_builtins(made))


def file_of(kind: Any, *statements: dict[str, Any], key: str = KEY, suite: Any = "ed25519") -> bytes:
    return msgspec.json.encode(Evidence(kind=kind, suite=suite, public_key=key, statements=list(statements)))


def refused(data: bytes) -> NoEvidence:
    with pytest.raises(NoEvidence) as caught:
        verify_evidence(read_evidence(data), ED25519)
    return caught.value


JULY, AUGUST = "2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z"
CONTRADICTIONS: dict[str, Callable[[], bytes]] = {
    "entries": lambda: file_of("entries", entry("sha256:aa"), entry("sha256:bb")),
    "manifests": lambda: file_of("manifests", manifest("o://a", JULY), manifest("o://a", JULY, "stigmem://b")),
    "declarations": lambda: file_of("declarations", declaration("http://a", JULY), declaration("http://b", JULY)),
}


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_two_statements_that_cannot_both_hold_are_evidence_against_who_signed_them(kind: str) -> None:
    said = verify_evidence(read_evidence(CONTRADICTIONS[kind]()), ED25519)
    assert NODE in said
    assert fingerprint(KEY) in said


@pytest.mark.parametrize(
    "data",
    [
        file_of("entries", entry("sha256:aa"), entry("sha256:aa")),
        file_of("entries", entry("sha256:aa"), entry("sha256:bb", fact_id="9" + FACT[1:])),
        file_of("entries", entry("sha256:aa"), entry("sha256:bb", node_id="stigmem://other")),
        file_of("manifests", manifest("o://a", JULY), manifest("o://a", AUGUST, "stigmem://b")),
        file_of("manifests", manifest("o://a", JULY), manifest("o://b", JULY)),
        file_of("declarations", declaration("http://a", JULY), declaration("http://b", AUGUST)),
        file_of("declarations", declaration("http://a", JULY), declaration("http://a", JULY, "company", "public")),
    ],
    ids=["twice the same", "two facts", "two origins", "a new manifest", "two entities", "moved", "another link"],
)
def test_statements_that_may_both_hold_are_no_evidence(data: bytes) -> None:
    assert refused(data).code == "evidence_consistent"


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_whatever_member_of_a_statement_is_changed_it_is_no_evidence_any_more(kind: str) -> None:
    whole = msgspec.json.decode(CONTRADICTIONS[kind]())
    changed = 0
    for place in range(2):
        for member, value in whole["statements"][place].items():
            if not isinstance(value, str) or member.endswith(("_at", "signature", "sig")):
                continue
            one = msgspec.json.decode(msgspec.json.encode(whole))
            one["statements"][place][member] = value + "x"
            assert refused(msgspec.json.encode(one)).code == "evidence_signature", member
            changed += 1
    assert changed >= 4


def test_a_statement_under_another_key_is_no_evidence() -> None:
    mixed = file_of("entries", entry("sha256:aa"), entry("sha256:bb", signer=OTHER))
    swapped = file_of("entries", entry("sha256:aa"), entry("sha256:bb"), key=OTHER.public_key)
    assert refused(mixed).code == refused(swapped).code == "evidence_signature"


def test_who_signs_in_the_name_of_another_is_named_by_key() -> None:
    forged = [entry(cid, signer=OTHER) for cid in ("sha256:aa", "sha256:bb")]
    said = verify_evidence(read_evidence(file_of("entries", *forged, key=OTHER.public_key)), ED25519)
    assert said.startswith(f"the holder of the key {fingerprint(OTHER.public_key)}")
    assert "a name alone shows nothing" in said


def test_signatures_of_the_simulators_stand_in_show_nothing() -> None:
    signer = STAND_IN.signer(bytes(32))
    statements = [entry(cid, signer=signer) for cid in ("sha256:aa", "sha256:bb")]
    data = file_of("entries", *statements, key=signer.public_key, suite="stand-in")
    assert refused(data).code == "evidence_suite"
    assert verify_evidence(read_evidence(data), STAND_IN)


GOOD = CONTRADICTIONS["entries"]()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", GOOD[:-30], GOOD.replace(b"evidence-1", b"evidence-9"),
        GOOD.replace(b'"entries"', b'"manifests"'), GOOD.replace(b'"fact_id"', b'"fact_ids"'),
        GOOD.replace(b'"signature":"', b'"signature":"!'), GOOD.replace(b'"format"', b'"more":1,"format"'),
        file_of("entries", entry("sha256:aa")), b"[" * 100_000, b" " * (1 << 20) + GOOD,
        file_of("manifests", manifest("o://a", JULY), manifest("o://a", JULY) | {"issued_at": "soon"}),
    ],
)  # fmt: skip
def test_a_file_that_is_no_evidence_at_all_is_broken(data: bytes) -> None:
    with pytest.raises(EvidenceBroken):
        read_evidence(data)


def test_a_key_that_is_no_key_is_refused_and_raises_nothing_else() -> None:
    for key in ("", "!", "AAAA", "ä" * 43):
        found = file_of("entries", entry("sha256:aa"), entry("sha256:bb"), key=key)
        assert refused(found).code == "evidence_signature"
