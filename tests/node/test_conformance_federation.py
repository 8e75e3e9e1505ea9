"""Federation routes as http-api 3.17 and federation 1 to 5 have them: closed by default, and open step by step."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.declaration import PENDING, REJECTED, UNVERIFIED, Declaration, Discovery, declare
from stigmem.core.keys import ED25519, fingerprint
from stigmem.core.records import PeerRow
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.node.callers import Principal
from stigmem.node.mailbox import Delivered
from stigmem.node.membership.handshake import RegistrationOutcome
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.fresh import fresh
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True)
PEERS = "/v1/federation/peers"
OTHER = ED25519.signer(bytes([77]) * 32)
OTHER_ID, OTHER_URL = "stigmem://other.example", "http://other.example"
WORKER = caller("read", "write", "federate", entity="agent:worker")


def declaration(**changes: Any) -> dict[str, Any]:
    """The other node's declaration, signed; changes are made to it afterwards."""
    made = declare(
        OTHER, node_id=OTHER_ID, node_url=OTHER_URL, scopes=("company", "public"), signed_at="2026-11-20T07:55:00Z"
    )
    found: dict[str, Any] = msgspec.to_builtins(made) | changes
    return found


def served(bench: Bench, **changes: Any) -> None:
    """Let the other node's address serve its discovery document."""
    document = {"node_id": OTHER_ID, "federation_pubkey": OTHER.public_key, "federation_version": "0.5"} | changes
    bench.answers[OTHER_URL, "/.well-known/stigmem"] = Response(200, JSON_TYPE, msgspec.json.encode(document))


async def register(bench: Bench, status: int = 201, by: Principal = WORKER, **changes: Any) -> Any:
    return read(await ask(bench, "POST", PEERS, declaration(**changes), by=by), status)


async def test_a_node_without_federation_answers_as_the_fixtures_want() -> None:
    async with fresh() as node:
        assert await node.get(PEERS) == {"peers": []}
        for body in (b"", b"{}", b"[]", b"not json"):
            await node.post(PEERS, body, 422)
        for target in ("facts", "tombstones", "manifest/x"):
            assert (await node.get(f"/v1/federation/{target}", 403))["detail"].startswith("federation is disabled")
        await node.post(PEERS, declaration(), 403)
        await node.post("/v1/federation/facts/push", {"facts": []}, 405)
        assert (await node.get("/v1/federation/audit"))["entries"] == []


async def test_a_declaration_that_verifies_waits_for_a_person() -> None:
    bench = Bench(NOW_MS)
    served(bench)
    async with running(bench, SETTINGS) as node:
        answer = await register(bench)
        assert (answer["status"], answer["verified_at"]) == ("pending_approval", None)
        target = f"{PEERS}/{answer['peer_id']}"
        (peer,) = read(await ask(bench, "GET", PEERS, by=WORKER))["peers"]
        assert peer == read(await ask(bench, "GET", target, by=WORKER))
        assert (peer["node_id"], peer["node_url"], peer["status"], peer["state"], peer["established_at"]) == (
            OTHER_ID, OTHER_URL, "pending_verification", "pending_approval", None,
        )  # fmt: skip
        assert peer["allowed_scopes"] == ["company", "public"]
        assert "status=pending_approval" in (await register(bench, 409))["detail"]
        good, wrong = fingerprint(OTHER.public_key), "sha256:" + "0" * 64
        body = {"pubkey_fingerprint": wrong}
        assert read(await ask(bench, "POST", f"{target}/approve", body, by=WORKER), 403)["detail"] == (
            "admin:federation required"
        )
        assert read(await ask(bench, "POST", f"{target}/approve", body, by=ADMIN), 400)["detail"] == (
            "fingerprint mismatch"
        )
        assert bench.audit_rows[-1].event == "peer_approval_failed"
        body = {"pubkey_fingerprint": good}
        approved = read(await ask(bench, "POST", f"{target}/approve", body, by=ADMIN))
        assert approved == {
            "peer_id": answer["peer_id"], "node_id": OTHER_ID, "status": "active",
            "approved_at": "2026-11-20T07:55:44.000000+00:00",
        }  # fmt: skip
        again = read(await ask(bench, "POST", f"{target}/approve", body, by=ADMIN), 409)
        assert again["detail"] == "peer is not pending approval (status=active)"
        assert read(await ask(bench, "GET", target, by=WORKER))["established_at"] == approved["approved_at"]
        assert node.policy.key_of(OTHER_ID) == OTHER.public_key


