"""Whatever is asked, there is one answer, it is JSON or empty, and it is never a bug of ours: seeded nonsense for every
operation, from callers with every right, peers and strangers."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import msgspec
import pytest

from stigmem.core.keys import encode_base64
from stigmem.core.wire import Request, Response
from stigmem.node.node import ROUTER, Node
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True, pull_burst=1e9)
OPERATIONS = [operation for operation in ROUTER.operations if "later" not in operation.tags]
TEXTS = (
    "", " ", "a", "user:bob", "stigmem://a/b/c", "stigmem:conflict:x", "sha256:" + "0" * 64, "sha256:", "\u0000",
    "é\u200b", "x" * 3_000, "../..", "%2F", "true", "NaN", "-1", "1e999", "2026-11-20T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "public", "company", "string", "number", "datetime", "null", "instruction", "s:1",
    "99999999999999999999999999", "{}", "[]", "a.b.c", "\U0001f600",
)  # fmt: skip


def nonsense(random: Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = random.randrange(10)
    if kind < 5 or depth > 3:
        return random.choice(TEXTS)
    if kind == 5:
        return random.choice((0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.0, -0.0, 0.5, 1e308, 5e-324))
    if kind == 6:
        return random.choice((None, True, False))
    if kind == 7:
        return [nonsense(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice(TEXTS): nonsense(random, depth + 1) for _ in range(random.randrange(4))}


def names_in(node: Node) -> list[str]:
    """What there is to ask for by name."""
    facts = [name for fact in node.state.ledger.log[-5:] for name in (fact.id, fact.cid)]
    return [*facts, *(conflict.id for conflict in node.state.conflicts.all()), *node.state.peers, *node.state.keys]


def members_of(kind: Any) -> list[str]:
    return [each.encode_name for each in msgspec.structs.fields(kind)] if kind is not None else []


def body_of(random: Random, kind: Any) -> bytes:
    """Nonsense that looks a little like what is wanted."""
    if random.random() < 0.1:
        return bytes(random.randrange(256) for _ in range(random.randrange(20)))
    names = members_of(kind)
    value = saying() if "entity" in names else {}
    for name in random.sample(names, min(len(names), random.choice((0, 0, 1, 1, 2, 9)))):
        value[name] = nonsense(random)
    if "facts" in names and random.random() < 0.7:
        value["facts"] = [saying() | {random.choice(list(saying())): nonsense(random)} for _ in range(3)]
    text = msgspec.json.encode(value)
    if random.random() < 0.1:
        place = random.randrange(len(text))
        text = text[:place] + bytes([random.randrange(256)]) + text[place + 1 :]
    return text


def quoted(random: Random) -> str:
    text = random.choice(TEXTS).encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02x}" if random.random() < 0.5 or not 32 < byte < 127 else chr(byte) for byte in text)


def target_of(random: Random, operation: Any, known: list[str]) -> str:
    def name_of(_: Any) -> str:
        return random.choice(known) if known and random.random() < 0.7 else quoted(random) or "x"

    path = re.sub(r"\{\w+\}", name_of, operation.path)
    names = [*members_of(operation.query), *(["unknown"] if random.random() < 0.1 else [])]
    wanted = random.sample(names, min(len(names), random.choice((0, 0, 1, 2, 9))))
    pairs = [f"{name}={quoted(random)}" for name in wanted]
    return path + ("?" + "&".join(pairs) if pairs else "")


@pytest.mark.parametrize("seed", range(4))
async def test_nonsense_gets_an_answer_and_finds_no_bug(seed: int) -> None:
    random = Random(seed)
    bench = Bench(NOW_MS)
    peers = [Peer(bench, number, dialect=dialect) for number, dialect in ((1, "0.5"), (2, "2.1"), (3, "2.1+"))]
    seen: dict[int, int] = {}
    async with running(bench, SETTINGS) as node:
        known: list[str] = []
        for number in range(1_000):
            bench.wall_ms += random.choice((0, 1, 1_000))
            bench.monotonic_ms += 10_000
            operation = OPERATIONS[number % len(OPERATIONS)]
            known = names_in(node) if number % 50 == 0 else known
            headers = {"stigmem-session": random.choice(TEXTS)} if random.random() < 0.2 else {}
            if operation.permission == "peer" and random.random() < 0.9:
                headers["authorization"] = f"Bearer {random.choice(peers).token()}"
            elif random.random() < 0.1:
                headers["authorization"] = random.choice(("Bearer ", "bearer ..", "Bearer", "Basic x", "Bearer a b"))
            request = Request(
                operation.method, target_of(random, operation, known), headers, body_of(random, operation.body)
            )
            response: Response = await bench.ask(request, ADMIN if random.random() < 0.9 else None)
            seen[response.status] = seen.get(response.status, 0) + 1
            assert response.status < 500 or response.status in (501, 503), (request, response)
            if response.body and response.headers["content-type"] == "application/json":
                msgspec.json.decode(response.body)
        assert node.bugs == []
        # It would prove little if everything were refused at the door.
        assert seen[200] + seen.get(201, 0) > 100
        assert seen[422] > 100
    async with running(bench, SETTINGS) as again:  # and what was stored can be read again
        assert len(again.state.ledger) == len(node.state.ledger)


CLAIMS: dict[str, tuple[Any, ...]] = {
    "iss": ({}, [], None, 5, True, "n:nobody", "x" * 5_000), "sub": ({}, [], None, 5, "n:other"),
    "iat": ("x", None, [], {}, 1.5, -1, 10**30, True, NOW_MS + 60_000),
    "exp": ("x", None, [], {}, 1.5, -1, 10**30, "1"),
    "nbf": ("x", [], {}, 1.5, 10**30, NOW_MS + 60_000), "nonce": (None, "", 0, 7, [], {}, True, "n" * 20_000),
    "scopes": (None, 5, "public", {}, [[]], [None], ["local"], ["public"] * 1_000), "aud": ({}, "x"),
}  # fmt: skip


@pytest.mark.parametrize("target", ["facts", "tombstones", "facts/push", "manifest/x"])
async def test_no_claim_of_a_signed_token_causes_anything_but_a_refusal(target: str) -> None:
    random = Random(target)
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    method = "POST" if target.endswith("push") else "GET"
    seen: dict[int, int] = {}
    async with running(bench, SETTINGS) as node:
        for number in range(500):
            bench.monotonic_ms += 10_000
            claims = {
                "iss": peer.node_id, "sub": node.node_id, "iat": NOW_MS, "exp": NOW_MS + 60_000, "nonce": f"n{number}",
                "scopes": ["public"],
            }  # fmt: skip
            for name in random.sample(list(CLAIMS), random.randrange(3)):
                claims[name] = random.choice(CLAIMS[name])
                if random.random() < 0.2:
                    del claims[name]
            head = random.choice(
                ({"alg": "EdDSA", "typ": "JWT"}, {"alg": "EdDSA"}, {"alg": "none"}, {"alg": ["EdDSA"]}, {})
            )
            signed = f"{encode_base64(msgspec.json.encode(head))}.{encode_base64(msgspec.json.encode(claims))}"
            token = f"{signed}.{encode_base64(peer.signer.sign(signed.encode()))}"
            body = b'{"facts":[]}' if method == "POST" else None
            response = await peer.ask(method, f"/v1/federation/{target}", body, token=token)
            seen[response.status] = seen.get(response.status, 0) + 1
        assert node.bugs == []
        assert set(seen) <= {200, 202, 401, 403, 404}
        assert seen[401] > 100
        assert len(seen) > 1
