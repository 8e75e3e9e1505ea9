"""How long a body may be, asked before it is read: nothing is spent by asking, and strangers may send little."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stigmem.core import limits
from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, WRITER, Peer, ask, read
from tests.node.still import Bench, running

KNOWN, KEYLESS, OPEN = limits.REQUEST_BYTES_MAX, limits.KEYLESS_BODY_BYTES_MAX, limits.OPEN_BODY_BYTES_MAX
SECRET = "a secret of the tests, long enough"
ASKS = NodeSettings(seed=SEED, auth_required=True, federation=True)


def head(method: str, path: str, credential: str = "") -> Request:
    return Request(method, path, {"authorization": f"Bearer {credential}"} if credential else {})


async def add_key(bench: Bench, expires_at: str | None = None) -> None:
    body: dict[str, Any] = {"raw_key": SECRET, "entity_uri": "user:ada", "permissions": ["read"]}
    admin = WRITER._replace(permissions=frozenset({"admin", "read"}))
    body |= {"expires_at": expires_at} if expires_at else {}
    read(await ask(bench, "POST", "/v1/auth/keys", body, by=admin), 201)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/facts", 401, "bearer credential missing"),
        ("POST", "/v1/no/such/route", 401, "bearer credential missing"),
        ("POST", "/v1/federation/facts/push", 401, "peer token required"),
        ("POST", "/v1/federation/peers", 401, "bearer credential missing"),
    ],
)
async def test_who_shows_no_key_may_send_little(method: str, path: str, status: int, message: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, ASKS) as node:
        bound = node.admit_head(head(method, path))
        assert bound.bytes_max == KEYLESS
        assert (bound.above.status, json.loads(bound.above.body)["detail"]) == (status, message)
        assert bound.above.headers["www-authenticate"] == "Bearer"


async def test_an_operation_that_is_open_to_all_takes_next_to_nothing() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, ASKS) as node:
        bound = node.admit_head(head("GET", "/healthz"))
        assert (bound.bytes_max, bound.above.status) == (OPEN, 413)


async def test_who_shows_a_key_may_send_as_much_as_any_request() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, ASKS) as node:
        await add_key(bench)
        bound = node.admit_head(head("POST", "/v1/facts", SECRET))
        assert (bound.bytes_max, bound.above.status) == (KNOWN, 413)
        wrong = node.admit_head(head("POST", "/v1/facts", SECRET + "x"))
        assert (wrong.bytes_max, json.loads(wrong.above.body)["detail"]) == (KEYLESS, "invalid or expired key")


async def test_a_key_that_has_expired_is_none() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, ASKS) as node:
        await add_key(bench, "2026-12-01T00:00:00Z")
        row = next(iter(node.state.keys.values()))
        assert row.expires_us is not None
        before, after = (row.expires_us - 1) * 1_000, row.expires_us * 1_000
        admission = node._head_admission
        assert admission.bound(head("POST", "/v1/facts", SECRET), before).bytes_max == KNOWN
        assert admission.bound(head("POST", "/v1/facts", SECRET), after).bytes_max == KEYLESS


async def test_where_no_key_is_asked_for_everybody_is_known_but_for_peers() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED, federation=True, auth_required=False)) as node:
        assert node.admit_head(head("POST", "/v1/facts")).bytes_max == KNOWN
        assert node.admit_head(head("POST", "/v1/federation/facts/push")).bytes_max == KEYLESS


async def test_a_peers_token_is_checked_and_not_spent() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 7)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        token = peer.token()
        records = len(bench.records)
        for _ in range(3):
            assert node.admit_head(head("POST", "/v1/federation/facts/push", token)).bytes_max == KNOWN
        await bench.settle()
        assert len(bench.records) == records, "asking writes nothing"
        broken = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
        for credential in (broken, "x.y.z", "no token"):
            assert node.admit_head(head("POST", "/v1/federation/facts/push", credential)).bytes_max == KEYLESS
        pull = Request("GET", "/v1/federation/facts", {"authorization": f"Bearer {token}"})
        found = []
        node.offer(pull, lambda response: found.append(response.status))
        await bench.settle()
        assert found == [200], "the nonce was still good"