@pytest.mark.parametrize(
    ("changes", "document"),
    [
        ({"node_url": "http://elsewhere.example"}, {}), ({"signed_at": "1999-01-01"}, {}),
        ({"allowed_scopes": ["public"]}, {}), ({"declaration_sig": "AAAA"}, {}),
        ({"declaration_sig": "not base64!"}, {}), ({"federation_pubkey": "AAAA"}, {}),
        ({}, {"federation_pubkey": "other"}), ({}, {"node_id": "stigmem://third.example"}),
        ({}, {"federation_pubkey": None}),
    ],
)  # fmt: skip
async def test_a_declaration_that_does_not_verify_is_rejected_and_may_come_again(
    changes: dict[str, Any], document: dict[str, Any]
) -> None:
    bench = Bench(NOW_MS)
    served(bench, **document)
    async with running(bench, SETTINGS):
        answer = await register(bench, **changes)
        assert answer["status"] == "rejected"
        assert bench.audit_rows[-1].event == "peer_rejected"
        served(bench)
        assert await register(bench) == answer | {"status": "pending_approval"}


@pytest.mark.parametrize(
    "changes",
    [
        {"node_url": "ftp://other.example"}, {"node_url": "other.example"}, {"node_url": "http://"},
        {"node_url": "http://other.example/?next="}, {"node_url": "http://other.example/#"},
        {"node_url": "http://user@other.example"}, {"node_url": "http://other.example/ x"},
        {"node_url": "http://other.example:99999"}, {"node_url": "http://other.example\r\nhost: x"},
        {"node_url": "http://[::1"}, {"node_url": "http://" + "x" * 2_048}, {"node_id": "x" * 513}, {"node_id": ""},
        {"allowed_scopes": ["galaxy"]}, {"allowed_scopes": "public"}, {"allowed_scopes": ["public"] * 17},
        {"declaration_sig": None}, {"federation_pubkey": 5},
    ],
)  # fmt: skip
async def test_what_is_no_declaration_is_refused_and_nobody_is_asked(changes: dict[str, Any]) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert (await register(bench, 422, **changes))["errors"][0]["loc"][0] == "body"
        assert bench.records == []


async def test_a_peer_is_revoked_and_forgotten_by_an_administrator_only() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        target = f"{PEERS}/{peer.peer_id}"
        for method, path in (("POST", f"{target}/revoke"), ("DELETE", target)):
            read(await ask(bench, method, path, by=WORKER), 403)
        read(await ask(bench, "DELETE", target, by=ADMIN), 409)
        assert read(await ask(bench, "POST", f"{target}/revoke", by=ADMIN))["status"] == "revoked"
        assert len(node.pullers) == 0
        assert read(await peer.ask("GET", "/v1/federation/facts"), 401)["detail"] == "peer_not_approved"
        read(await ask(bench, "POST", f"{target}/revoke", by=ADMIN), 409)
        assert (await ask(bench, "DELETE", target, by=ADMIN)).status == 204
        read(await ask(bench, "GET", target, by=WORKER), 404)
        assert read(await peer.ask("GET", "/v1/federation/facts"), 401)["detail"] == "peer not registered"
        for path in (f"{target}/approve", f"{target}/revoke"):
            read(await ask(bench, "POST", path, {"pubkey_fingerprint": "x"}, by=ADMIN), 404)


@pytest.mark.parametrize("target", ["facts", "tombstones"])
async def test_who_is_no_peer_is_told_so(target: str) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    stranger = Peer(Bench(NOW_MS), 2)
    async with running(bench, SETTINGS):
        path = f"/v1/federation/{target}"
        for headers in ({}, {"authorization": "Basic eDp5"}):
            refused = await ask(bench, "GET", path, by=None, headers=headers)
            assert read(refused, 401)["detail"] == "peer token required"
            assert refused.headers["www-authenticate"] == "Bearer"
        assert read(await peer.ask("GET", path, token="sk-nothing"), 401)["detail"] == "malformed token"
        stranger._bench = bench
        assert read(await stranger.ask("GET", path), 401)["detail"] == "peer not registered"
        token = peer.token()
        assert (await peer.ask("GET", path, token=token)).status == 200
        assert read(await peer.ask("GET", path, token=token), 401)["detail"] == "nonce_already_seen"
        assert bench.audit_rows[-1].event == "replay_attempt"


