"""What operators ask of a node: narrowing a link, keys of origins, the doctor, and why something is not offered."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core.keys import ED25519, fingerprint
from stigmem.core.records import OriginRow
from stigmem.core.wire import Request
from stigmem.node.callers import PERMISSIONS
from stigmem.node.node import ROUTER
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.fresh import fresh
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True)
ORIGINS = "/v1/federation/origins"
KEY = ED25519.signer(bytes([9]) * 32).public_key
OTHER = ED25519.signer(bytes([8]) * 32).public_key


# --- a link ---


async def test_a_link_is_narrowed_at_once_and_never_widened() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, scopes=("company", "public"))
    target = "/v1/federation/peers/peer-1"
    async with running(bench, SETTINGS):
        for scope in ("company", "public"):
            bench.wall_ms += 1
            read(await ask(bench, "POST", "/v1/facts", saying(scope, scope=scope), by=ADMIN), 201)
        assert len(read(await peer.ask("GET", "/v1/federation/facts"))["facts"]) == 2
        found = read(await ask(bench, "PATCH", target, {"allowed_scopes": ["public"]}, by=ADMIN))
        assert found["allowed_scopes"] == ["public"]
        (entry,) = read(await peer.ask("GET", "/v1/federation/facts"))["facts"]
        assert entry["fact"]["scope"] == "public"
        for wrong in (["company", "public"], ["team"], ["galaxy"]):
            assert (await ask(bench, "PATCH", target, {"allowed_scopes": wrong}, by=ADMIN)).status == 422
        read(await ask(bench, "PATCH", target, {"allowed_scopes": ["public"]}, by=ADMIN))
        assert [row.event for row in bench.audit_rows].count("peer_changed") == 1
        read(await ask(bench, "PATCH", target, {"allowed_scopes": []}, by=caller("federate")), 403)
        read(await ask(bench, "PATCH", "/v1/federation/peers/nobody", {"allowed_scopes": []}, by=ADMIN), 404)


async def test_a_pull_that_waits_is_not_answered_by_what_the_link_carried_before() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, scopes=("company", "public"))
    async with running(bench, SETTINGS) as node:
        answers: list[Any] = []
        bearer = {"authorization": f"Bearer {peer.token()}"}
        node.offer(Request("GET", "/v1/federation/facts?wait=20", bearer), answers.append)
        await bench.settle()
        assert answers == []
        read(await ask(bench, "PATCH", "/v1/federation/peers/peer-1", {"allowed_scopes": ["public"]}, by=ADMIN))
        read(await ask(bench, "POST", "/v1/facts", saying("secret", scope="company"), by=ADMIN), 201)
        await bench.settle()
        (answer,) = answers
        assert answer.status == 503
        assert b"secret" not in answer.body


# --- keys of origins ---


async def test_keys_of_origins_are_listed_with_why_they_stand() -> None:
    bench = Bench(NOW_MS)
    Peer(bench, 1)
    bench.records += [OriginRow("n:vouched", KEY, "vouched", vouched_by="n:peer"), OriginRow("n:unbound", "", "pinned")]
    async with running(bench, SETTINGS):
        found = read(await ask(bench, "GET", ORIGINS, by=ADMIN))
        names = [row["node_id"] for row in found["origins"]]
        assert (names[:2], len(names), found["has_more"]) == (["n:unbound", "n:vouched"], 3, False)
        assert found["origins"][0]["pubkey_fingerprint"] is None
        assert found["origins"][1] == {
            "node_id": "n:vouched", "public_key": KEY, "pubkey_fingerprint": fingerprint(KEY), "how": "vouched",
            "vouched_by": "n:peer", "has_manifest": False,
        }  # fmt: skip
        assert len(read(await ask(bench, "GET", f"{ORIGINS}?how=vouched", by=ADMIN))["origins"]) == 1
        page = read(await ask(bench, "GET", f"{ORIGINS}?limit=1&after=n:unbound", by=ADMIN))
        assert ([row["node_id"] for row in page["origins"]], page["has_more"]) == (["n:vouched"], True)
        read(await ask(bench, "GET", ORIGINS, by=caller("read")), 403)


async def test_a_key_on_a_peers_word_is_confirmed_by_its_fingerprint_alone() -> None:
    bench = Bench(NOW_MS)
    bench.records += [OriginRow("n:vouched", KEY, "vouched", vouched_by="n:peer")]
    target = f"{ORIGINS}/n:vouched/confirm"
    async with running(bench, SETTINGS) as node:
        wrong = {"pubkey_fingerprint": fingerprint(OTHER)}
        told = read(await ask(bench, "POST", target, wrong, by=ADMIN), 400)
        assert (told["code"], told["field"]) == ("fingerprint_mismatch", "pubkey_fingerprint")
        assert node.state.origins["n:vouched"].how == "vouched"
        right = {"pubkey_fingerprint": fingerprint(KEY)}
        read(await ask(bench, "POST", target, right, by=caller("federate")), 403)
        found = read(await ask(bench, "POST", target, right, by=ADMIN))
        assert (found["how"], found["vouched_by"]) == ("pinned", None)
        read(await ask(bench, "POST", f"{ORIGINS}/n:nobody/confirm", right, by=ADMIN), 404)
        assert [row.event for row in bench.audit_rows] == ["origin_confirm_failed", "origin_key_pinned"]


async def test_a_pinned_key_stands_and_has_what_was_refused_read_again() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        body = {"node_id": "n:far", "public_key": KEY}
        assert read(await ask(bench, "POST", ORIGINS, body, by=ADMIN), 201)["how"] == "pinned"
        assert node.state.key_of_origin("n:far") == KEY
        read(await ask(bench, "POST", ORIGINS, body | {"public_key": OTHER}, by=ADMIN), 201)
        assert node.state.key_of_origin("n:far") == OTHER
        for wrong in ("short", "!" * 43):
            read(await ask(bench, "POST", ORIGINS, body | {"public_key": wrong}, by=ADMIN), 422)
        own = {"node_id": node.node_id, "public_key": KEY}
        read(await ask(bench, "POST", ORIGINS, own, by=ADMIN), 409)
        another = {"node_id": peer.node_id, "public_key": KEY}
        assert read(await ask(bench, "POST", ORIGINS, another, by=ADMIN), 409)["code"] == "origin_is_peer"
        same = {"node_id": peer.node_id, "public_key": peer.signer.public_key}
        read(await ask(bench, "POST", ORIGINS, same, by=ADMIN), 201)


# --- how the node is ---


async def test_the_doctor_says_that_gardens_are_closed() -> None:
    async with fresh() as node:
        assert await node.get("/v1/doctor") == {"status": "ok", "memory_garden_acl_filtering": "enabled-full"}
    async with fresh(auth_required=True) as node:
        for target in ("/v1/doctor", "/v1/admin/cid-backfill/status"):
            await node.get(target, 401)


async def test_every_fact_has_a_content_id_and_only_what_may_be_read_is_counted() -> None:
    bench = Bench(NOW_MS)
    narrow = caller(*PERMISSIONS, scopes=("public",))
    async with running(bench, SETTINGS):
        for scope in ("company", "public"):
            read(await ask(bench, "POST", "/v1/facts", saying(scope, scope=scope), by=ADMIN), 201)
        for by, total in ((ADMIN, 2), (narrow, 1)):
            assert read(await ask(bench, "GET", "/v1/admin/cid-backfill/status", by=by)) == {
                "total_facts": total, "backfilled_facts": total, "pending_facts": 0, "backfill_complete": True,
            }  # fmt: skip


async def test_a_tenant_other_than_default_is_refused_in_a_sentence() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        body = {"entity_uri": "agent:x", "tenant_id": "acme"}
        found = read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 400)
        assert "no tenant but default" in str(found)


# --- what is not offered ---

ABSENT = [operation for operation in ROUTER.operations if "later" in operation.tags]


@pytest.mark.parametrize("operation", ABSENT, ids=[each.name for each in ABSENT])
async def test_what_is_not_offered_has_a_route_of_its_own_and_says_why(operation: Any) -> None:
    assert "{path}" not in operation.path
    async with fresh(federation=True) as node:
        target = operation.path.replace("{", "").replace("}", "")
        response = await node.ask(operation.method, target, {})
        assert response.status == 501
        text = response.body.decode()
        assert '"code":"not_implemented"' in text
        assert operation.summary.removeprefix("Not offered: ") in text
        assert len(operation.summary) > len("Not offered: ") + 20


@pytest.mark.parametrize("target", ["/v1/tombstones/x/y", "/v1/federation/capability-tokens/x", "/v1/gardens/x/y"])
async def test_what_no_contract_names_is_not_found_instead(target: str) -> None:
    async with fresh(federation=True) as node:
        assert (await node.ask("POST", target, {})).status in (404, 405)
