"""Captured pull pages of both dialects: every fact served there is accepted, hashed and verified alike."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core.envelope import Origin, origin_bytes
from stigmem.core.fact import Fact
from stigmem.core.hlc import ZERO
from stigmem.core.ingest import IngestPolicy, PeerLink, admit, verify
from stigmem.core.keys import ED25519, decode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.page import decode_entry, decode_page
from stigmem.core.uris import normalise
from stigmem.core.values import parse_value
from tests.core.vectors import Case, cases, document, documents

FILES = {"0.5": "pages_0_5", "2.1": "pages_2_1"}


def served(case: Case) -> bool:
    return bool(case["expected"]["verdict"] == "ok")


def body_of(case: Case) -> bytes:
    text: str = case["expected"].get("body_text") or json.dumps(case["expected"]["body"], ensure_ascii=False)
    return text.encode()


def take(where: str, dialect: str, case: Case) -> list[Fact]:
    file = document(where, FILES[dialect])
    node = file["node"]
    link = PeerLink(node["node_id"], dialect, tuple(file["peer"]["allowed_scopes"]))
    key = file["keys"][node["key"]]["public"]
    policy = IngestPolicy(file["peer"]["node_id"], ED25519, {node["node_id"]: key}.get, lambda source: False)
    ledger = Ledger()
    for raw in decode_page(body_of(case), dialect, 100).entries:
        candidate = verify(decode_entry(raw, dialect), link, policy)
        fact = admit(candidate, ledger, link, policy, candidate.fact.wall_ms)
        assert fact is not None
        ledger.add(msgspec.structs.replace(fact, seq=len(ledger) + 1))
    return ledger.log


def records(dialect: str, case: Case) -> list[dict[str, Any]]:
    facts = case["expected"]["body"]["facts"]
    return [entry["fact"] for entry in facts] if dialect == "2.1" else list(facts)


def check_page(where: str, dialect: str, case: Case) -> None:
    body = case["expected"]["body"]
    page = decode_page(body_of(case), dialect, 100)
    assert (page.cursor, page.has_more) == (body["cursor"], body["has_more"])
    facts = take(where, dialect, case)
    wire = records(dialect, case)
    assert [fact.id for fact in facts] == [record["id"] for record in wire]
    for fact, record in zip(facts, wire, strict=True):
        assert record["cid"] == (fact.cid8 if dialect == "2.1" else fact.cid)
        assert fact.value.wire() == record["value"]
        assert fact.timestamp == record["timestamp"]
        assert fact.entity == record["entity"]


@pytest.mark.parametrize(("where", "case"), cases("pages_0_5", only=served))
def test_every_fact_of_a_captured_page_of_dialect_0_5_is_accepted(where: str, case: Case) -> None:
    check_page(where, "0.5", case)


@pytest.mark.parametrize(("where", "case"), cases("pages_2_1", only=served))
def test_every_fact_of_a_captured_page_of_dialect_2_1_is_accepted(where: str, case: Case) -> None:
    check_page(where, "2.1", case)
    node = document(where, "pages_2_1")["node"]
    key = document(where, "pages_2_1")["keys"][node["key"]]["public"]
    for entry in case["expected"]["body"]["facts"]:
        record = entry["fact"]
        message = origin_bytes(
            msgspec.convert(entry["origin"], Origin), record["id"], record["cid"], record["valid_until"]
        )
        assert ED25519.verify(key, message, decode_base64(entry["origin_sig"]))


@pytest.mark.parametrize("dialect", FILES)
@pytest.mark.parametrize("where", documents())
def test_what_was_written_hashes_to_what_was_answered(where: str, dialect: str) -> None:
    written = document(where, FILES[dialect])["written"]
    assert written
    for each in written:
        request, response = each["request"], each["response"]
        value = parse_value(request["value"]["type"], request["value"].get("v"), request["value"].get("interpret_as"))
        fact = Fact(
            ZERO, "", "", normalise(request["entity"]), request["relation"], request["scope"],
            normalise(request["source"]), value.kind, value.text, value.interpret_as,
            request.get("confidence", 1.0), 0, request.get("valid_until"),
        )  # fmt: skip
        assert response["cid"] == (fact.cid8 if dialect == "2.1" else fact.cid)
        assert response["valid_until"] == fact.valid_until


@pytest.mark.parametrize("dialect", FILES)
@pytest.mark.parametrize("where", documents())
def test_what_must_not_be_served_is_in_no_captured_page(where: str, dialect: str) -> None:
    file = document(where, FILES[dialect])
    hidden = {each["id"] for each in file["never_served"]}
    shown = {record["id"] for case in file["cases"] if served(case) for record in records(dialect, case)}
    assert hidden
    assert shown
    assert not hidden & shown
