"""What a client sends again, and what it does not: a fact is never written twice by it, and no answer is made up."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

from stigmem.client import (
    AsyncStigmemClient,
    StigmemAuthError,
    StigmemClient,
    StigmemConflictError,
    StigmemError,
    StigmemHTTPError,
    StigmemNotFoundError,
    operations,
    string_value,
)

FACT = {
    "id": "f", "entity": "user:ada", "relation": "r", "value": {"type": "string", "v": "x"}, "source": "s",
    "timestamp": "t", "confidence": 1.0, "scope": "public",
}  # fmt: skip
PAGE = {"facts": [FACT], "total": 1, "cursor": None}
Answer = httpx.Response | Exception


class Node:
    """Answers in order, the last of them for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=dict(answer.headers))


def said(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body if body is not None else {"detail": "no"}, headers=headers)


@pytest.fixture(autouse=True)
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the clients rested; nobody waits for it."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("stigmem.client.blocking.time.sleep", found.append)
    monkeypatch.setattr("stigmem.client.awaiting.anyio.sleep", sleep)
    return found


Does = Callable[[Any], Any]
WRITES: Does = lambda client: client.assert_fact("user:ada", "r", string_value("x"), "s")  # noqa: E731
READS: Does = lambda client: client.query(entity="user:ada")  # noqa: E731
RESOLVES: Does = lambda client: client.resolve_conflict("c", winning_fact_id="f")  # noqa: E731
BATCHES: Does = lambda client: client.assert_batch([FACT])  # noqa: E731


def outcome(node: Node, does: Does, **options: Any) -> Any:
    """What both clients make of it, which must be the same; the node is asked twice as often."""
    before = list(node.answers)

    def block() -> Any:
        with StigmemClient("http://node/", "k", transport=httpx.MockTransport(node), **options) as client:
            return does(client)

    async def wait() -> Any:
        async with AsyncStigmemClient("http://node/", "k", transport=httpx.MockTransport(node), **options) as client:
            return await does(client)

    found: list[Any] = []
    for run in (block, lambda: trio.run(wait)):
        node.answers = list(before)
        try:
            found.append(run())
        except (StigmemError, httpx.HTTPError) as error:
            found.append((type(error), str(error)))
    assert found[0] == found[1]
    return found[0]


OK = said(200, PAGE)
LOST: tuple[Answer, ...] = (httpx.ReadError("broken"), httpx.ReadTimeout("slow"), said(502), said(504))


@pytest.mark.parametrize("busy", [said(503), said(429), httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
@pytest.mark.parametrize(("does", "answer"), [(READS, OK), (WRITES, said(201, FACT)), (RESOLVES, said(409))])
def test_what_was_not_done_is_asked_again(busy: Answer, does: Does, answer: httpx.Response) -> None:
    node = Node(busy, busy, answer)
    outcome(node, does)
    assert len(node.requests) == 6


@pytest.mark.parametrize("lost", LOST)
def test_what_was_perhaps_done_is_asked_again_where_that_does_no_harm(lost: Answer) -> None:
    for does, answer in (
        (READS, OK),
        (WRITES, said(201, FACT)),
        (BATCHES, said(200, {"accepted": 1, "rejected": 0, "results": []})),
    ):
        node = Node(lost, answer)
        assert not isinstance(outcome(node, does), tuple)
        assert len(node.requests) == 4
    node = Node(lost, said(200, {"resolution_fact_id": "f", "conflict_status": "resolved"}))
    assert isinstance(outcome(node, RESOLVES), tuple)
    assert len(node.requests) == 2


def test_a_batch_is_sent_again_under_the_same_idempotency_key() -> None:
    node = Node(httpx.ReadError("broken"), said(200, {"accepted": 1, "rejected": 0, "results": []}))
    outcome(node, BATCHES)
    keys = [json.loads(request.content)["idempotency_key"] for request in node.requests]
    assert keys[0] == keys[1] != keys[2] == keys[3]


def test_rests_grow_and_the_node_may_ask_for_longer_ones(rests: list[float]) -> None:
    outcome(Node(said(503), said(503), said(503, None, **{"retry-after": "7"}), OK), READS, retries=3)
    assert 0.15 <= rests[0] <= 0.25 < 0.3 <= rests[1] <= 0.5
    assert rests[2] == 7
    before = len(rests)
    outcome(Node(said(503, None, **{"retry-after": "120"}), OK), READS)
    assert len(rests) == before


def test_a_client_gives_up_after_so_many_times() -> None:
    node = Node(said(503))
    assert outcome(node, READS, retries=2) == (StigmemHTTPError, "HTTP 503: no")
    assert len(node.requests) == 6
    node = Node(httpx.ConnectError("refused"))
    assert outcome(node, READS, retries=0)[0] is httpx.ConnectError
    assert len(node.requests) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, StigmemAuthError), (403, StigmemAuthError), (404, StigmemNotFoundError), (409, StigmemConflictError),
        (400, StigmemHTTPError), (422, StigmemHTTPError), (500, StigmemHTTPError),
    ],
)  # fmt: skip
def test_each_refusal_has_its_error(status: int, kind: type[Exception]) -> None:
    assert outcome(Node(said(status, {"detail": "no"})), READS) == (kind, f"HTTP {status}: no")
    found = outcome(Node(said(status, {"detail": {"code": "why", "message": "so"}})), READS)
    assert found == (kind, f"HTTP {status}: {{'code': 'why', 'message': 'so'}}")
    assert outcome(Node(httpx.Response(status, text="plain")), READS) == (kind, f"HTTP {status}: plain")


def test_an_error_tells_status_and_code() -> None:
    with StigmemClient(
        "http://node", transport=httpx.MockTransport(Node(said(403, {"detail": {"code": "why"}})))
    ) as client:
        with pytest.raises(StigmemAuthError) as raised:
            client.get("x")
    assert (raised.value.status_code, raised.value.code, raised.value.detail) == (403, "why", {"code": "why"})


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(found).parameters)
            for name, found in vars(kind).items()
            if callable(found) and not name.startswith("_") and name not in ("close", "aclose")
        }

    blocking = methods(StigmemClient)
    assert blocking == methods(AsyncStigmemClient)
    assert set(operations.__all__) == set(blocking) - {"follow", "subscribe_scope"}
    assert list(inspect.signature(StigmemClient.get).parameters) == [
        "self", "fact_id", "session_id", "as_of", "known_at",
    ]  # fmt: skip
    for name in operations.__all__:
        assert getattr(StigmemClient, name).__doc__ == getattr(operations, name).__doc__


def test_names_with_blanks_and_marks_are_part_of_the_path() -> None:
    node = Node(said(200, FACT))
    outcome(node, lambda client: client.get("stigmem://a/b c?d#e%f"))
    assert node.requests[0].url.raw_path == b"/v1/facts/stigmem://a/b%20c%3Fd%23e%25f"
