"""A turn whose commit is refused: nobody is told of anything that is not on disk, and reads go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import trio

from stigmem.core.records import Record
from stigmem.core.wire import Request, Response
from stigmem.node.ports import JournalFull
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, WRITER, Peer, ask, read, saying
from tests.node.still import Bench, running

FULL = JournalFull("disk_full", "no space is left")


def request(method: str, target: str, body: Any = None) -> Request:
    return Request(method, target, {}, b"" if body is None else msgspec.json.encode(body))


async def in_one_turn(bench: Bench, *requests: Request) -> list[int]:
    """The statuses of requests that meet in one turn, in order."""
    found = [0] * len(requests)

    def note(place: int, status: int) -> None:
        found[place] = status

    for place, each in enumerate(requests):
        bench.node.offer(each, lambda response, place=place: note(place, response.status), WRITER)  # type: ignore[misc]
    await bench.settle()
    return found


async def test_a_write_that_only_repeats_one_of_its_turn_fails_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED)) as node:

        async def refuse(records: Sequence[Record]) -> None:
            await trio.lowlevel.checkpoint()
            raise FULL

        journal = node.context.journal
        with monkeypatch.context() as patch:
            patch.setattr(journal, "commit", refuse)
            write = request("POST", "/v1/facts", saying())
            batch = request("POST", "/v1/facts/batch", {"facts": [saying()]})
            look, bad = request("GET", "/v1/facts"), request("POST", "/v1/facts", saying(scope="galaxy"))
            assert await in_one_turn(bench, write, write, batch, look, bad) == [507, 507, 507, 200, 422]
        assert bench.records == []
        assert read(await ask(bench, "GET", "/v1/facts"))["facts"] == []
        assert await in_one_turn(bench, write, write, batch) == [201, 201, 200]
        assert len(node.state.ledger) == 1


async def test_a_pull_that_would_wait_is_answered_once_when_its_nonce_cannot_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 7)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:

        async def refuse(records: Sequence[Record]) -> None:
            await trio.lowlevel.checkpoint()
            raise FULL

        answers: list[int] = []
        pull = Request("GET", "/v1/federation/facts?wait=20", {"authorization": f"Bearer {peer.token()}"})
        with monkeypatch.context() as patch:
            patch.setattr(node.context.journal, "commit", refuse)
            node.offer(pull, lambda response: answers.append(response.status))
            await bench.settle()
        assert answers == [507]
        assert len(node.long_polls) == 0
        node.offer(pull, lambda response: answers.append(response.status))
        await bench.settle()
        assert (answers, len(node.long_polls)) == ([507], 1), "the nonce was not spent, and the same token waits now"
        assert await in_one_turn(bench, request("POST", "/v1/facts", saying())) == [201]
        await bench.settle()
        assert answers == [507, 200]


async def test_a_pull_whose_caller_has_gone_gives_its_place_back() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 7)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        answers: list[int] = []

        def answer(response: Response) -> None:
            answers.append(response.status)

        pull = Request("GET", "/v1/federation/facts?wait=20", {"authorization": f"Bearer {peer.token()}"})
        node.offer(pull, answer)
        await bench.settle()
        node.withdraw(lambda response: None)
        assert len(node.long_polls) == 1, "it was another caller that left"
        node.withdraw(answer)
        assert (answers, len(node.long_polls)) == ([], 0)


async def test_two_pulls_of_one_peer_in_one_turn_do_not_both_wait() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 7)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        answers: list[int] = []
        for _ in range(2):
            pull = Request("GET", "/v1/federation/facts?wait=20", {"authorization": f"Bearer {peer.token()}"})
            node.offer(pull, lambda response: answers.append(response.status))
        await bench.settle()
        assert (answers, len(node.long_polls)) == ([200], 1)
