"""Vectors of identity: peer declarations, organisation manifests and their rotations."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from stigmem.core.declaration import Declaration, Discovery, signed_bytes, verify_declaration
from stigmem.core.keys import ED25519, decode_base64, encode_base64, key_id
from stigmem.core.manifest import (
    Manifest,
    event_bytes,
    parse_manifest,
    verify_manifest,
    verify_replacement,
    verify_rotation_chain,
)
from stigmem.core.manifest import signed_bytes as manifest_bytes
from tests.builders import refused
from tests.core.vectors import Case, cases, expectation, signer

NOW_MS = 1_780_315_200_000  # 2026-06-01T12:00:00Z, when most declarations were signed
LATER_MS = NOW_MS + 3_600_000


@pytest.mark.parametrize(("where", "case"), cases("declarations"))
def test_declarations_are_verified_as_the_contract_says(where: str, case: Case) -> None:
    expected = expectation(case)
    if expected["http_status"] == 422:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(case["request"], Declaration)
        return
    declaration = msgspec.convert(case["request"], Declaration)
    assert signed_bytes(declaration).decode() == case["verifier_text"]
    found = None if case["well_known"] is None else msgspec.convert(case["well_known"], Discovery)
    code = refused(lambda: verify_declaration(declaration, found, ED25519, now_ms=NOW_MS, fresh=False))
    assert code == expected.get("reason")
    assert (code is None) == (expected["verdict"] != "refused")


def by_the_reference(case: Case) -> bool:
    """Whether the reference accepts the case."""
    return bool(case["expected"]["verdict"] == "ok")


@pytest.mark.parametrize(("where", "case"), cases("declarations", only=by_the_reference))
def test_what_we_sign_is_what_the_reference_signs(where: str, case: Case) -> None:
    declaration = msgspec.convert(case["request"], Declaration)
    signature = signer(where, "declarations", case["key"]).sign(signed_bytes(declaration))
    assert decode_base64(declaration.declaration_sig) == signature


@pytest.mark.parametrize(("where", "case"), cases("declarations", only=by_the_reference))
def test_freshness_is_a_setting_that_refuses_old_declarations_only(where: str, case: Case) -> None:
    declaration = msgspec.convert(case["request"], Declaration)
    found = Discovery(node_id=declaration.node_id, federation_pubkey=declaration.federation_pubkey)

    def code(now_ms: int) -> str | None:
        return refused(lambda: verify_declaration(declaration, found, ED25519, now_ms=now_ms, fresh=True))

    assert code(NOW_MS) == ("declaration_stale" if case["name"] == "S_old_signed_at" else None)
    assert code(LATER_MS) == "declaration_stale"


@pytest.mark.parametrize(("where", "case"), cases("manifests", "manifest"))
def test_manifests_are_verified_as_the_contract_says(where: str, case: Case) -> None:
    expected = expectation(case)

    def verify(*, strict: bool) -> None:
        manifest = parse_manifest(case["manifest"])
        if case["signing_text"] is not None:
            assert manifest_bytes(manifest).decode() == case["signing_text"]
        verify_manifest(manifest, ED25519, strict=strict)

    for strict, mode in ((False, "relaxed"), (True, "strict")):
        code = refused(partial(verify, strict=strict))
        assert (code is None) == (expected[mode]["verdict"] == "ok"), (mode, code)


@pytest.mark.parametrize(("where", "case"), cases("manifests", "manifest_parse"))
def test_incomplete_rotation_events_are_malformed(where: str, case: Case) -> None:
    assert refused(lambda: parse_manifest(case["manifest"])) == "malformed_manifest"


@pytest.mark.parametrize(("where", "case"), cases("manifests", "rotation_chain"))
def test_rotation_chains_lead_from_the_known_key(where: str, case: Case) -> None:
    manifest = parse_manifest(case["manifest"])
    texts = [event_bytes(event).decode() for event in manifest.rotation_events]
    assert texts == case["event_signing_texts"]
    known = (case["previous_key_id"], case["previous_public_key"])
    code = refused(lambda: verify_rotation_chain(manifest, *known, ED25519))
    assert code == (None if expectation(case)["verdict"] == "ok" else "rotation_chain")


@pytest.mark.parametrize(("where", "case"), cases("manifests", "replace"))
def test_a_manifest_replaces_another_only_by_its_key_or_a_rotation(where: str, case: Case) -> None:
    first, second = parse_manifest(case["first"]), parse_manifest(case["second"])
    for manifest in (first, second):
        verify_manifest(manifest, ED25519)
    code = refused(lambda: verify_replacement(first, second, ED25519))
    assert code == (None if expectation(case)["verdict"] == "ok" else "rotation_chain")


@pytest.mark.parametrize(("where", "case"), cases("manifests", "rotation_log_entry"))
def test_signatures_of_rotation_log_entries_are_ours_bit_for_bit(where: str, case: Case) -> None:
    signature = signer(where, "manifests", case["signer"]).sign(case["signing_text"].encode())
    assert encode_base64(signature) == expectation(case)["signature"]


@pytest.mark.parametrize(("where", "case"), cases("manifests", "key_id"))
def test_key_ids_are_the_start_of_the_hash_of_the_raw_key(where: str, case: Case) -> None:
    assert key_id(case["public_key"]) == expectation(case)["key_id"]


@pytest.mark.parametrize(("where", "case"), cases("manifests", "manifest", only=by_the_reference))
def test_what_expired_is_said_by_the_manifest_and_not_by_its_verification(where: str, case: Case) -> None:
    manifest: Manifest = parse_manifest(case["manifest"])
    late = case["name"] in ("already_expired", "expires_exactly_now")
    assert manifest.expired(case["now_ms"] * 1000) == late
