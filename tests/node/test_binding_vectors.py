"""Vectors of manifest binding through a whole node: which key speaks for a peer after its approval."""

from __future__ import annotations

import json

import pytest
import trio

from stigmem.core.declaration import PENDING
from stigmem.core.errors import Rejection
from stigmem.core.ingest import PeerLink, VerifiedFact, verify
from stigmem.core.keys import decode_base64, fingerprint
from stigmem.core.page import decode_entry, decode_page
from stigmem.core.records import PeerRow
from stigmem.core.wire import Request, json_response
from stigmem.node.callers import Principal
from stigmem.node.settings import NodeSettings
from tests.core.vectors import Case, cases, document, expectation
from tests.node.still import Bench, running

OPERATOR = Principal("agent:operator", frozenset({"admin:federation"}))
PEER_URL = "http://peer.example"


async def _judge(where: str, case: Case) -> VerifiedFact | str:
    """What an approving node says of the one fact of a publisher with this manifest."""
    file = document(where, "envelopes_2_1")
    key = file["keys"]["S"]["public"]
    (raw,) = decode_page(json.dumps(case["page"]).encode(), "2.1", 100).entries
    entry = decode_entry(raw, "2.1")
    bench = Bench(int(str(entry.fact.hlc).partition(".")[0]))
    bench.records.append(PeerRow("peer", case["node_id"], PEER_URL, key, ("company", "public"), PENDING, "2.1"))
    if case["manifest"] is not None:
        bench.answers[PEER_URL, "/.well-known/stigmem-manifest.json"] = json_response(200, case["manifest"])
    settings = NodeSettings(
        seed=decode_base64(file["keys"]["P"]["seed"]), node_id=file["receiver"]["node_id"], federation=True
    )
    async with running(bench, settings) as node:
        body = json.dumps({"pubkey_fingerprint": fingerprint(key)}).encode()
        approved = await bench.ask(Request("POST", "/v1/federation/peers/peer/approve", {}, body), OPERATOR)
        assert approved.status == 200, approved
        await bench.settle()
        try:
            return verify(entry, PeerLink(case["node_id"], "2.1", ("company", "public")), node.policy)
        except Rejection as rejection:
            return rejection.code


@pytest.mark.parametrize(("where", "case"), cases("envelopes_2_1", "binding"))
def test_a_manifest_binds_or_unbinds_the_key_that_the_operator_approved(where: str, case: Case) -> None:
    outcome, expected = trio.run(_judge, where, case), expectation(case)
    if expected["verdict"] == "accepted":
        assert isinstance(outcome, VerifiedFact), outcome
        assert outcome.fact.origin == case["node_id"]
    else:
        assert outcome == expected["reason"] == "origin_unresolvable"
