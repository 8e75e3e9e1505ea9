"""What anybody may read: health, discovery, manifest (http-api 3.2, federation 1.3), and what is not there at all."""

from __future__ import annotations

import pytest

from tests.node.fresh import fresh

NAMESPACES = ["stigmem:", "rel:", "memory:", "intent:", "roadmap:", "preference:", "garden:"]


async def test_a_closed_node_says_who_it_is_and_nothing_of_federation() -> None:
    async with fresh() as node:
        assert await node.get("/healthz") == {"status": "ok"}
        assert await node.get("/.well-known/stigmem") == {
            "version": "1.0", "node_id": node.node.node_id, "node_url": "http://testnode", "auth": "none",
            "federation": "disabled", "source_attestation": "off", "namespaces": NAMESPACES, "spec": None,
            "cors": {"dev_localhost": False, "configured": False},
        }  # fmt: skip
        assert node.node.node_id.startswith("stigmem:node:")
        await node.get("/.well-known/stigmem-manifest.json", 404)


async def test_an_open_node_says_what_peers_need() -> None:
    async with fresh(
        federation=True, auth_required=True, node_id="stigmem://node-b", source_attestation="warn"
    ) as node:
        found = await node.get("/.well-known/stigmem")
        assert (found["auth"], found["federation"], found["source_attestation"]) == ("required", "enabled", "warn")
        assert found["node_id"] == "stigmem://node-b"
        assert found["federation_pubkey"] == node.node.signer.public_key
        assert len(found["federation_pubkey"]) == 43
        assert found["federation_version"] == "2.1"
        assert found["entity_uri"] == "http://testnode"
        assert found["federation_endpoints"] == {
            "peers": "/v1/federation/peers", "facts": "/v1/federation/facts", "push": None,
        }  # fmt: skip
        assert found["replication_lag_ms"] == 0
        manifest = await node.get("/.well-known/stigmem-manifest.json")
        assert set(manifest) == {
            "entity_uri", "key_id", "public_key", "issued_at", "expires_at", "entities", "rotation_events", "signature",
        }  # fmt: skip
        assert manifest["public_key"] == found["federation_pubkey"]
        assert "stigmem://node-b" in manifest["entities"]
    async with fresh(federation=True, push=True) as node:
        endpoints = (await node.get("/.well-known/stigmem"))["federation_endpoints"]
        assert endpoints["push"] == "/v1/federation/facts/push"


async def test_health_and_discovery_need_no_key() -> None:
    async with fresh(auth_required=True) as node:
        assert (await node.ask("GET", "/healthz")).status == 200
        assert (await node.ask("GET", "/.well-known/stigmem", authorization="Bearer wrong")).status == 200


async def test_the_caller_of_an_open_node_is_trusted_and_no_administrator() -> None:
    async with fresh() as node:
        found = await node.get("/v1/me")
        assert (found["entity_uri"], found["permissions"]) == ("anon:trusted", ["federate", "read", "write"])
        assert (found["oidc_sub"], found["tenant_id"]) == (None, "default")
        assert await node.get("/v1/auth/keys") == []
        for target in ("/v1/auth/keys/expiring-soon", "/v1/admin/audit"):
            await node.get(target, 403)
        body = {"raw_key": "k" * 32, "entity_uri": "agent:x"}
        assert (await node.post("/v1/auth/keys", body, 403))["detail"] == "admin permission required"


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404), ("GET", "/nothing", 404), ("GET", "/v1/nothing", 404), ("GET", "/v1/facts/", 404),
        ("GET", "/healthz/", 404), ("GET", "//healthz", 404), ("GET", "/v1//facts", 404), ("GET", "/v1%2Ffacts", 404),
        ("GET", "/%761/facts", 404), ("GET", "/v1/embed/status", 404), ("GET", "/v1/agents/x/instructions", 404),
        ("POST", "/healthz", 405), ("PUT", "/v1/facts", 405), ("PUT", "/v1/recall", 405), ("DELETE", "/v1/me", 405),
        ("GET", "/v1/facts/batch/", 404), ("get", "/healthz", 405), ("OPTIONS", "/v1/facts", 405),
    ],
)  # fmt: skip
async def test_unknown_routes_and_methods_are_said_to_be_so(method: str, target: str, status: int) -> None:
    async with fresh() as node:
        response = await node.ask(method, target)
        assert response.status == status
        assert b'"detail"' in response.body
        assert ("allow" in response.headers) == (status == 405)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/auth/oidc/exchange"), ("POST", "/v1/federation/capability-tokens"),
        ("POST", "/v1/federation/capability-tokens/verify"),
    ],
)  # fmt: skip
async def test_routes_of_a_later_issue_answer_501_to_callers_the_node_knows(method: str, target: str) -> None:
    async with fresh(federation=True) as node:
        response = await node.ask(method, target, {})
        assert response.status == 501
        assert b'"code":"not_implemented"' in response.body
        assert target.partition("?")[0].encode() in response.body
    async with fresh(federation=True, auth_required=True) as node:
        assert (await node.ask(method, target, {})).status == 401
