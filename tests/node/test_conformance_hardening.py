"""Who may do what, in which order it is asked, and what an attacker's request is worth (http-api 3.0 and 4)."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from nacl import pwhash

from stigmem.core import limits
from stigmem.core.scopes import SCOPES
from stigmem.core.wire import Request
from stigmem.node.api.routing import Operation
from stigmem.node.callers import PERMISSIONS
from stigmem.node.node import ROUTER
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, WRITER, ask, caller, read, saying
from tests.node.fresh import fresh
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True)
SECRET = "k" * 32
GUARDED = [operation for operation in ROUTER.operations if operation.permission != "open"]


def target(operation: Operation) -> str:
    """A path that leads to an operation, about something that is not there, with the parameters that it needs."""
    needed = {"recall_by_query": "?query=a", "resolve_entity": "?uri=a:b", "graph_neighbors": "?entity=a&scope=local"}
    path = operation.path.replace("{scope}", "local")
    return re.sub(r"\{\w+\}", "nothing", path) + needed.get(operation.name, "")


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def keyed(bench: Bench, secret: str = SECRET, **members: Any) -> dict[str, Any]:
    """A key with this secret."""
    body = {"raw_key": secret, "entity_uri": "agent:keyed"} | members
    found: dict[str, Any] = read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)
    return found


@pytest.mark.parametrize("operation", GUARDED, ids=lambda operation: operation.name)
async def test_who_shows_no_key_is_refused_before_anything_is_read(operation: Operation) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for headers in ({}, bearer("wrong" * 8), {"authorization": f"Basic {SECRET}"}, bearer("")):
            refused = await ask(bench, operation.method, target(operation), b"not json", by=None, headers=headers)
            assert "detail" in read(refused, 401)
            assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "operation", [o for o in GUARDED if o.permission not in ("any", "peer")], ids=lambda operation: operation.name
)
async def test_no_permission_stands_for_another(operation: Operation) -> None:
    needed = operation.permission.removeprefix("peer|")
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        body: Any = b"{}" if operation.body is None else msgspec.json.encode(_smallest(operation))
        others = caller(*(permission for permission in PERMISSIONS if permission != needed))
        assert needed in read(await ask(bench, operation.method, target(operation), body, by=others), 403)["detail"]
        allowed = await ask(bench, operation.method, target(operation), body, by=caller(needed))
        # The quarantine asks, besides the permission, who moderates: a 403 there is about that and says so.
        assert allowed.status not in (401, 403) or read(allowed, 403)["code"] == "moderator_required"


def _smallest(operation: Operation) -> Any:
    """A body that the operation reads."""
    return {
        "assert_fact": saying(), "assert_facts": {"facts": []}, "resolve_conflict": {},
        "create_key": {"entity_uri": "a"}, "approve_peer": {"pubkey_fingerprint": "x"},
        "register_peer": {"node_url": "http://a", "node_id": "a", "federation_pubkey": "k", "allowed_scopes": [],
                          "declaration_sig": "x", "signed_at": "now"},
        "put_manifest": {"entity_uri": "a", "key_id": "k", "public_key": "p", "issued_at": "n", "expires_at": "n"},
        "create_garden": {"slug": "a", "name": "a"}, "add_garden_member": {"entity_uri": "a"},
        "change_garden_member": {"role": "reader"}, "recall": {"query": "a"}, "decay_sweep": {"scope": "local"},
        "create_alias": {"raw_uri": "a:x", "canonical_uri": "a:y"},
        "change_peer": {"allowed_scopes": ["public"]}, "pin_origin": {"node_id": "a", "public_key": "k"},
        "confirm_origin": {"pubkey_fingerprint": "x"}, "promote_from_garden": {"fact_id": "x"},
        "reject_from_garden": {"fact_id": "x"},
        "create_intent": {"from": "agent:caller", "to": ["a:b"], "goal": "g"}, "act_on_intent": {"kind": "done"},
        "create_tombstone": {"entity_uri": "user:a", "dry_run": True}, "revoke_tombstone": {},
        "lint": {"scope": "local"}, "synthesis": {"scope": "local"}, "void_facts": {},
        "create_agent_key": {"public_key": "k"}, "rotate_agent_key": {"public_key": "k"},
        "create_subscription": {"target": "public", "on_change": "webhook", "delivery_address": "https://a.example"},
    }[operation.name]  # fmt: skip


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_writes_and_reads_its_scopes_and_no_others(scope: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await keyed(bench, allowed_scopes=[scope])
        for wanted in SCOPES:
            status = 201 if wanted == scope else 403
            made = await ask(bench, "POST", "/v1/facts", saying(scope=wanted), by=None, headers=bearer(SECRET))
            answer = read(made, status)
            assert status == 201 or answer["code"] == "scope_not_allowed"
            read(await ask(bench, "POST", "/v1/facts", saying(scope=wanted), by=WRITER), 201)
            seen = await ask(bench, "GET", f"/v1/facts?scope={wanted}", by=None, headers=bearer(SECRET))
            assert seen.status == (200 if wanted == scope else 403)
        whole = read(await ask(bench, "GET", "/v1/facts", by=None, headers=bearer(SECRET)))
        assert [fact["scope"] for fact in whole["facts"]] == [scope]


async def test_a_key_for_no_scope_at_all_reads_and_writes_nothing() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await keyed(bench, allowed_scopes=[])
        read(await ask(bench, "POST", "/v1/facts", saying(), by=WRITER), 201)
        assert read(await ask(bench, "GET", "/v1/facts", by=None, headers=bearer(SECRET)))["facts"] == []
        read(await ask(bench, "POST", "/v1/facts", saying(), by=None, headers=bearer(SECRET)), 403)


async def test_unknown_expired_and_deleted_keys_look_the_same_and_cost_no_hashing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[bytes] = []
    verify = pwhash.verify

    def counted(verifier: bytes, secret: bytes) -> bool:
        checked.append(secret)
        found: bool = verify(verifier, secret)
        return found

    monkeypatch.setattr(pwhash, "verify", counted)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await keyed(bench, "e" * 32, expires_at="2026-11-20T08:00:00Z")
        gone = await keyed(bench, "d" * 32)
        await keyed(bench)
        assert (await ask(bench, "DELETE", f"/v1/auth/keys/{gone['id']}", by=ADMIN)).status == 204
        bench.wall_ms += 3_600_000
        bodies = []
        for secret in ("u" * 32, "e" * 32, "d" * 32, "x", SECRET + "\xe9"):
            refused = await ask(bench, "GET", "/v1/me", by=None, headers=bearer(secret))
            assert refused.status == 401
            bodies.append(refused.body)
        assert len(dict.fromkeys(bodies)) == 1
        assert checked == []
        for _ in range(3):
            read(await ask(bench, "GET", "/v1/me", by=None, headers={"authorization": f"bEARER   {SECRET} "}))
        assert checked == [SECRET.encode()]


async def test_an_open_node_still_knows_who_shows_a_key() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, auth_required=False)):
        await keyed(bench, permissions=["read"])
        assert read(await ask(bench, "GET", "/v1/me", by=None, headers=bearer(SECRET)))["entity_uri"] == "agent:keyed"
        read(await ask(bench, "POST", "/v1/facts", saying(), by=None, headers=bearer(SECRET)), 403)
        wrong = read(await ask(bench, "GET", "/v1/me", by=None, headers=bearer("wrong")))
        assert wrong["entity_uri"] == "anon:trusted"


@pytest.mark.parametrize(
    "path",
    ["/v1/facts/..%2F..%2Fauth%2Fkeys", "/v1/facts/../auth/keys", "/v1/facts/%2E%2E/auth/keys", "/v1/facts//",
     "/v1/facts/%00", "/v1/facts/a%2Fprovenance", "/v1/facts/batch%2F", "/v1/facts/%C3%28",
     "/v1/facts/" + "x" * 30_000, "/v1/./facts"],
)  # fmt: skip
async def test_tricks_with_paths_lead_nowhere(path: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        read(await ask(bench, "GET", path), 404)
        read(await ask(bench, "GET", path, by=None), 401)


async def test_an_escaped_slash_is_part_of_a_name() -> None:
    async with fresh() as node:
        fact = await node.say()
        assert (await node.get(f"/v1/facts/{fact['id']}/provenance"))["fact_id"] == fact["id"]
        await node.get(f"/v1/facts/{fact['id']}%2Fprovenance", 404)
        await node.post("/v1/facts%2Fbatch", {"facts": []}, 404)


@pytest.mark.parametrize(("dimension", "method"), [("fact_write", "POST"), ("fact_read", "GET")])
async def test_a_principal_over_its_rate_is_told_when_to_come_back(dimension: str, method: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, write_per_s=3 / 3_600, read_per_s=3 / 3_600)):
        body = saying() if method == "POST" else None
        for _ in range(3):
            assert (await ask(bench, method, "/v1/facts", body)).status in (200, 201)
        refused = await ask(bench, method, "/v1/facts", body)
        assert read(refused, 429) == {
            "detail": f"too much at once ({dimension}); come back in 1200 s", "code": "quota_exceeded",
            "error": "quota_exceeded", "dimension": dimension, "principal": "agent:writer", "retry_after": 1200.0,
        }  # fmt: skip
        assert refused.headers["retry-after"] == "1200"
        for _ in range(2 * limits.STRANGER_AUDIT_ROWS_PER_MINUTE):
            read(await ask(bench, method, "/v1/facts", body), 429)
        breaches = [row for row in bench.audit_rows if row.event == "quota_breach"]
        assert len(breaches) == limits.STRANGER_AUDIT_ROWS_PER_MINUTE  # nobody fills the log by being refused
        bench.monotonic_ms += 1_200_000
        assert (await ask(bench, method, "/v1/facts", body)).status in (200, 201)


async def test_a_session_that_read_a_scope_names_its_sources_when_it_writes_there() -> None:
    async with fresh() as node:
        base = await node.say(scope="team")
        await node.ask("GET", "/v1/facts?scope=team", stigmem_session=" s1 ")
        body = saying(scope="team", entity="user:x")
        refused = await node.ask("POST", "/v1/facts", body, stigmem_session="s1")
        told = read(refused, 403)
        assert (told["code"], told["session_id"], told["scope"]) == (
            "feedback_loop_provenance_required", "s1", "team",
        )  # fmt: skip
        summary = body | {"write_mode": "summarize_with_provenance"}
        for derived, status in (([], 403), ([{"fact_id": "nobody"}], 403), ([{"hash": base["cid"]}], 201)):
            made = await node.ask("POST", "/v1/facts", summary | {"derived_from": derived}, stigmem_session="s1")
            assert made.status == status
        batch = await node.ask("POST", "/v1/facts/batch", {"facts": [body | {"relation": "a:b"}]}, stigmem_session="s1")
        assert read(batch)["results"][0]["error"]["code"] == "feedback_loop_provenance_required"
        for session in ("s2", "", "   "):
            other = body | {"relation": f"maint:{len(session)}"}
            assert (await node.ask("POST", "/v1/facts", other, stigmem_session=session)).status == 201
        for method, path, sent in (("GET", "/v1/facts", None), ("POST", "/v1/facts", body)):
            long = await node.ask(method, path, sent, stigmem_session="x" * 129)
            assert read(long, 400)["code"] == "session_too_long"


async def test_a_full_mailbox_answers_at_once() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, mailbox_messages_max=2)) as node:
        answers: list[int] = []
        for _ in range(4):
            node.offer(Request("GET", "/healthz"), lambda response: answers.append(response.status))
        assert answers == [503, 503]
