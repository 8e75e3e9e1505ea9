"""Vectors of peer tokens through a whole node: status, detail and audit rows of every rule, in file order.

The same cases through the pure half alone are in `tests/core/test_token_vectors.py`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

import pytest
import trio

from stigmem.core.audit import AuditRow
from stigmem.core.keys import decode_base64
from stigmem.core.records import PeerRow
from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.core.vectors import Case, cases, document, expectation
from tests.node.still import Bench, running

BETWEEN_REQUESTS_MS = 2_000
"""So that the ration of audit rows for faulty tokens (thirty a minute and name) is never used up."""


class Answer(NamedTuple):
    status: int
    detail: Any
    audit: list[AuditRow]


def _peer_row(peer: dict[str, Any], keys: dict[str, Any]) -> PeerRow:
    # Names in the file's audit rows are `peer-` and the first label of the node id.
    peer_id = "peer-" + peer["node_id"].removeprefix("stigmem://").partition(".")[0]
    return PeerRow(
        peer_id, peer["node_id"], f"http://{peer_id}", keys[peer["key"]]["public"], tuple(peer["allowed_scopes"]),
        peer["status"], "2.1",
    )  # fmt: skip


async def _answer_all(where: str) -> dict[str, Answer]:
    file = document(where, "peer_tokens")
    bench = Bench(file["cases"][0]["now_ms"])
    bench.records.extend(_peer_row(peer, file["keys"]) for peer in file["receiver"]["peers"])
    settings = NodeSettings(
        seed=decode_base64(file["keys"]["P"]["seed"]), node_id=file["receiver"]["node_id"], federation=True
    )
    answers: dict[str, Answer] = {}
    async with running(bench, settings):
        for case in file["cases"]:
            bench.wall_ms = case["now_ms"]
            bench.monotonic_ms += BETWEEN_REQUESTS_MS
            known = len(bench.audit_rows)
            headers = {} if case["authorization"] is None else {"authorization": case["authorization"]}
            response = await bench.ask(Request("GET", "/v1/federation/facts" + case["query"], headers))
            detail = json.loads(response.body).get("detail")
            answers[case["name"]] = Answer(response.status, detail, bench.audit_rows[known:])
    return answers


@lru_cache
def _answers(where: str) -> dict[str, Answer]:
    return trio.run(_answer_all, where)


@pytest.mark.parametrize(("where", "case"), cases("peer_tokens"))
def test_a_pull_is_answered_as_the_contract_says(where: str, case: Case) -> None:
    answer, expected = _answers(where)[case["name"]], expectation(case)
    assert answer.status == expected["http_status"], answer
    reason = expected.get("reason")
    if answer.status in (401, 403) and reason is not None:
        if "invalid_<claim>" in reason:
            assert answer.detail.startswith("invalid_")
        else:
            assert answer.detail == reason


@pytest.mark.parametrize(("where", "case"), cases("peer_tokens"))
def test_a_refused_token_is_audited_as_the_contract_says(where: str, case: Case) -> None:
    answer, expected = _answers(where)[case["name"]], expectation(case)
    rows = [(row.event, row.subject, json.loads(row.detail)) for row in answer.audit]
    # Where we refuse what the reference lets through or breaks on, its rows say nothing about ours.
    if expected["http_status"] == case["expected"]["http_status"] and "differs" not in case:
        assert [row[:2] for row in rows] == [(row["event_type"], row["peer_id"]) for row in expected["audit"]]
        for (_, _, detail), row in zip(rows, expected["audit"], strict=True):
            assert _as_text(row["detail"]).items() <= _as_text(detail).items()
    elif answer.status == 401 and answer.detail != "invalid_iss":
        assert [event for event, _, _ in rows] == [
            "replay_attempt" if answer.detail == "nonce_already_seen" else "rejected_token"
        ]


def _as_text(detail: dict[str, Any]) -> dict[str, Any]:
    """A foreign issuer is kept as text, whatever JSON type it had."""
    return {name: str(value) if name == "iss" else value for name, value in detail.items()}


def test_a_token_presented_twice_at_the_same_instant_works_once() -> None:
    async def present() -> list[int]:
        file = document("spec", "peer_tokens")
        first = file["cases"][0]
        bench = Bench(first["now_ms"])
        bench.records.extend(_peer_row(peer, file["keys"]) for peer in file["receiver"]["peers"])
        seed = decode_base64(file["keys"]["P"]["seed"])
        statuses: list[int] = []
        async with running(bench, NodeSettings(seed=seed, node_id=file["receiver"]["node_id"], federation=True)):

            async def once() -> None:
                request = Request("GET", "/v1/federation/facts", {"authorization": first["authorization"]})
                statuses.append((await bench.ask(request)).status)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(once)
                nursery.start_soon(once)
        return statuses

    assert sorted(trio.run(present)) == [200, 401]


def test_a_spent_nonce_stays_spent_after_a_restart() -> None:
    async def present() -> list[int]:
        file = document("spec", "peer_tokens")
        first = file["cases"][0]
        bench = Bench(first["now_ms"])
        bench.records.extend(_peer_row(peer, file["keys"]) for peer in file["receiver"]["peers"])
        settings = NodeSettings(
            seed=decode_base64(file["keys"]["P"]["seed"]), node_id=file["receiver"]["node_id"], federation=True
        )
        request = Request("GET", "/v1/federation/facts", {"authorization": first["authorization"]})
        statuses = []
        for _ in range(2):
            async with running(bench, settings):
                statuses.append((await bench.ask(request)).status)
            bench.monotonic_ms = 0
        return statuses

    assert trio.run(present) == [200, 401]
