"""Captured pulls asked of a node of ours that holds the same facts: the same facts on the same pages, and refusals.

What the captured pages hold is checked in `tests/core/test_page_vectors.py`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import trio

from stigmem.core.declaration import ACTIVE
from stigmem.core.keys import decode_base64
from stigmem.core.records import PeerRow
from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.core.vectors import Case, cases, document
from tests.node.api import ADMIN, ask, read
from tests.node.still import Bench, running

FILES = {"pages_0_5": "0.5", "pages_2_1": "2.1"}
MADE_BY_THE_NODE = ("id", "timestamp", "hlc", "attested")
"""Members of a fact that another node writes otherwise; we leave `attested` null."""


def asked(case: Case) -> bool:
    return "request" in case


async def _ask_all(name: str) -> dict[str, tuple[int, Any]]:
    file = document("shared", name)
    claims = [case["request"]["token_claims"] for case in file["cases"]]
    first = min(each["iat"] for each in claims if each)
    bench = Bench(first - 1_000)
    node, peer = file["node"], file["peer"]
    key = file["keys"][peer["key"]]["public"]
    scopes = tuple(peer["allowed_scopes"])
    bench.records.append(PeerRow("south", peer["node_id"], "http://south", key, scopes, ACTIVE, FILES[name]))
    settings = NodeSettings(
        seed=decode_base64(file["keys"][node["key"]]["seed"]),
        node_id=node["node_id"],
        node_url=node["settings"]["STIGMEM_NODE_URL"],
        federation=True,
    )
    answers: dict[str, tuple[int, Any]] = {}
    cursor = ""
    async with running(bench, settings):
        for written in (*file["never_served"], *file["written"]):
            read(await ask(bench, "POST", "/v1/facts", written["request"], by=ADMIN), 201)
        bench.wall_ms += 2_000
        for case in file["cases"]:
            bench.monotonic_ms += 10_000
            # Cursors are each node's own: where the capture goes on, we go on from our last page.
            target = re.sub(r"cursor=[0-9.]+", f"cursor={quote(cursor)}", case["request"]["path_and_query"])
            headers = {n: v for n, v in case["request"]["headers"].items() if n == "authorization"}
            response = await bench.ask(Request("GET", target, headers))
            answers[case["name"]] = response.status, msgspec.json.decode(response.body)
            cursor = answers[case["name"]][1].get("cursor") or cursor
    return answers


@lru_cache
def answers_of(name: str) -> dict[str, tuple[int, Any]]:
    return trio.run(_ask_all, name)


def shown(page: dict[str, Any]) -> tuple[list[Any], Any]:
    """What a page says of the facts themselves, and whether there is more."""
    records = [entry.get("fact", entry) for entry in page["facts"]]
    return [{k: v for k, v in record.items() if k not in MADE_BY_THE_NODE} for record in records], page["has_more"]


@pytest.mark.parametrize(
    ("name", "where", "case"), [(n, *each.values) for n in FILES for each in cases(n, only=asked) if each.values[1]]
)
def test_a_captured_pull_is_answered_by_us_as_by_the_reference(name: str, where: str, case: Case) -> None:
    status, body = answers_of(name)[case["name"]]
    expected = case["expected"]
    assert status == expected["http_status"]
    detail = expected["body"].get("detail")
    if isinstance(detail, list):
        (ours,), (theirs,) = body["errors"], detail  # the detail of ours is a sentence: spec/deviations.md
        assert {n: ours[n] for n in ("type", "loc", "input", "ctx")} == {
            n: theirs[n] for n in ("type", "loc", "input", "ctx")
        }
    elif detail is not None:
        assert body["detail"] == detail
    elif "zzz" not in case["request"]["path_and_query"]:  # we begin again there: spec/deviations.md
        assert body.keys() == expected["body"].keys()
        assert shown(body) == shown(expected["body"])
