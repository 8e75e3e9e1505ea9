"""One body for two worlds: a node under concurrent writes and pulls is killed at random instants, again and again, and
after each start everything that it had answered must be there.

What the node runs on is the Subject's to know: a process and SQLite (test_kill), or the laboratory (test_kill_parity).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from stigmem.core.keys import Signer
from stigmem.core.records import Record
from stigmem.core.token import mint
from stigmem.core.wire import JSON_TYPE, Request, Response
from tests.host.promises import Promises, held

__all__ = ["PEER_SOURCE", "Subject", "ordeal"]

PEER_SOURCE = "agent:peer"
_ANSWERS_A_LIFE = 24
_LIFE_S_MAX = 3.0
_LAST_S = 0.015
"""Longer than a commit takes: so that the kill falls anywhere in it."""
_LOOK_S = 0.002
_SPARE = ("read", "write")


class Subject(Protocol):
    """A node that can be killed, and the peer with which it exchanges facts."""

    node_id: str
    peer_id: str
    peer_signer: Signer

    async def boot(self) -> None:
        """Start it; returns when it answers."""
        ...

    async def ask(self, request: Request, *, operator: bool = True) -> Response | None:
        """Its answer, to the person at its console or to a stranger; None when it died first."""
        ...

    async def kill(self) -> None:
        """End it between two instructions."""
        ...

    async def pause(self, seconds: float) -> None: ...

    async def together(self, clients: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Run them at the same time; returns when all have ended."""
        ...

    def now_ms(self) -> int: ...

    async def peer_writes(self, body: dict[str, Any]) -> None: ...

    def peer_wrote(self) -> list[str]:
        """Ids of the peer's own facts in the order in which it serves them."""
        ...

    def disk(self) -> list[Record]:
        """Every record and audit row that the node's disk holds, from one moment."""
        ...


async def ordeal(subject: Subject, random: Random, kills: int) -> Promises:
    """Kill the subject so many times; what it had promised by then."""
    promises = Promises()
    for life in range(kills):
        await subject.boot()
        await _check(subject, promises)
        writers = [partial(_writer, subject, promises, f"{life}-{number}") for number in range(3)]
        others = [
            partial(client, subject, promises, str(life)) for client in (_batcher, _keeper, _puller, _reader, _peer)
        ]
        end = partial(_end, subject, promises, random.randrange(_ANSWERS_A_LIFE), random.uniform(0.0, _LAST_S))
        await subject.together([*writers, *others, end])
    await subject.boot()
    await _check(subject, promises)
    return promises


async def _check(subject: Subject, promises: Promises) -> None:
    """Raises AssertionError when a promise was broken, on the disk or in what the node says."""
    found = held(subject.disk())
    assert promises.broken(found, subject.node_id, subject.peer_id, subject.peer_wrote()) == []
    for fact_id in list(promises.writes)[-3:]:
        answer = await _told(subject, Request("GET", f"/v1/facts/{fact_id}"))
        assert msgspec.json.decode(answer.body)["cid"] == promises.writes[fact_id]["cid"]
    for token, _ in promises.tokens[-1:]:
        again = await _told(subject, _pull(token))
        assert (again.status, msgspec.json.decode(again.body)["detail"]) == (401, "nonce_already_seen")
    for body, before in promises.batches[-1:]:
        repeated = await _told(subject, _post("/v1/facts/batch", body))
        assert (repeated.status, repeated.body) == (200, before)
    for entity, secret in list(promises.keys.items())[-1:]:
        assert await _who(subject, secret) == entity
    for secret in list(promises.revoked.values())[-1:]:
        assert await _who(subject, secret) == "anon:trusted"


async def _end(subject: Subject, promises: Promises, answers: int, last_s: float) -> None:
    """Kill the node so long after so many answers: a busy machine gives them later, and is not to die the sooner."""
    wanted = promises.answers + answers
    for _ in range(round(_LIFE_S_MAX / _LOOK_S)):
        if promises.answers >= wanted:
            break
        await subject.pause(_LOOK_S)
    await subject.pause(last_s)
    await subject.kill()


async def _told(subject: Subject, request: Request) -> Response:
    answer = await subject.ask(request)
    assert answer is not None, "the node died without being killed"
    return answer


