"""Vectors of what callers may write: `POST /v1/facts` of a whole node."""

from __future__ import annotations

import json

import pytest
import trio

from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.core.vectors import Case, cases, expectation, unfold
from tests.node.still import Bench, running

NOW_MS = 1_795_161_344_000


async def _write(body: bytes) -> tuple[int, str | None, int]:
    """Status and content id that answer a write, and the number of facts that the node holds afterwards."""
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=bytes(32), auth_required=False)) as node:
        response = await bench.ask(Request("POST", "/v1/facts", {}, body))
        return response.status, json.loads(response.body).get("cid"), len(node.state.ledger)


@pytest.mark.parametrize(("where", "case"), cases("values_cid7", "request"))
def test_what_is_no_fact_is_refused_and_leaves_nothing(where: str, case: Case) -> None:
    given = case["input"]
    body = given["raw_json"] if "raw_json" in given else json.dumps(given)
    assert trio.run(_write, body.encode()) == (expectation(case)["http_status"], None, 0)


def states_our_hash(case: Case) -> bool:
    """All but one: the collection gives the reference's hash of a confidence of -0.0, which is 0.0 with us."""
    return case["name"] != "conf_minus_zero" or "deviation" not in case


@pytest.mark.parametrize(("where", "case"), cases("values_cid7", None, only=states_our_hash))
def test_what_is_a_fact_is_answered_with_its_content_id(where: str, case: Case) -> None:
    given, expected = case["input"], expectation(case)
    body = json.dumps({**given, "value": unfold(given["value"])}).encode()
    if expected["verdict"] == "refused":
        assert trio.run(_write, body) == (413, None, 0)
    else:
        assert trio.run(_write, body) == (201, expected["cid"], 1)
