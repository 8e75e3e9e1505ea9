"""Manifests and rotations that we make ourselves: what holds, and what each missing link costs."""

from __future__ import annotations

import msgspec
import pytest

from stigmem.core.keys import ED25519, Signer, encode_base64, key_id
from stigmem.core.manifest import (
    Manifest,
    RotationEvent,
    certified_node_id,
    event_bytes,
    make_manifest,
    signed_bytes,
    speaks_for,
    verify_manifest,
    verify_replacement,
    verify_rotation_chain,
)
from tests.builders import refused

NODE = "stigmem:node:a"
FIRST, SECOND, THIRD = (ED25519.signer(bytes([seed] * 32)) for seed in (1, 2, 3))


def manifest(signer: Signer, *events: RotationEvent) -> Manifest:
    made = make_manifest(
        signer, entity_uri="http://a.example", entities=("http://a.example", NODE), issued_at="2026-01-01T00:00:00Z",
        expires_at="2026-12-01T00:00:00Z",
    )  # fmt: skip
    made = msgspec.structs.replace(made, rotation_events=list(events))
    return msgspec.structs.replace(made, signature=encode_base64(signer.sign(signed_bytes(made))))


def rotation(old: Signer, new: Signer, *, previous: str | None = None, by: Signer | None = None) -> RotationEvent:
    draft = RotationEvent(
        previous_key_id=previous or key_id(old.public_key), new_key_id=key_id(new.public_key),
        new_public_key=new.public_key, rotated_at="2026-02-01T00:00:00Z", signature="",
    )  # fmt: skip
    return msgspec.structs.replace(draft, signature=encode_base64((by or old).sign(event_bytes(draft))))


def chain_code(made: Manifest, known: Signer = FIRST) -> str | None:
    return refused(lambda: verify_rotation_chain(made, key_id(known.public_key), known.public_key, ED25519))


def test_what_we_make_verifies_and_speaks_for_its_node() -> None:
    made = manifest(FIRST)
    verify_manifest(made, ED25519, strict=True)
    assert speaks_for(made, NODE)
    assert speaks_for(made, NODE, FIRST.public_key + "=")
    assert not speaks_for(made, NODE, SECOND.public_key)
    assert not speaks_for(made, "stigmem:node:b")


def test_rotations_lead_from_any_key_of_the_past_to_the_present_one() -> None:
    made = manifest(THIRD, rotation(FIRST, SECOND), rotation(SECOND, THIRD))
    verify_manifest(made, ED25519)
    assert [chain_code(made, known) for known in (FIRST, SECOND)] == [None, None]
    assert chain_code(made, THIRD) == "rotation_chain"  # nothing leads from a key that nothing retires
    verify_replacement(manifest(FIRST), made, ED25519)
    assert refused(lambda: verify_replacement(manifest(FIRST), manifest(THIRD), ED25519)) == "rotation_chain"


@pytest.mark.parametrize(
    "events",
    [
        [rotation(FIRST, SECOND, by=SECOND), rotation(SECOND, THIRD)],
        [rotation(FIRST, SECOND), rotation(SECOND, THIRD, by=FIRST)],
        [rotation(FIRST, SECOND), rotation(SECOND, THIRD, previous="elsewhere")],
        [rotation(FIRST, SECOND)],
        [rotation(SECOND, THIRD)],
        [rotation(FIRST, SECOND), rotation(SECOND, FIRST), rotation(FIRST, THIRD)],
    ],
    ids=["first-by-new-key", "second-by-old-key", "gap", "ends-early", "starts-late", "turns-back"],
)
def test_a_chain_with_a_bad_link_leads_nowhere(events: list[RotationEvent]) -> None:
    assert chain_code(manifest(THIRD, *events)) == "rotation_chain"


def test_an_id_that_certifies_its_key_is_a_hash_of_the_keys_bytes() -> None:
    assert certified_node_id(FIRST.public_key) == certified_node_id(FIRST.public_key + "=")
    assert certified_node_id(FIRST.public_key) != certified_node_id(SECOND.public_key)
    assert certified_node_id(FIRST.public_key).startswith("stigmem:node:")