async def _who(subject: Subject, secret: str) -> str:
    request = Request("GET", "/v1/me", {"authorization": f"Bearer {secret}"})
    answer = await subject.ask(request, operator=False)
    assert answer is not None
    return str(msgspec.json.decode(answer.body)["entity_uri"])


def _post(target: str, body: bytes) -> Request:
    return Request("POST", target, JSON_TYPE, body)


def _pull(token: str) -> Request:
    return Request("GET", "/v1/federation/facts?limit=5", {"authorization": f"Bearer {token}"})


def _assertion(entity: str, text: str, source: str = "agent:client", scope: str = "public") -> dict[str, Any]:
    return {
        "entity": entity, "relation": "memory:role", "source": source, "scope": scope,
        "value": {"type": "string", "v": text},
    }  # fmt: skip


# --- clients: each goes on until the node dies ---


async def _writer(subject: Subject, promises: Promises, name: str) -> None:
    number = 0
    while True:
        number += 1
        scope = ("public", "company", "local")[number % 3]
        body = msgspec.json.encode(_assertion(f"note:{name}-{number}", f"{name} says {number}", scope=scope))
        answer = await subject.ask(_post("/v1/facts", body))
        if answer is None:
            promises.cut += 1
            return
        assert answer.status == 201, answer.body
        record = msgspec.json.decode(answer.body)
        promises.writes[record["id"]] = record
        promises.answers += 1


async def _batcher(subject: Subject, promises: Promises, name: str) -> None:
    number = 0
    while True:
        number += 1
        facts = [_assertion(f"note:{name}-{number}-{place}", "one of many") for place in range(3)]
        body = msgspec.json.encode({"facts": facts, "atomic": True, "idempotency_key": f"{name}-{number}"})
        answer = await subject.ask(_post("/v1/facts/batch", body))
        if answer is None:
            promises.cut += 1
            return
        assert answer.status == 200, answer.body
        promises.batches.append((body, answer.body))
        promises.answers += 1


async def _keeper(subject: Subject, promises: Promises, life: str) -> None:
    """Makes a key in each life, and in every other one takes it back."""
    entity, secret = f"user:of-life-{life}", f"secret of life {life} ".ljust(40, "x")
    made = await subject.ask(
        _post("/v1/auth/keys", msgspec.json.encode({"raw_key": secret, "entity_uri": entity, "permissions": _SPARE}))
    )
    if made is None:
        return
    assert made.status == 201, made.body
    promises.keys[entity] = secret
    if int(life) % 2:
        key = msgspec.json.decode(made.body)["id"]
        del promises.keys[entity]  # from here on nobody knows, until the answer is there
        gone = await subject.ask(Request("DELETE", f"/v1/auth/keys/{key}"))
        if gone is not None:
            assert gone.status == 204, gone.body
            promises.revoked[entity] = secret


async def _puller(subject: Subject, promises: Promises, life: str) -> None:
    """Pulls from the node in the peer's name, each time with a token that must never work again."""
    number = 0
    while True:
        number += 1
        nonce = f"nonce {life} {number}"
        token = mint(
            subject.peer_signer, issuer=subject.peer_id, audience=subject.node_id, scopes=("public",), nonce=nonce,
            now_ms=subject.now_ms(),
        )  # fmt: skip
        answer = await subject.ask(_pull(token), operator=False)
        if answer is None:
            return
        if answer.status == 200:
            promises.tokens.append((token, nonce))
        await subject.pause(0.02)


async def _reader(subject: Subject, promises: Promises, life: str) -> None:
    """Looks at what has come from the peer: what it was shown, it must be shown again."""
    target = f"/v1/facts?source={quote(PEER_SOURCE)}&limit=3"
    while True:
        answer = await subject.ask(Request("GET", target))
        if answer is None:
            return
        promises.seen.update((fact["id"], None) for fact in msgspec.json.decode(answer.body)["facts"])
        await subject.pause(0.01)


async def _peer(subject: Subject, promises: Promises, life: str) -> None:
    for number in range(8):
        await subject.peer_writes(_assertion(f"news:{life}-{number}", f"news {number}", PEER_SOURCE))
