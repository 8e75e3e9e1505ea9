"""Pushed facts: each judged by itself, only from whom they say, each refusal told and audited."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.audit import verify
from stigmem.core.envelope import entry_json
from stigmem.core.fact import Fact, record_of
from stigmem.core.hlc import stamp
from stigmem.core.records import DeadLetter, PeerRow
from stigmem.core.wire import Request, Response
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True)
PUSH = "/v1/federation/facts/push"


def fact(peer: Peer, n: int, *, ahead_ms: int = 0, **changes: Any) -> Fact:
    """The n-th fact of a peer, complete and certified."""
    wall_ms = NOW_MS + ahead_ms
    members: dict[str, Any] = {
        "stamp": stamp(wall_ms, n % 1_000), "origin": peer.node_id, "id": "", "entity": f"device:{n}",
        "relation": "m:s",
        "scope": "public", "source": peer.node_id, "kind": "string", "text": f"v{n}", "interpret_as": "content",
        "confidence": 1.0, "timestamp_us": wall_ms * 1_000, "valid_until": None,
    }  # fmt: skip
    draft = Fact(**(members | changes))
    return msgspec.structs.replace(draft, id=draft.certified_id())


def entry(peer: Peer, pushed: Fact) -> Any:
    """The fact as its origin signs it."""
    return json.loads(entry_json(pushed, peer.signer, "http://peer.example"))


def bare(pushed: Fact, **changes: Any) -> Any:
    """The fact as dialect 0.5 has it."""
    return json.loads(msgspec.json.encode(record_of(pushed, pushed.cid))) | changes


async def push(peer: Peer, *facts: Any, status: int = 202) -> Any:
    return read(await peer.ask("POST", PUSH, {"facts": list(facts)}), status)


async def test_pushed_facts_are_stored_as_their_senders() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        facts = [fact(peer, n) for n in range(3)]
        answer = await push(peer, *(entry(peer, each) for each in facts))
        assert answer == {"accepted": 3, "rejected": 0, "errors": []}
        assert [(held.id, held.received_from, held.certified) for held in node.state.ledger.log] == [
            (each.id, peer.node_id, True) for each in facts
        ]
        (row,) = bench.audit_rows
        assert (row.event, row.subject, json.loads(row.detail)) == (
            "page_accepted", peer.peer_id, {"count": 3, "first_seq": 1, "last_seq": 3},
        )  # fmt: skip


async def test_what_is_held_already_counts_as_accepted() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        one = entry(peer, fact(peer, 1))
        assert (await push(peer, one, one))["accepted"] == 2
        assert (await push(peer, one))["accepted"] == 1
        assert len(node.state.ledger) == 1
        assert [row.event for row in bench.audit_rows] == ["page_accepted"]


@pytest.mark.parametrize(
    ("change", "error", "reason", "event"),
    [
        ({"scope": "company"}, "scope_not_permitted", "scope_violation", "scope_violation"),
        ({"scope": "local"}, "scope_not_permitted", "scope_violation", "scope_violation"),
        ({"source": "user:alice"}, "source_not_owned", "source_not_owned", "rejected_fact"),
        ({"ahead_ms": 301_000}, "hlc_skew", "hlc_skew", "peer_hlc_anomaly"),
        ({"ahead_ms": -2_592_001_000}, "hlc_skew", "hlc_skew", "peer_hlc_anomaly"),
        ({"entity": "stigmem:conflict:x"}, "ingest_error", "reserved_namespace", "rejected_fact"),
        ({"confidence": 1.5}, "ingest_error", "malformed_fact", "rejected_fact"),
    ],
)
async def test_a_bad_fact_is_told_by_name_and_audited_once(
    change: dict[str, Any], error: str, reason: str, event: str
) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        bad, good = fact(peer, 1, **change), fact(peer, 2)
        for _ in range(2):
            answer = await push(peer, entry(peer, bad), entry(peer, good))
            assert answer == {
                "accepted": 1, "rejected": 1,
                "errors": [{"fact_id": bad.id, "error": error, "reason": reason, "index": 0}],
            }  # fmt: skip
        assert [held.id for held in node.state.ledger.log] == [good.id]
        assert node.state.deferred == {}
        assert [(row.event, row.fact_id) for row in bench.audit_rows if row.fact_id] == [(event, bad.id)]
        assert json.loads(next(row for row in bench.audit_rows if row.fact_id).detail)["reason"] == reason


async def test_changed_content_and_foreign_signatures_are_refused() -> None:
    bench = Bench(NOW_MS)
    peer, other = Peer(bench, 1), Peer(bench, 2)
    async with running(bench, SETTINGS) as node:
        changed, forged, relayed = (entry(peer, fact(peer, n)) for n in range(3))
        changed["fact"]["value"]["v"] = "something else"
        forged["origin_sig"] = entry(other, fact(peer, 1))["origin_sig"]
        relayed = entry(other, fact(other, 3, source=peer.node_id))
        answer = await push(peer, changed, forged, relayed)
        assert [(e["error"], e["reason"]) for e in answer["errors"]] == [
            ("cid_mismatch", "cid_mismatch"), ("ingest_error", "origin_sig_invalid"),
            ("ingest_error", "origin_not_sender"),
        ]  # fmt: skip
        assert len(node.state.ledger) == 0


async def test_items_that_are_no_facts_are_refused_one_by_one() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        good = fact(peer, 1)
        answer = await push(peer, 17, None, "x", [], {}, {"fact": 3}, entry(peer, good), {"id": "some", "fact": {}})
        assert (answer["accepted"], answer["rejected"]) == (1, 7)
        assert {e["error"] for e in answer["errors"]} == {"ingest_error"}
        assert [e["fact_id"] for e in answer["errors"]] == [None] * 7
        assert len(node.state.ledger) == 1


@pytest.mark.parametrize("body", [b"[]", b"\xff", b'{"facts":3}', b"{}", b'{"facts":' + b"[" * 100])
async def test_a_body_that_is_no_push_is_refused(body: bytes) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        read(await peer.ask("POST", PUSH, body), 422)
        read(await peer.ask("POST", PUSH, {"facts": [1] * (limits.PUSH_FACTS_MAX + 1)}), 422)


async def test_a_peer_of_the_old_dialect_pushes_bare_records_or_entries() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, dialect="0.5")
    async with running(bench, SETTINGS) as node:
        first, second, third = (fact(peer, n) for n in range(3))
        wrong = entry(peer, third) | {"origin_sig": "AAAA"}
        answer = await push(peer, bare(first), entry(peer, second), wrong, bare(third, cid="sha256:" + "0" * 64))
        assert [e["reason"] for e in answer["errors"]] == ["origin_sig_invalid", "cid_mismatch"]
        assert [held.id for held in node.state.ledger.log] == [first.id, second.id]


async def test_a_peer_that_signs_must_sign() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        answer = await push(peer, bare(fact(peer, 1)))
        assert [e["reason"] for e in answer["errors"]] == ["entry_incomplete"]
        assert len(node.state.ledger) == 0


async def test_an_instruction_is_held_back() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        order = fact(peer, 1, interpret_as="instruction")
        assert (await push(peer, entry(peer, order)))["accepted"] == 1
        assert node.state.ledger.log[0].quarantine == "instruction_federation_inbound"
        read(await ask(bench, "GET", f"/v1/facts/{order.id}"), 404)


async def test_what_is_held_back_does_not_hide_a_fact_of_the_same_content() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        ours = saying(
            "v1", entity="device:1", relation="m:s", source=peer.node_id, valid_until="2026-11-20T07:55:44.5Z"
        )
        written = read(await ask(bench, "POST", "/v1/facts", ours), 201)
        bench.wall_ms += 1_000
        await push(peer, entry(peer, fact(peer, 1, interpret_as="instruction")))
        assert read(await ask(bench, "GET", f"/v1/facts/{written['cid']}"))["id"] == written["id"]


async def test_push_is_off_unless_wanted_whoever_asks() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        for answer in (await peer.ask("POST", PUSH, {"facts": []}), await ask(bench, "POST", PUSH, {}, by=None)):
            assert read(answer, 405)["detail"] == "push replication not enabled on this node"
        assert bench.audit_rows == []


async def test_who_is_no_peer_is_refused() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        read(await ask(bench, "POST", PUSH, {"facts": []}, by=None), 401)
        told = await ask(bench, "POST", PUSH, {"facts": []}, by=None, headers={"x-stigmem-capability": "{}"})
        assert "capability" in read(told, 401)["detail"]
        token = peer.token()
        read(await peer.ask("POST", PUSH, {"facts": []}, token=token), 202)
        assert read(await peer.ask("POST", PUSH, {"facts": []}, token=token), 401)["detail"] == "nonce_already_seen"
        assert [row.event for row in bench.audit_rows] == ["replay_attempt"]


async def test_pushing_is_rationed_by_requests_and_by_audit_rows() -> None:
    bench = Bench(NOW_MS)
    peer, old = Peer(bench, 1), Peer(bench, 2, dialect="0.5")
    async with running(bench, SETTINGS) as node:
        bad = [entry(peer, fact(peer, n, source="user:alice")) for n in range(60)]
        assert (await push(peer, *bad))["rejected"] == 60
        rows = [row for row in bench.audit_rows if row.event == "rejected_fact"]
        letters = [record for record in bench.records if isinstance(record, DeadLetter)]
        assert len(rows) == len(letters) == limits.STRANGER_AUDIT_ROWS_PER_MINUTE
        assert node.quotas.suppressed == 30
        for _ in range(int(SETTINGS.pull_burst) - 1):
            await push(peer, status=202)
        refused = await peer.ask("POST", PUSH, {"facts": []})
        assert (refused.status, read(refused, 429)["dimension"]) == (429, "federation_push")
        for _ in range(int(SETTINGS.pull_burst)):
            await push(old, status=202)
        await push(old, status=503)


async def test_a_peer_revoked_while_its_facts_were_checked_brings_nothing() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        answers: list[Response] = []
        body = json.dumps({"facts": [entry(peer, fact(peer, 1))]}).encode()
        node.offer(Request("POST", PUSH, {"authorization": f"Bearer {peer.token()}"}, body), answers.append)
        node.offer(Request("POST", f"/v1/federation/peers/{peer.peer_id}/revoke"), answers.append, ADMIN)
        await bench.settle()
        assert sorted(answer.status for answer in answers) == [200, 401]
        assert len(node.state.ledger) == 0


async def test_a_pushed_fact_and_a_local_one_contradict_each_other() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        read(await ask(bench, "POST", "/v1/facts", saying("ours", entity="device:1", relation="m:s")), 201)
        await push(peer, entry(peer, fact(peer, 1)))
        assert len(read(await ask(bench, "GET", "/v1/conflicts?status=unresolved"))["conflicts"]) == 1
        assert verify(bench.audit_rows)[1] is None


async def test_who_takes_the_id_of_a_foreign_fact_does_not_keep_it_out() -> None:
    bench = Bench(NOW_MS)
    thief, honest = Peer(bench, 1, dialect="0.5"), Peer(bench, 2, dialect="0.5")
    async with running(bench, SETTINGS):
        for peer, text in ((thief, "claimed"), (honest, "honest"), (thief, "claimed"), (honest, "honest")):
            pushed = bare(fact(peer, 1, text=text), id="11111111-1111-4111-8111-111111111111")
            assert (await push(peer, pushed))["accepted"] == 1
        page = read(await ask(bench, "GET", "/v1/facts?include_contradicted=true"))
        assert {(f["value"]["v"], f["origin_node_id"]) for f in page["facts"]} == {
            ("claimed", thief.node_id), ("honest", honest.node_id),
        }  # fmt: skip
        shown = read(await ask(bench, "GET", "/v1/facts/11111111-1111-4111-8111-111111111111"))
        assert shown["origin_node_id"] == min(thief.node_id, honest.node_id)  # not whoever came first
        told = [(row.subject, json.loads(row.detail)) for row in bench.audit_rows if row.event == "rejected_fact"]
        assert told == [(honest.peer_id, {"kept": True, "origin": honest.node_id, "reason": "id_collision"})]


# --- certificates ---


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", PUSH), ("GET", "/v1/federation/facts"), ("GET", "/v1/federation/manifest/{peer}"),
    ("GET", "/v1/federation/tombstones")],
)  # fmt: skip
async def test_with_mutual_tls_the_certificate_must_name_the_peer(method: str, target: str) -> None:
    bench = Bench(NOW_MS)
    peer, other = Peer(bench, 1), Peer(bench, 2)
    settings = NodeSettings(seed=SEED, federation=True, push=True, mtls=True)
    body: Any = {"facts": []} if method == "POST" else None
    async with running(bench, settings) as node:
        path = target.replace("{peer}", node.node_id)
        token = peer.token()
        for named in (None, "", other.node_id, peer.node_id + "x", f"x{peer.node_id}"):
            headers = None if named is None else {"x-stigmem-internal-peer-uri": named}
            refused = await peer.ask(method, path, body, token=token, headers=headers)
            assert read(refused, 401)["detail"] == "san_mismatch"
        assert [(row.event, row.subject) for row in bench.audit_rows] == [("san_mismatch", peer.peer_id)] * 5
        right = {"x-stigmem-internal-peer-uri": f"https://peer.example {peer.node_id}"}
        answer = await peer.ask(method, path, body, token=token, headers=right)  # the nonce was not spent
        assert answer.status == (202 if method == "POST" else 200)


async def test_without_mutual_tls_nobody_asks_for_a_certificate() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        headers = {"x-stigmem-internal-peer-uri": "somebody:else"}
        assert (await peer.ask("GET", "/v1/federation/facts", headers=headers)).status == 200


async def test_a_manifest_is_read_with_a_key_too_and_needs_no_certificate_then() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True, mtls=True)) as node:
        found = read(await ask(bench, "GET", f"/v1/federation/manifest/{node.node_id}", by=caller("read")))
        assert found["entities"] == [node.identity.entity_uri, node.node_id]
        assert not any(isinstance(record, PeerRow) for record in bench.records)
