"""API keys over HTTP: making, seeing, rotating and ending them, and that nobody hands out more than it has."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core import limits
from stigmem.core.audit import verify
from stigmem.core.records import KeyRow
from stigmem.core.scopes import SCOPES
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Response
from stigmem.node.api.api_keys import argon2id, key_name
from stigmem.node.callers import Principal
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED)
SECRET = "a secret that somebody chose for himself"
DAY_MS = 86_400_000


def wanted(**members: Any) -> dict[str, Any]:
    return {"raw_key": SECRET, "entity_uri": "agent:worker", "permissions": ["write", "read"]} | members


async def with_key(bench: Bench, secret: str, method: str, target: str, body: Any = None) -> Response:
    return await ask(bench, method, target, body, by=None, headers={"authorization": f"Bearer {secret}"})


async def test_a_key_of_the_callers_choice_works_and_is_never_shown() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        answer = await ask(bench, "POST", "/v1/auth/keys", wanted(description="for the crew"), by=ADMIN)
        made = read(answer, 201)
        assert SECRET.encode() not in answer.body
        expires = format_us((NOW_MS + 90 * DAY_MS) * 1_000)
        assert made == {
            "id": made["id"], "entity_uri": "agent:worker", "permissions": ["read", "write"],
            "description": "for the crew",
            "created_at": format_us(NOW_MS * 1_000), "expires_at": expires, "oidc_sub": None, "tenant_id": "default",
            "allowed_scopes": ["local", "team", "company", "public"],
        }  # fmt: skip
        assert read(await with_key(bench, SECRET, "GET", "/v1/me")) == {
            "entity_uri": "agent:worker", "permissions": ["read", "write"], "oidc_sub": None, "tenant_id": "default",
            "allowed_scopes": ["local", "team", "company", "public"], "key_id": made["id"],
        }  # fmt: skip
    (row,) = [record for record in bench.records if isinstance(record, KeyRow)]
    assert SECRET not in repr(bench.records)
    assert made["id"] == key_name(row.verifier) != row.key_id


async def test_a_key_made_by_the_node_is_shown_once_and_works_after_a_restart() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        body = {"entity_uri": "Agent:Worker", "permissions": ["read"], "scopes": ["public"]}
        answer = await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN)
        made = read(answer, 201)
        assert made["raw_key"].startswith("sk-")
        assert len(made["raw_key"]) >= 32
        assert answer.headers["cache-control"] == "no-store"
        assert (made["entity_uri"], made["allowed_scopes"]) == ("agent:worker", ["public"])
        assert made["raw_key"] not in repr(bench.records)
    async with running(bench, SETTINGS):
        me = read(await with_key(bench, made["raw_key"], "GET", "/v1/me"))
        assert (me["entity_uri"], me["allowed_scopes"]) == ("agent:worker", ["public"])
        listed = read(await with_key(bench, made["raw_key"], "GET", "/v1/auth/keys"))
        assert [key["id"] for key in listed] == [made["id"]]
        assert "raw_key" not in listed[0]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"permissions": []}, 400), ({"permissions": ["read", "fly"]}, 400), ({"allowed_scopes": ["banana"]}, 400),
        ({"expires_at": format_us((NOW_MS + 91 * DAY_MS) * 1_000)}, 400),
        ({"expires_at": format_us(NOW_MS * 1_000)}, 400),
        ({"expires_at": "soon"}, 422), ({"tenant_id": "other"}, 400), ({"entity_uri": " "}, 400),
        ({"entity_uri": ""}, 422),
        ({"raw_key": "x" * 31}, 422), ({"raw_key": "x" * 513}, 422), ({"permissions": "read"}, 422),
        ({"permissions": ["admin:federation", "audit.read", "instruction:write", "federate", "admin"]}, 201),
        ({"expires_at": format_us((NOW_MS + 90 * DAY_MS) * 1_000)}, 201), ({"allowed_scopes": []}, 201),
    ],
)  # fmt: skip
async def test_what_a_key_may_be(change: dict[str, Any], status: int) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(**change), by=ADMIN), status)
        assert len(node.state.keys) == (status == 201)
        assert len(bench.audit_rows) == (status == 201)


async def test_a_known_key_is_refused_and_so_is_who_is_no_administrator() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(), by=ADMIN), 201)
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(entity_uri="agent:other"), by=ADMIN), 409)
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(raw_key="y" * 40), by=caller("read", "write")), 403)


async def test_a_key_without_an_end_needs_an_operator_who_wants_that() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, key_life_days=0)):
        made = read(await ask(bench, "POST", "/v1/auth/keys", wanted(), by=ADMIN), 201)
        assert made["expires_at"] is None


async def test_an_administrator_of_one_scope_makes_no_keys_for_others() -> None:
    bench = Bench(NOW_MS)
    by = caller("admin", "read", scopes=("public",))
    async with running(bench, SETTINGS):
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(allowed_scopes=["public", "company"]), by=by), 403)
        assert read(await ask(bench, "POST", "/v1/auth/keys", wanted(), by=by), 201)["allowed_scopes"] == ["public"]


async def test_an_expired_key_is_refused_and_not_listed() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(entity_uri="user:admin"), by=ADMIN), 201)
        bench.wall_ms += 90 * DAY_MS - 1
        assert len(read(await with_key(bench, SECRET, "GET", "/v1/auth/keys"))) == 1
        bench.wall_ms += 1
        refused = await with_key(bench, SECRET, "GET", "/v1/me")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert read(await ask(bench, "GET", "/v1/auth/keys", by=ADMIN)) == []


async def test_keys_that_end_soon_are_listed_soonest_first() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for days in (20, 5, 40):
            ends = format_us((NOW_MS + days * DAY_MS + 1_000) * 1_000)
            body = wanted(raw_key=f"{days:02d}" * 20, entity_uri=f"agent:{days}", expires_at=ends)
            read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)
        found = read(await ask(bench, "GET", "/v1/auth/keys/expiring-soon", by=ADMIN))
        assert [(key["entity_uri"], key["days_remaining"]) for key in found] == [("agent:5", 5), ("agent:20", 20)]
        assert len(read(await ask(bench, "GET", "/v1/auth/keys/expiring-soon?within_days=41", by=ADMIN))) == 3
        read(await ask(bench, "GET", "/v1/auth/keys/expiring-soon?within_days=366", by=ADMIN), 422)
        read(await ask(bench, "GET", "/v1/auth/keys/expiring-soon", by=caller("read")), 403)


# --- rotation and end ---


async def test_a_rotated_key_works_beside_its_successor_for_a_while() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        made = read(await ask(bench, "POST", "/v1/auth/keys", wanted(allowed_scopes=["public"]), by=ADMIN), 201)
        bench.wall_ms += 10 * DAY_MS
        path = f"/v1/auth/keys/{made['id']}/rotate?overlap_s=60"
        new = read(await with_key(bench, SECRET, "POST", path), 201)
        assert (new["entity_uri"], new["permissions"], new["allowed_scopes"]) == (
            "agent:worker",
            ["read", "write"],
            ["public"],
        )
        assert new["expires_at"] == format_us((NOW_MS + 100 * DAY_MS) * 1_000)
        assert new["id"] != made["id"]
        for secret in (SECRET, new["raw_key"]):
            read(await with_key(bench, secret, "GET", "/v1/me"))
        bench.wall_ms += 60_000
        read(await with_key(bench, SECRET, "GET", "/v1/me"), 401)
        read(await with_key(bench, new["raw_key"], "GET", "/v1/me"))
        read(await ask(bench, "POST", path, by=ADMIN), 409)
    assert [row.event for row in bench.audit_rows] == ["key_created", "key_created", "key_revoked"]
    assert verify(bench.audit_rows)[1] is None


async def test_a_small_key_cannot_become_a_greater_one_of_its_entity() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        great = read(await ask(bench, "POST", "/v1/auth/keys", wanted(permissions=["read", "admin"]), by=ADMIN), 201)
        path = f"/v1/auth/keys/{great['id']}/rotate"
        read(await ask(bench, "POST", path, by=caller("read", entity="agent:worker")), 403)
        narrow = caller("read", "admin", entity="agent:worker", scopes=("public",))
        read(await ask(bench, "POST", path, by=narrow), 403)
        assert len(node.state.keys) == 1
        read(await ask(bench, "POST", path, by=ADMIN), 201)


async def test_a_deleted_key_stops_working_at_once() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        made = read(await ask(bench, "POST", "/v1/auth/keys", wanted(), by=ADMIN), 201)
        path = f"/v1/auth/keys/{made['id']}"
        read(await ask(bench, "DELETE", path, by=caller("read", "write")), 403)
        answer = await with_key(bench, SECRET, "DELETE", path)
        assert (answer.status, answer.body) == (204, b"")
        read(await with_key(bench, SECRET, "GET", "/v1/me"), 401)
        read(await ask(bench, "DELETE", path, by=ADMIN), 404)
        assert node.state.key_holders == {}


@pytest.mark.parametrize("action", ["DELETE", "rotate"])
@pytest.mark.parametrize(
    ("permissions", "scopes", "by_permissions", "by_scopes", "entity", "status"),
    [
        (["admin", "read"], ["public"], ["read"], ["public"], "agent:worker", 403),  # locks its administrator out
        (["read", "write"], ["public"], ["read"], ["public"], "agent:worker", 403),
        (["instruction:write"], ["public"], ["read", "write"], ["public"], "agent:worker", 403),
        (["read"], ["team", "public"], ["read"], ["public"], "agent:worker", 403),
        (["read"], ["team"], ["read", "admin"], ["public"], "agent:other", 403),  # an administrator of another scope
        (["read"], [*SCOPES], ["read", "admin"], ["team", "public"], "agent:worker", 403),
        (["read"], ["public"], ["read", "write"], ["public"], "agent:other", 403),
        (["read"], ["public"], ["read"], ["public"], "agent:worker", 200),
        (["read"], ["public"], ["read", "write"], ["team", "public"], "agent:worker", 200),
        (["audit.read"], ["public"], ["admin"], ["public"], "agent:other", 200),  # who could have made it
    ],
)  # fmt: skip
async def test_a_key_is_ended_by_none_that_may_less(
    action: str, permissions: list[str], scopes: list[str], by_permissions: list[str], by_scopes: list[str],
    entity: str, status: int,
) -> None:  # fmt: skip
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        body = wanted(permissions=permissions, allowed_scopes=scopes)
        made = read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)
        path = f"/v1/auth/keys/{made['id']}"
        by = caller(*by_permissions, scopes=tuple(by_scopes), entity=entity)
        method, target = ("DELETE", path) if action == "DELETE" else ("POST", f"{path}/rotate")
        answer = await ask(bench, method, target, by=by)
        assert answer.status == (status if status == 403 else 204 if action == "DELETE" else 201)
        if status == 403:
            assert [row.event for row in bench.audit_rows] == ["key_created"]
            (row,) = node.state.keys.values()
            assert row.expires_us == (NOW_MS + 90 * DAY_MS) * 1_000
            assert read(answer, 403)["code"] in ("key_above_yours", "scope_not_allowed", "not_your_key")


async def test_a_key_may_always_end_itself_and_only_itself_among_greater_ones() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        small = wanted(permissions=["write"], allowed_scopes=["public"])
        great = wanted(raw_key="z" * 32, permissions=["admin", "read", "write"])
        own = read(await ask(bench, "POST", "/v1/auth/keys", small, by=ADMIN), 201)
        other = read(await ask(bench, "POST", "/v1/auth/keys", great, by=ADMIN), 201)
        read(await with_key(bench, SECRET, "DELETE", f"/v1/auth/keys/{other['id']}"), 403)
        assert (await with_key(bench, SECRET, "DELETE", f"/v1/auth/keys/{own['id']}")).status == 204
        assert len(node.state.keys) == 1


async def test_an_administrator_ends_keys_of_others_also_by_their_index() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(), by=ADMIN), 201)
        (index,) = node.state.keys
        assert (await ask(bench, "DELETE", f"/v1/auth/keys/{index}", by=ADMIN)).status == 204


async def test_an_entity_stays_local_until_its_last_key_is_gone() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        first = read(await ask(bench, "POST", "/v1/auth/keys", wanted(), by=ADMIN), 201)
        second = read(await ask(bench, "POST", "/v1/auth/keys", wanted(raw_key="z" * 32), by=ADMIN), 201)
        await ask(bench, "DELETE", f"/v1/auth/keys/{first['id']}", by=ADMIN)
        assert node.policy.local_sources("agent:worker")
        await ask(bench, "DELETE", f"/v1/auth/keys/{second['id']}", by=ADMIN)
        assert not node.policy.local_sources("agent:worker")


async def test_making_keys_is_rationed_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    monkeypatch.setattr(limits, "KEYS_MINTED_BURST", 2.0)
    monkeypatch.setattr(limits, "KEYS_MAX", 3)
    async with running(bench, SETTINGS):
        statuses = [
            (await ask(bench, "POST", "/v1/auth/keys", wanted(raw_key=f"{n}" * 32), by=ADMIN)).status for n in range(3)
        ]
        assert statuses == [201, 201, 429]
        bench.monotonic_ms += 1_000
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(raw_key="m" * 32), by=ADMIN), 201)
        bench.monotonic_ms += 1_000
        full = read(await ask(bench, "POST", "/v1/auth/keys", wanted(raw_key="n" * 32), by=ADMIN), 409)
        assert full["code"] == "too_many_keys"


async def test_a_verifier_is_salted_and_its_name_says_nothing_of_the_secret() -> None:
    one, other = argon2id(SECRET, bytes(16)), argon2id(SECRET, bytes([1]) * 16)
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert key_name(one) != key_name(other)


async def test_without_authentication_everybody_is_trusted_but_no_administrator() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, auth_required=False)):
        me = read(await ask(bench, "GET", "/v1/me", by=None))
        assert (me["entity_uri"], me["permissions"], me["key_id"]) == (
            "anon:trusted",
            ["federate", "read", "write"],
            None,
        )
        read(await ask(bench, "POST", "/v1/auth/keys", wanted(), by=None), 403)


@pytest.mark.parametrize(("mode", "status"), [("off", 201), ("warn", 201), ("enforce", 422)])
async def test_whose_name_a_key_writes_in_is_the_operators_choice(mode: Any, status: int) -> None:
    bench = Bench(NOW_MS)
    owner = Principal("Agent:Writer", frozenset({"write"}), key_id="k")
    async with running(bench, NodeSettings(seed=SEED, source_attestation=mode)):
        found = read(await ask(bench, "POST", "/v1/facts", saying(), by=caller("write")), status)
        if mode == "enforce":
            assert found["detail"].startswith("source_attestation_failed")
        else:
            assert any("agent:caller" in warning for warning in found["warnings"]) == (mode == "warn")
            assert found["attested"] is None
        mine = read(await ask(bench, "POST", "/v1/facts", saying("mine"), by=owner), 201)
        assert mine["warnings"] == []
