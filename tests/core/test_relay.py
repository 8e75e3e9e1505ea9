"""Relaying and repetition: what a relay cannot do, whose an id is, and what is known already (federation 3.11)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core.envelope import entry_json
from stigmem.core.errors import Rejection
from stigmem.core.ingest import PeerLink, is_repeat, same_body
from stigmem.core.page import decode_entry
from tests.builders import fact, refused
from tests.core.received import LINK, ORIGIN, OURS, RELAY, SIGNER, STRANGER, Draft, Receiver

VIA_RELAY = PeerLink(RELAY, "2.1+", ("company", "public"))
UNTIL, LATER = "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"


# --- relaying (federation 3.11) ---


def test_a_relayed_fact_is_taken_under_its_origins_signature_and_served_on_unchanged() -> None:
    receiver = Receiver()
    assert receiver.take(Draft.of(), VIA_RELAY) is None
    (stored,) = receiver.ledger.log
    assert (stored.origin, stored.received_from, stored.certified) == (ORIGIN, RELAY, True)
    again = json.loads(entry_json(stored, SIGNER, "http://ours.example"))
    first = Draft.of().entry("2.1+")
    for member in ("id", "cid", "entity", "value", "hlc", "timestamp", "valid_until", "scope", "source", "confidence"):
        assert again["fact"][member] == first["fact"][member]
    assert (again["origin"], again["origin_sig"]) == (first["origin"], first["origin_sig"])
    third = Receiver()
    assert third.judge(json.dumps(again).encode(), PeerLink("stigmem:node:far", "2.1+", ("public",))) is not None


@pytest.mark.parametrize(
    ("member", "other"),
    [("hlc", "1795161344438.000"), ("timestamp", "2026-11-20T09:00:00+00:00"), ("derived_from", [{"fact_id": "a"}])],
)
def test_a_relay_cannot_move_a_fact_in_time_or_give_it_a_provenance(member: str, other: Any) -> None:
    draft = Draft.of()
    draft.fact[member] = other
    assert Receiver().take(draft, VIA_RELAY) == "origin_stamp_unproven"


@pytest.mark.parametrize(
    ("part", "member", "other", "code"),
    [
        ("fact", "value", {"type": "string", "v": "forged"}, "cid_mismatch"),
        ("fact", "source", "agent:forged", "cid_mismatch"),
        ("fact", "scope", "company", "origin_not_sender"),
        ("fact", "id", "another", "origin_sig_invalid"),
        ("fact", "valid_until", LATER, "origin_sig_invalid"),
        ("origin", "allowed_scopes", ["public", "company"], "origin_sig_invalid"),
        ("origin", "entity_uri", "http://relay.example", "origin_sig_invalid"),
        ("origin", "node_id", OURS, "origin_sig_invalid"),
        ("origin", "node_id", STRANGER, "origin_unresolvable"),
    ],
)
def test_a_relay_cannot_forge_widen_or_mutate(part: str, member: str, other: Any, code: str) -> None:
    draft = Draft.of()
    signed = draft.entry("2.1+")
    signed["origin" if part == "origin" else "fact"][member] = other
    assert refused(lambda: Receiver().judge(json.dumps(signed).encode(), VIA_RELAY)) == code


def test_only_public_facts_are_relayed_and_only_if_relaying_is_wanted() -> None:
    assert Receiver().take(Draft.of(scope="company"), VIA_RELAY) == "origin_not_sender"
    assert Receiver(accept_relayed=False).take(Draft.of(), VIA_RELAY) == "origin_not_sender"
    assert Receiver().take(_with_id(Draft.of(), "uncertified"), VIA_RELAY) == "origin_stamp_unproven"


@pytest.mark.parametrize(
    ("changes", "cid"),
    [
        ({"allowed_scopes": ["a,b", "public"]}, "ours"),
        ({"allowed_tenants": ["default", "acme"]}, "ours"),
        ({}, "integer"),
    ],
)
def test_an_envelope_that_could_not_be_rebuilt_is_taken_from_its_origin_and_goes_no_further(
    changes: dict[str, Any], cid: str
) -> None:
    draft = Draft.of(kind="number", text="5.0")
    draft.origin |= changes
    if cid == "integer":
        integer = Draft.of(kind="number", text="5")
        draft.cid = msgspec.structs.replace(fact(1, origin=ORIGIN, kind="number"), text="5").cid8
        assert integer.fact["value"]["v"] == 5.0
    receiver = Receiver()
    assert receiver.take(draft) is None
    (stored,) = receiver.ledger.log
    assert (stored.certified, stored.signature) == (False, None)
    assert list(receiver.ledger.exported(("public",), 0)) == []
    assert Receiver().take(draft, VIA_RELAY) == "origin_stamp_unproven"


def test_company_facts_are_taken_and_kept() -> None:
    receiver = Receiver()
    assert receiver.take(Draft.of(scope="company")) is None
    assert receiver.ledger.log[0].signature is None  # nobody will ever be shown it
    assert list(receiver.ledger.exported(("team", "company", "public"), 0)) == []


def test_our_own_fact_comes_back_only_under_our_own_signature() -> None:
    receiver = Receiver()
    assert receiver.take(Draft.of(origin=OURS, source="agent:admin"), VIA_RELAY) is None
    assert receiver.ledger.log[0].origin == OURS


@pytest.mark.parametrize(
    "changes", [{"interpret_as": "instruction"}, {"entity": "instruction:x"}, {"relation": "instruction:x"}]
)
def test_an_instruction_from_a_peer_is_held_back(changes: dict[str, Any]) -> None:
    receiver = Receiver()
    assert receiver.take(Draft.of(**changes)) is None
    assert receiver.ledger.log[0].quarantine == "instruction_federation_inbound"
    assert not receiver.ledger.live(receiver.ledger.log[0])


# --- ids held already ---


def _with_id(draft: Draft, fact_id: str) -> Draft:
    draft.fact["id"] = fact_id
    return draft


@pytest.mark.parametrize(
    ("member", "other"),
    [
        ("entity", "user:x"), ("relation", "memory:x"), ("source", "agent:x"), ("scope", "company"), ("text", "x"),
        ("kind", "text"), ("confidence", 0.5), ("interpret_as", "instruction"),
    ],
)  # fmt: skip
def test_a_known_id_with_another_body_is_a_collision(member: str, other: Any) -> None:
    receiver = Receiver()
    assert receiver.take(_with_id(Draft.of(), "one")) is None
    assert receiver.take(_with_id(Draft.of(**{member: other}), "one")) == "id_collision"
    assert receiver.take(_with_id(Draft.of(), "one")) == "repeated"
    assert same_body(receiver.ledger.log[0], receiver.ledger.log[0])


@pytest.mark.parametrize(
    ("held", "incoming", "code"),
    [
        (UNTIL, LATER, "valid_until_extension"),
        (UNTIL, None, "valid_until_extension"),
        (UNTIL, UNTIL, "repeated"),
        (UNTIL, "2030-01-01T01:00:00+01:00", "repeated"),
        (UNTIL, "2029-01-01T00:00:00Z", "repeated"),
        (None, UNTIL, "repeated"),
        (None, None, "repeated"),
    ],
)
def test_the_life_of_a_fact_is_never_extended(held: str | None, incoming: str | None, code: str) -> None:
    receiver = Receiver()
    assert receiver.take(_with_id(Draft.of(valid_until=held), "one")) is None
    assert receiver.take(_with_id(Draft.of(valid_until=incoming), "one")) == code
    assert receiver.ledger.log[0].valid_until == held


def test_an_extension_says_what_was_held_and_what_came() -> None:
    receiver = Receiver()
    receiver.take(_with_id(Draft.of(valid_until=UNTIL), "one"))
    with pytest.raises(Rejection) as caught:
        receiver.judge(_with_id(Draft.of(valid_until=LATER), "one").raw("2.1+"))
    assert caught.value.detail == {"stored": UNTIL, "incoming": LATER}


def test_an_id_of_a_local_fact_cannot_be_taken_over() -> None:
    receiver = Receiver()
    mine = receiver.store(fact(1, origin=OURS, source="agent:admin"))
    assert receiver.take(_with_id(Draft.of(text="forged"), mine.id)) == "id_collision"
    assert receiver.ledger.log == [mine]


def test_a_claimed_id_does_not_keep_the_honest_origin_out() -> None:
    receiver = Receiver()
    honest = Draft.of(text="honest")
    hostile = _with_id(Draft.of(origin=RELAY, text="claimed"), honest.fact["id"])
    assert receiver.take(hostile, VIA_RELAY) is None
    assert receiver.take(honest) is None
    assert [f.text for f in receiver.ledger.find(honest.fact["id"])] == ["honest", "claimed"]
    got = receiver.ledger.get(honest.fact["id"])
    assert got is not None
    assert got.text == "honest"


def test_of_two_that_claim_an_id_and_cannot_prove_it_neither_keeps_the_other_out() -> None:
    drafts = [
        (_with_id(Draft.of(text="x"), "one"), LINK),
        (_with_id(Draft.of(origin=RELAY, text="y"), "one"), VIA_RELAY),
    ]
    for arrivals in (drafts, drafts[::-1]):
        receiver = Receiver()
        assert [receiver.take(draft, link) for draft, link in arrivals] == [None, None]
        assert [receiver.take(draft, link) for draft, link in arrivals] == ["repeated", "repeated"]
        assert {(f.origin, f.text) for f in receiver.ledger.find("one")} == {(ORIGIN, "x"), (RELAY, "y")}


# --- plain repetitions ---


def test_a_plain_repetition_is_known_without_verifying_it_again() -> None:
    receiver = Receiver()
    draft = Draft.of()
    entry = decode_entry(draft.raw("2.1+"), "2.1+")
    assert not is_repeat(entry, LINK, receiver.ledger)
    receiver.take(draft)
    assert is_repeat(entry, LINK, receiver.ledger)
    others = {"confidence": 0.5, "valid_until": UNTIL, "source": "agent:x", "value": {"type": "zzz"}}
    for member, other in others.items():
        changed = Draft.of()
        changed.fact[member] = other
        assert not is_repeat(decode_entry(changed.raw("2.1+"), "2.1+"), LINK, receiver.ledger)
