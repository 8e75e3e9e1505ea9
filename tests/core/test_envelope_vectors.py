"""Vectors of dialect 2.1 envelopes: whole pages through reading, examining and admitting.

Which key a manifest binds to a peer is the node's affair: `tests/node/test_binding_vectors.py`.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core.envelope import Origin, origin_bytes
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.ingest import IngestPolicy, PeerLink, admit, verify
from stigmem.core.keys import ED25519, decode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.page import decode_entry, decode_page
from tests.core.vectors import Case, cases, document, expectation


class Receiver:
    """The receiver of the file: one link, one clock, a ledger that grows."""

    def __init__(self, where: str) -> None:
        file = document(where, "envelopes_2_1")
        sender = file["publisher"]["node_id"]
        self.now_ms = file["clock_note"]["now_ms_about"]
        self.link = PeerLink(sender, "2.1", tuple(file["publisher"]["declared_scopes"]))
        self.policy = IngestPolicy(
            file["receiver"]["node_id"], ED25519, {sender: publisher_key(where)}.get, lambda source: False,
            accept_relayed=file["receiver"]["relay"],
        )  # fmt: skip
        self.ledger = Ledger()

    def take(self, page: Any) -> list[Fact | str | None]:
        """What becomes of each entry of a page: the fact stored, the code of a rejection, None for a repetition."""
        body = json.dumps(page).encode()
        outcomes: list[Fact | str | None] = []
        for raw in decode_page(body, "2.1", 100).entries:
            try:
                candidate = verify(decode_entry(raw, "2.1"), self.link, self.policy)
                fact = admit(candidate, self.ledger, self.link, self.policy, self.now_ms)
            except Rejection as rejection:
                outcomes.append(rejection.code)
                continue
            if fact is not None:
                fact = msgspec.structs.replace(fact, seq=len(self.ledger) + 1)
                self.ledger.add(fact)
            outcomes.append(fact)
        return outcomes


def publisher_key(where: str) -> str:
    key: str = document(where, "envelopes_2_1")["keys"]["S"]["public"]
    return key


def before(where: str, case: Case) -> list[Case]:
    """The cases of the same record that come before this one."""
    sequence = case.get("sequence")
    if sequence is None:
        return []
    return [
        other
        for other in document(where, "envelopes_2_1")["cases"]
        if other.get("sequence", {}).get("id") == sequence["id"] and other["sequence"]["step"] < sequence["step"]
    ]


def is_page(case: Case) -> bool:
    return "kind" not in case


def accepted_by_all(case: Case) -> bool:
    return is_page(case) and case["expected"]["verdict"] == "accepted" and "signed_text" in case


def of_one_entry(case: Case) -> bool:
    return is_page(case) and case["expected"]["verdict"] != "mixed" and case["expected"].get("reason") != "page_version"


@pytest.mark.parametrize(("where", "case"), cases("envelopes_2_1", only=of_one_entry))
def test_an_entry_is_judged_as_the_contract_says(where: str, case: Case) -> None:
    receiver = Receiver(where)
    for earlier in before(where, case):
        receiver.take(earlier["page"])
    held = len(receiver.ledger)
    (outcome,) = receiver.take(case["page"])
    expected = expectation(case)
    if expected["verdict"] == "duplicate_ignored":
        assert outcome is None
    elif expected["verdict"] == "accepted":
        assert isinstance(outcome, Fact), outcome
        _check_stored(outcome, case["page"]["facts"][0])
        assert outcome.quarantine == expected.get("quarantine")
    else:
        assert outcome == expected["reason"]
        assert len(receiver.ledger) == held


def _check_stored(fact: Fact, entry: dict[str, Any]) -> None:
    wire = entry["fact"]
    for name in ("id", "entity", "relation", "source", "scope", "confidence", "valid_until"):
        assert getattr(fact, name) == wire[name]
    assert fact.received_from == fact.origin == "stigmem://south.example"
    # The stamp of a reference's fact is not covered by its id, so nobody may pass it on as proved.
    assert not fact.certified
    assert fact.signature is None


@pytest.mark.parametrize(
    ("where", "case"), cases("envelopes_2_1", only=lambda case: case["expected"].get("reason") == "page_version")
)
def test_a_page_of_another_version_is_refused_as_a_whole(where: str, case: Case) -> None:
    receiver = Receiver(where)
    with pytest.raises(Rejection) as caught:
        receiver.take(case["page"])
    assert caught.value.code == "page_version"


@pytest.mark.parametrize(
    ("where", "case"), cases("envelopes_2_1", only=lambda case: case["expected"]["verdict"] == "mixed")
)
def test_a_bad_entry_costs_its_neighbours_nothing(where: str, case: Case) -> None:
    receiver = Receiver(where)
    outcomes = receiver.take(case["page"])
    assert [isinstance(outcome, Fact) for outcome in outcomes] == expectation(case)["stored_per_entry"]
    assert [outcomes[1]] == case["expected"]["reasons"]


@pytest.mark.parametrize(("where", "case"), cases("envelopes_2_1", only=accepted_by_all))
def test_the_signed_bytes_are_those_of_the_contract(where: str, case: Case) -> None:
    (entry,) = case["page"]["facts"]
    origin = msgspec.convert(entry["origin"], Origin)
    fact = entry["fact"]
    message = origin_bytes(origin, fact["id"], fact["cid"], fact["valid_until"])
    assert message.decode() == case["signed_text"]
    assert ED25519.verify(publisher_key(where), message, decode_base64(case["signature"]))
