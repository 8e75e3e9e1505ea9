"""Failures that are met on the way of a request, each with the answer that its sender needs: nothing was stored, who is
missing, which of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import trio

from stigmem.core import limits
from stigmem.core.records import Record
from stigmem.core.wire import Request
from stigmem.node.ports import JournalFull
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, WRITER, Peer, ask, read, saying
from tests.node.still import Bench, running
from tests.node.test_api_manifest import FIRST, NAME, SECOND, THIRD, manifest, put, rotation
from tests.node.test_api_push import PUSH, entry, fact

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True)


async def test_a_push_whose_turn_could_not_be_stored_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        commit, batches = bench.journal.commit, 0

        async def full(records: Sequence[Record]) -> None:
            nonlocal batches
            batches += 1
            await trio.lowlevel.checkpoint()
            if batches > 1:  # the first one spends the token
                raise JournalFull("disk_full", "no space is left")
            await commit(records)

        with monkeypatch.context() as patch:
            patch.setattr(bench.journal, "commit", full)
            answer = await peer.ask("POST", PUSH, {"facts": [entry(peer, fact(peer, 1))]})
        assert read(answer, 507)["code"] == "disk_full"
        assert answer.headers["retry-after"] == "5"
        assert len(node.state.ledger) == 0
        told = read(await peer.ask("POST", PUSH, {"facts": [entry(peer, fact(peer, 1))]}), 202)
        assert (told["accepted"], len(node.state.ledger)) == (1, 1)


async def test_a_push_says_of_which_facts_it_took_nothing_by_their_places() -> None:
    bench = Bench(NOW_MS)
    peer, other = Peer(bench, 1), Peer(bench, 2)
    async with running(bench, SETTINGS):
        good = [entry(peer, fact(peer, number)) for number in range(3)]
        bad = [entry(other, fact(other, number)) for number in range(3, 5)]
        told = read(await peer.ask("POST", PUSH, {"facts": [good[0], bad[0], good[1], good[2], bad[1]]}), 202)
        assert (told["accepted"], told["rejected"]) == (3, 2)
        assert [(each["index"], each["fact_id"]) for each in told["errors"]] == [
            (1, bad[0]["fact"]["id"]), (4, bad[1]["fact"]["id"]),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({}, "bearer credential missing"),
        ({"authorization": "Basic abc"}, "bearer credential missing"),
        ({"authorization": "Bearer " + "x" * 40}, "invalid or expired key"),
    ],
)
async def test_who_has_no_key_is_told_so_and_who_has_a_bad_one_too(headers: dict[str, str], sentence: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for method, target in (("GET", "/v1/facts"), ("POST", "/v1/facts"), ("GET", "/v1/nothing")):
            answer = await ask(bench, method, target, by=None, headers=headers)
            assert (read(answer, 401)["detail"], read(answer, 401)["code"]) == (sentence, "unauthorised")


async def test_a_key_that_has_expired_is_told_as_a_bad_one() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        body = {"entity_uri": "user:a", "raw_key": "k" * 40, "expires_at": "2026-11-20T08:00:00Z"}
        read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)
        headers = {"authorization": "Bearer " + "k" * 40}
        read(await ask(bench, "GET", "/v1/facts", by=None, headers=headers), 200)
        bench.wall_ms += 3_600_000
        refused = read(await ask(bench, "GET", "/v1/facts", by=None, headers=headers), 401)
        assert refused["detail"] == "invalid or expired key"


async def test_one_origin_more_than_a_node_knows_is_refused_and_a_known_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    key = peer.signer.public_key
    async with running(bench, SETTINGS) as node:
        monkeypatch.setattr(limits, "ORIGINS_MAX", len(node.state.origins) + 1)
        pins = "/v1/federation/origins"

        async def pin(name: str, status: int) -> Any:
            return read(await ask(bench, "POST", pins, {"node_id": name, "public_key": key}, by=ADMIN), status)

        await pin("stigmem://one.example", 201)
        assert (await pin("stigmem://two.example", 409))["code"] == "too_many_origins"
        await pin("stigmem://one.example", 201)
        refused = await put(bench, manifest(FIRST), 409)
        assert refused["code"] == "too_many_origins"
        monkeypatch.setattr(limits, "ORIGINS_MAX", limits.ORIGINS_MAX + 2)
        await put(bench, manifest(FIRST), 200)


async def test_the_manifest_of_a_rotated_key_is_renewed_by_the_new_key_alone() -> None:
    bench = Bench(NOW_MS)
    once = rotation(FIRST, SECOND)
    async with running(bench, SETTINGS) as node:
        await put(bench, manifest(FIRST, since_days=9))
        await put(bench, manifest(SECOND, since_days=8, rotation_events=[once]))
        await put(bench, manifest(SECOND, since_days=7, rotation_events=[once]))
        await put(bench, manifest(SECOND, since_days=6))
        await put(bench, manifest(FIRST, since_days=5), 409)
        await put(bench, manifest(FIRST, since_days=5, rotation_events=[once]), 409)
        assert node.policy.key_of(NAME) == SECOND.public_key
        await put(bench, manifest(THIRD, since_days=4, rotation_events=[once]), 409)
        await put(bench, manifest(THIRD, since_days=4, rotation_events=[once, rotation(SECOND, THIRD)]))
        assert node.policy.key_of(NAME) == THIRD.public_key


async def test_of_two_facts_with_one_id_the_one_that_it_commits_to_nothing_in_is_told_of_once() -> None:
    bench = Bench(NOW_MS)
    first, second = Peer(bench, 1, dialect="2.1"), Peer(bench, 2, dialect="2.1")
    async with running(bench, SETTINGS) as node:
        kept = fact(first, 1)
        foreign = msgspec.structs.replace(fact(second, 2), id=kept.id)
        pushed = entry(second, foreign)
        for _ in range(3):
            assert read(await first.ask("POST", PUSH, {"facts": [entry(first, kept)]}), 202)["accepted"] == 1
            told = read(await second.ask("POST", PUSH, {"facts": [pushed]}), 202)
            assert [each["reason"] for each in told["errors"]] == ["id_collision"]
        assert [held.origin for held in node.state.ledger.find(kept.id)] == [first.node_id]
        rows = [row for row in bench.audit_rows if "id_collision" in row.detail]
        assert [row.subject for row in rows] == [second.peer_id]


async def test_a_write_that_leans_on_another_of_its_batch_is_no_success_when_that_could_not_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second of two equal writes is answered with the fact of the first, and stages no record of its own."""
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:

        async def full(records: Sequence[Record]) -> None:
            await trio.lowlevel.checkpoint()
            raise JournalFull("disk_full", "no space is left")

        request = Request("POST", "/v1/facts", {}, msgspec.json.encode(saying()))
        with monkeypatch.context() as patch:
            patch.setattr(bench.journal, "commit", full)
            answers = await bench.ask_all([request, request, Request("GET", "/healthz")], WRITER)
        assert [each.status for each in answers] == [507, 507, 200]
        assert len(node.state.ledger) == 0