async def test_pages_hold_what_the_link_grants_and_go_on_by_an_opaque_cursor() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, dialect="2.1", scopes=("company", "public"))
    async with running(bench, SETTINGS):
        for number, scope in enumerate(("local", "team", "company", "public", "public")):
            bench.wall_ms += 1
            read(await ask(bench, "POST", "/v1/facts", saying(f"v{number}", scope=scope, entity=f"user:{number}")), 201)
        path = "/v1/federation/facts?limit=2"
        first = read(await peer.ask("GET", path))
        assert (first["v"], first["has_more"]) == (2, True)
        assert [entry["fact"]["scope"] for entry in first["facts"]] == ["company", "public"]
        assert first["cursor"].startswith("s:")
        rest = read(await peer.ask("GET", f"{path}&cursor={first['cursor']}"))
        assert (len(rest["facts"]), rest["has_more"]) == (1, False)
        end = read(await peer.ask("GET", f"{path}&cursor={rest['cursor']}"))
        assert (end["facts"], end["cursor"], end["has_more"]) == ([], rest["cursor"], False)
        only = read(await peer.ask("GET", "/v1/federation/facts?scope=company"))
        assert len(only["facts"]) == 1
        for scope in ("local", "team", "galaxy", "x" * 5_000):
            refused = read(await peer.ask("GET", f"/v1/federation/facts?scope={scope}"), 403)
            assert refused["detail"] == "scope not permitted for this peer"
            assert bench.audit_rows[-1].event == "scope_violation"
            assert len(bench.audit_rows[-1].detail) < 200


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "wait=nan", "wait=-1", "wait=31", "wait=inf", "echo=maybe",
     "cursor=" + "x" * 257, "limit=5&limit=6"],
)  # fmt: skip
async def test_a_pull_with_a_parameter_that_means_nothing_is_refused(query: str) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        read(await peer.ask("GET", f"/v1/federation/facts?{query}"), 422)
        assert len(bench.records) == 3  # the peer's two rows and the nonce, which is spent all the same


@pytest.mark.parametrize(
    "cursor", ["", "s:1", "s:18446744073709551616", "garbage", "%00", "1795161344000", "1795161344000.0", "-1"]
)
async def test_any_cursor_is_taken_and_loses_nothing(cursor: str) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        bench.wall_ms += 1
        read(await ask(bench, "POST", "/v1/facts", saying()), 201)
        assert len(read(await peer.ask("GET", f"/v1/federation/facts?cursor={cursor}"))["facts"]) == 1


async def test_a_peer_of_the_old_dialect_gets_bare_records_and_503_instead_of_429() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, dialect="0.5")
    async with running(bench, NodeSettings(seed=SEED, federation=True, pull_burst=2.0)):
        read(await ask(bench, "POST", "/v1/facts", saying()), 201)
        page = read(await peer.ask("GET", "/v1/federation/facts"))
        assert set(page) == {"facts", "cursor", "has_more"}
        assert len(page["facts"][0]) == 26
        assert page["facts"][0]["origin_node_id"] is None
        read(await peer.ask("GET", "/v1/federation/facts"))
        slow = await peer.ask("GET", "/v1/federation/facts")
        body = read(slow, 503)
        assert (body["error"], body["dimension"], body["principal"]) == (
            "quota_exceeded", "federation_pull", peer.node_id,
        )  # fmt: skip
        assert int(slow.headers["retry-after"]) >= 1


async def test_tombstones_are_none_and_their_cursor_is_null() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, dialect="0.5")
    async with running(bench, SETTINGS):
        empty: dict[str, Any] = {"tombstones": [], "revocations": [], "cursor": None, "next": 0}
        assert read(await peer.ask("GET", "/v1/federation/tombstones?since=2020-01-01T00:00:00Z")) == empty


