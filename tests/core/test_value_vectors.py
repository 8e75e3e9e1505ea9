"""Vectors of names, values and content ids: uris, values_cid7, values_cid8."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from stigmem.core.content_id import cid7, cid8
from stigmem.core.envelope import Origin, origin_bytes
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.ingest import IngestPolicy, PeerLink, VerifiedFact, verify
from stigmem.core.keys import ED25519, encode_base64
from stigmem.core.page import decode_entry
from stigmem.core.uris import normalise
from stigmem.core.values import Value, parse_value
from tests.core.vectors import Case, cases, expectation, unfold

NODE = "stigmem://north.example"
SENDER = "stigmem://south.example"
SIGNER = ED25519.signer(bytes(range(32, 64)))


def _policy() -> IngestPolicy:
    return IngestPolicy(NODE, ED25519, {SENDER: SIGNER.public_key}.get, lambda source: False)


@pytest.mark.parametrize(("where", "case"), cases("uris"))
def test_entity_uris_are_normalised_as_the_contract_says(where: str, case: Case) -> None:
    parts = case.get("input_parts")
    text = case["input"] if parts is None else parts["prefix"] + parts["unit"] * parts["count"]
    expected = expectation(case)
    if expected["verdict"] == "refused":
        with pytest.raises(Refusal) as caught:
            normalise(text)
        assert caught.value.status == expected["http"]["status"]
        assert caught.value.message.startswith(expected["http"].get("detail_prefix", ""))
    else:
        output = normalise(text)
        assert output == (text if expected.get("output_equals_input") else expected["output"])
        assert normalise(output) == output


@pytest.mark.parametrize(("where", "case"), cases("values_cid7", None))
def test_seven_field_content_ids(where: str, case: Case) -> None:
    _check_cid(case, cid7)


@pytest.mark.parametrize(("where", "case"), cases("values_cid8", None))
def test_eight_field_content_ids(where: str, case: Case) -> None:
    _check_cid(case, cid8)


def _check_cid(case: Case, hash_of: Any) -> None:
    given, expected = case["input"], expectation(case)
    value = unfold(given["value"])
    if expected["verdict"] == "refused":
        with pytest.raises(Rejection) as caught:
            parse_value(value["type"], value["v"])
        assert caught.value.code == expected["reason"] == "value_too_large"
        parsed = Value(value["type"], value["v"])  # too large to be taken in, and yet its hash is defined
    else:
        parsed = parse_value(value["type"], value.get("v"), value.get("interpret_as"))
    text = expected["value_v"]
    assert parsed.text == (unfold(text)["v"] if isinstance(text, dict) else text)
    cid = hash_of(given["entity"], given["relation"], given["scope"], given["source"], parsed, given["confidence"])
    assert cid == _expected_cid(expected)


def _expected_cid(expected: dict[str, Any]) -> str:
    if "confidence" not in expected:
        return str(expected["cid"])
    body = json.loads(expected["hashed_text"])  # our confidence differs: the same text with ours in it
    body["confidence"] = expected["confidence"]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(("where", "case"), cases("values_cid7", "receiver"))
def test_a_receiver_of_dialect_0_5_checks_the_content_id(where: str, case: Case) -> None:
    _check_receiver(lambda: examine_fact(case["input"], "0.5"), expectation(case))


@pytest.mark.parametrize(("where", "case"), cases("values_cid8", "receiver"))
def test_a_receiver_of_dialect_2_1_checks_the_content_id(where: str, case: Case) -> None:
    _check_receiver(lambda: examine_fact(case["input"], "2.1"), expectation(case))


def examine_fact(fact: dict[str, Any], dialect: str) -> VerifiedFact:
    """What the stateless half of ingest says of a fact that its origin serves, signed where the dialect signs."""
    entry = fact
    if dialect == "2.1":
        origin = Origin(
            tenant="default", node_id=SENDER, allowed_scopes=[fact["scope"]], allowed_tenants=["default"],
            entity_uri="http://south.example",
        )  # fmt: skip
        signed = origin_bytes(origin, fact["id"], fact["cid"] or "", fact.get("valid_until"))
        members = {name: getattr(origin, name) for name in origin.__struct_fields__}
        entry = {"fact": fact, "origin": members, "origin_sig": encode_base64(SIGNER.sign(signed))}
    link = PeerLink(SENDER, dialect, ("company", "public"))
    return verify(decode_entry(json.dumps(entry).encode(), dialect), link, _policy())


def _check_receiver(act: Any, expected: dict[str, Any]) -> None:
    if expected["verdict"] == "accepted":
        fact = act().fact
        assert (fact.origin, fact.quarantine) == (SENDER, expected.get("quarantine"))
        return
    with pytest.raises(Rejection) as caught:
        act()
    assert caught.value.code == expected["reason"]
