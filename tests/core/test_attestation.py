"""What an agent signed holds for exactly that: the vectors, and the order of arrival."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.attestation import (
    Attestation,
    KeyStatement,
    parse_attestation,
    sign_fact,
    sign_statement,
    signed_bytes,
    statement_bytes,
    verify_attestation,
)
from stigmem.core.attestation_book import AttestationBook
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact, derivation, place
from stigmem.core.hlc import Stamp
from stigmem.core.keys import ED25519
from stigmem.core.records import AttestedFact
from stigmem.core.timestamps import format_us, parse_us
from tests.core.vectors import Case, cases, document

NODE = ED25519.signer(b"n" * 32)
AGENT = ED25519.signer(b"a" * 32)
NONCE = "0123456789abcdef"
START_US = parse_us("2026-11-20T07:55:44Z")


def whole_cases() -> list[Any]:
    return [each for each in cases("attestations", "whole") if each.values[0] == "spec"]


@pytest.mark.parametrize(("where", "case"), whole_cases())
def test_a_receiver_believes_what_was_signed_and_nothing_else(where: str, case: Case) -> None:
    node = document(where, "attestations")["node"]
    said = case["fact"]
    fact = msgspec.structs.replace(
        place(Stamp(0), node, "a fact"), entity=said["entity"], relation=said["relation"], scope=said["scope"],
        source=said["source"], kind=said["value_type"], text=said["value_v"], interpret_as=said["interpret_as"],
        confidence=said["confidence"], valid_until=said["valid_until"], derived_from=derivation(said["derived_from"]),
        timestamp_us=parse_us(said["timestamp"]),
    )  # fmt: skip
    attestation = parse_attestation(msgspec.json.encode(case["attestation"]))
    assert statement_bytes(attestation.key, node).decode() == case["statement_text"]
    is_changed = case["name"].startswith("changed_")
    assert (signed_bytes(fact, attestation).decode() != case["signing_text"]) is is_changed
    key = document(where, "attestations")["keys"]["P"]["public"]
    if case["expected"]["verdict"] == "ok":
        verify_attestation(attestation, fact, key, ED25519)
    else:
        with pytest.raises(Rejection) as caught:
            verify_attestation(attestation, fact, key, ED25519)
        assert caught.value.code == case["expected"]["reason"]


def word(number: int = 0, origin: str = "north") -> Fact:
    blank = place(Stamp(number), origin, f"{number:04}")
    return msgspec.structs.replace(
        blank, entity="dam:4", relation="level", scope="public", source="agent:scout", kind="string", text="high",
        interpret_as="content", confidence=1.0, timestamp_us=START_US,
    )  # fmt: skip


def attested(fact: Fact, nonce: str = NONCE, life_s: int = 60, **changed: Any) -> Attestation:
    """What the agent signs, beside what the node says of its key."""
    key = KeyStatement(
        key_id="key", entity_uri="agent:scout", public_key=AGENT.public_key, registered_at=format_us(START_US)
    )
    draft = Attestation(
        key=sign_statement(key, fact.origin, NODE), signature="", nonce=nonce, issued_at=format_us(START_US),
        expires_at=format_us(START_US + life_s * 1_000_000),
    )  # fmt: skip
    return sign_fact(fact, msgspec.structs.replace(draft, **changed), AGENT)


def holds(fact: Fact, attestation: Attestation) -> bool:
    try:
        verify_attestation(attestation, fact, NODE.public_key, ED25519)
    except Rejection:
        return False
    return True


def test_a_signature_for_one_node_is_none_for_another() -> None:
    there = word(origin="south")
    here = msgspec.structs.replace(there, origin="north")
    assert holds(there, attested(there))
    # The thief may even have the agent's key stated by the other node.
    moved = msgspec.structs.replace(attested(there), key=attested(here).key)
    assert not holds(here, moved)


def test_every_bound_of_an_attestation_has_its_edge() -> None:
    fact = word()
    for nonce, is_good in (
        ("n" * limits.ATTESTATION_NONCE_CHARS_MIN, True),
        ("n" * (limits.ATTESTATION_NONCE_CHARS_MIN - 1), False),
        ("n" * limits.ATTESTATION_NONCE_CHARS_MAX, True),
        ("n" * (limits.ATTESTATION_NONCE_CHARS_MAX + 1), False),
    ):
        assert holds(fact, attested(fact, nonce)) is is_good
    assert holds(fact, attested(fact, life_s=limits.ATTESTATION_LIFE_S_MAX))
    assert not holds(fact, attested(fact, life_s=limits.ATTESTATION_LIFE_S_MAX + 1))
    ahead_us = limits.ATTESTATION_SKEW_S * 1_000_000
    for late_us, is_good in ((0, True), (1, False)):
        begins = format_us(START_US + ahead_us + late_us)
        ends = format_us(START_US + 2 * ahead_us)
        assert holds(fact, attested(fact, issued_at=begins, expires_at=ends)) is is_good


def test_what_is_no_attestation_is_refused_with_its_code_and_nothing_else() -> None:
    good = msgspec.json.encode(attested(word()))
    assert parse_attestation(good + b" " * (limits.ATTESTATION_BYTES_MAX - len(good)))
    bad = [
        good + b" " * (limits.ATTESTATION_BYTES_MAX - len(good) + 1), b"", b"null", b"[]", b"7", b"{}", b'{"key":{}}',
        b"[" * 5_000, b"\xff", good.replace(b'"signature"', b'"signature":7,"x"'), good[:-1],
        msgspec.json.encode(attested(word(), form="lines")), msgspec.json.encode(attested(word(), garden="room")),
    ]  # fmt: skip
    for data in bad:
        with pytest.raises(Rejection) as caught:
            parse_attestation(data)
        assert caught.value.code == "attestation_invalid"


def test_a_nonce_attests_its_first_fact_whatever_the_order_of_arrival() -> None:
    facts = [word(3), word(1), word(2), word(1, "south"), word(4)]
    nonces = [NONCE, NONCE, "another nonce 0123", NONCE, NONCE]
    records = [
        AttestedFact(fact.origin, fact.id, fact.stamp, attested(fact, nonce))
        for fact, nonce in zip(facts, nonces, strict=True)
    ]
    seen = set()
    for order in permutations(records):
        book = AttestationBook()
        for record in order:
            book.apply(record, is_erased=False)
            book.apply(record, is_erased=False)  # it comes from two peers
        seen.add(tuple(book.is_attested(fact) for fact in facts))
    assert seen == {(False, True, True, True, False)}


def test_what_is_forgotten_of_a_replay_leaves_the_others() -> None:
    first, second = word(1), word(2)
    book = AttestationBook()
    for fact in (second, first):
        book.apply(AttestedFact(fact.origin, fact.id, fact.stamp, attested(fact)), is_erased=False)
    book.forget(first)
    assert (book.is_attested(first), book.is_attested(second), list(book.gone)) == (None, True, [("north", "0001")])
    book.restore(first)
    assert (book.is_attested(first), book.is_attested(second), list(book.gone)) == (True, False, [])
    book.apply(AttestedFact("north", "0001", first.stamp, None), is_erased=True)
    assert (book.is_attested(first), len(book)) == (None, 1)
