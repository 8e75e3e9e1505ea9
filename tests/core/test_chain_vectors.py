"""Vectors of the fact chain: event, link and checkpoint hashes, log lines, and chains broken in every place."""

from __future__ import annotations

import hashlib

import pytest

from stigmem.core.canonical import sha256_hex
from stigmem.core.chain import checkpoint_leaf, fact_event_hash, link_hash, log_line_hash, verify_chain
from tests.core.vectors import Case, cases, expectation

GENESIS = "0" * 64


@pytest.mark.parametrize(("where", "case"), cases("chain", "event"))
def test_event_hashes(where: str, case: Case) -> None:
    assert fact_event_hash(case["fact"]) == expectation(case)["event_hash"]
    assert sha256_hex(case["hashed_text"].encode()) == expectation(case)["event_hash"]


@pytest.mark.parametrize(("where", "case"), cases("chain", "link"))
def test_link_hashes(where: str, case: Case) -> None:
    assert link_hash(case["link"]) == expectation(case)["chain_hash"]


@pytest.mark.parametrize(("where", "case"), cases("chain", "checkpoint"))
def test_checkpoint_leaves(where: str, case: Case) -> None:
    leaf = checkpoint_leaf(case["payload"])
    assert leaf == expectation(case)["leaf_hash"]
    assert leaf == hashlib.sha256(case["hashed_text"].encode()).hexdigest()


@pytest.mark.parametrize(("where", "case"), cases("chain", "log"))
def test_log_lines_are_chained(where: str, case: Case) -> None:
    previous = GENESIS
    for number, line in enumerate(case["lines"]):
        assert line["index"] == number
        assert line["prev_hash"] == previous
        assert checkpoint_leaf(line["payload"]) == line["leaf_hash"]
        previous = log_line_hash(line["prev_hash"], line["leaf_hash"])
        assert previous == line["chain_hash"]
    assert case["lines"]


@pytest.mark.parametrize(("where", "case"), cases("chain", "chain"))
def test_a_chain_is_verified_link_by_link(where: str, case: Case) -> None:
    expected = expectation(case)
    facts = {fact["id"]: fact for fact in case["facts"]}
    checked, head, reason = verify_chain(case["links"], facts, case["tenant_id"])
    assert (checked, reason) == (expected["checked_entries"], expected.get("reason"))
    if expected["verdict"] == "ok":
        assert head == expected["head_hash"]
    else:
        mine = [link for link in case["links"] if link["tenant_id"] == case["tenant_id"]]
        broken = sorted(mine, key=lambda link: link["chain_seq"])[checked]
        assert (broken["fact_id"], broken["chain_seq"]) == (expected["fact_id"], expected["chain_seq"])