async def test_a_key_that_looks_like_a_token_is_still_a_key() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        body = {"raw_key": "a.b." + "k" * 32, "entity_uri": "agent:dots", "permissions": ["read"]}
        read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)
        target = f"/v1/federation/manifest/{node.node_id}"
        headers = {"authorization": f"bearer {body['raw_key']}"}
        found = read(await ask(bench, "GET", target, by=None, headers=headers))
        assert found["public_key"] == node.signer.public_key
        assert read(await ask(bench, "GET", target, by=None, headers={"authorization": "Bearer a.b.c"}), 401)


async def test_strangers_do_not_learn_which_federation_routes_exist() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for method, target in (
            ("GET", "nothing"),
            ("POST", "facts"),
            ("DELETE", "peers"),
            ("GET", "capability-tokens"),
        ):
            read(await ask(bench, method, f"/v1/federation/{target}", by=None), 401)


async def test_registrations_are_bounded_and_rejected_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PEERS_MAX", 4)
    monkeypatch.setattr(limits, "PENDING_PEERS_MAX", 2)
    bench = Bench(NOW_MS)
    for number in range(4):
        row = PeerRow(f"old-{number}", f"n:{number}", "http://x", "k", ("public",), REJECTED, "0.5")
        bench.records.append(row)
    served(bench)
    async with running(bench, SETTINGS) as node:
        assert (await register(bench))["status"] == "pending_approval"
        assert node.handshakes._checking == 0
        assert list(node.state.peers)[:3] == ["old-1", "old-2", "old-3"]
        assert len(node.state.peers) == 4
        assert [row.event for row in bench.audit_rows] == ["peer_deleted", "peer_registered"]
        bench.records.append(PeerRow("old-1", "n:1", "http://x", "k", ("public",), PENDING, "0.5"))
        node.state.apply(bench.records[-1])
        full = await ask(bench, "POST", PEERS, declaration(node_id="n:new"), by=WORKER)
        assert read(full, 503)["code"] == "too_many_peers"
        assert full.headers["retry-after"] == "60"
        slow = read(await ask(bench, "POST", PEERS, declaration(node_id="n:new"), by=WORKER), 429)
        assert slow["dimension"] == "registration"
        bench.monotonic_ms += 1_000
        for name in ("n:new", "n:3"):  # a row of one's own is no way around it
            read(await ask(bench, "POST", PEERS, declaration(node_id=name), by=WORKER), 503)
            bench.monotonic_ms += 1_000


@pytest.mark.parametrize("action", ["revoke", "nothing"])
async def test_an_operator_who_revokes_while_a_declaration_is_checked_is_obeyed(action: str) -> None:
    bench = Bench(NOW_MS)
    served(bench)
    async with running(bench, SETTINGS) as node:
        row = PeerRow("waiting", OTHER_ID, OTHER_URL, OTHER.public_key, ("company", "public"), UNVERIFIED, "0.5")
        bench.records.append(row)
        node.state.apply(row)
        answers: list[int] = []
        revoke = Request("POST", f"{PEERS}/waiting/{action}")
        node.offer(revoke, lambda response: answers.append(response.status), ADMIN)
        verdict = msgspec.convert(declaration(), Declaration)
        found = Discovery(node_id=OTHER_ID, federation_pubkey=OTHER.public_key)
        node.mailbox.put(
            Delivered(RegistrationOutcome(row, verdict, found), lambda response: answers.append(response.status))
        )
        await bench.settle()
        assert answers == ([200, 409] if action == "revoke" else [405, 201])
        assert node.state.peers["waiting"].status == ("revoked" if action == "revoke" else PENDING)


async def test_who_may_not_read_a_scope_cannot_let_a_peer_read_it() -> None:
    bench = Bench(NOW_MS)
    served(bench)
    async with running(bench, SETTINGS):
        peer_id = (await register(bench))["peer_id"]
        target, body = f"{PEERS}/{peer_id}/approve", {"pubkey_fingerprint": fingerprint(OTHER.public_key)}
        narrow = caller("admin:federation", scopes=("public",))
        assert read(await ask(bench, "POST", target, body, by=narrow), 403)["code"] == "scope_not_allowed"
        wide = caller("admin:federation", scopes=("company", "public"))
        assert read(await ask(bench, "POST", target, body, by=wide))["status"] == "active"
