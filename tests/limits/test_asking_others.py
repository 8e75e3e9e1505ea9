"""Bounds of what a node asks others, how it waits for them, and what it keeps of what came too early."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stigmem.core import hlc, limits
from stigmem.core.errors import Rejection
from stigmem.core.ingest import PeerLink, VerifiedFact
from stigmem.core.page import Page
from stigmem.core.wire import Request, Response
from stigmem.node.ports import Unreachable
from stigmem.node.replication.page_ingest import Arrival, Ingestion, IngestPage, PagePlace
from stigmem.node.replication.page_verifier import PageVerifier
from stigmem.node.replication.puller import PeerReader
from stigmem.node.settings import NodeSettings
from tests.builders import fact
from tests.limits.table import edge
from tests.node.api import NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, node_url="http://here.example", federation=True)
FEW = 3


class Noting:
    """A transport that answers nothing, and notes how long and how much it may be waited for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        self.asked.append((request.target.partition("?")[0], timeout_ns, body_max))
        raise Unreachable("timeout", "nobody answers")


@edge("WEBHOOK_TIMEOUT_S", "WEBHOOK_ANSWER_BYTES_MAX", "RESPONSE_BYTES_MAX")
async def test_others_are_waited_for_and_read_as_far_as_the_bounds_say(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, noting = Bench(NOW_MS), Noting()
    Peer(bench, 1)
    monkeypatch.setattr(bench.transport, "request", noting.request)
    async with running(bench, SETTINGS):
        hook = {"target": "public", "on_change": "webhook", "delivery_address": "https://hooks.example/x"}
        read(await ask(bench, "POST", "/v1/subscriptions", hook, by=caller("read", "write")), 201)
        read(await ask(bench, "POST", "/v1/facts", saying()), 201)
        await bench.clock.advance(20)
    waited = {path: (timeout_ns, body_max) for path, timeout_ns, body_max in noting.asked}
    assert waited["/x"] == (int(limits.WEBHOOK_TIMEOUT_S * 1e9), limits.WEBHOOK_ANSWER_BYTES_MAX)
    pulled = [body_max for path, _, body_max in noting.asked if path.startswith("/v1/federation/")]
    assert pulled
    assert set(pulled) == {limits.RESPONSE_BYTES_MAX}


@edge("DEFERRED_AHEAD_MS_MAX")
def test_a_stamp_that_is_a_day_ahead_is_tried_again_and_one_beyond_it_never() -> None:
    whose = SimpleNamespace(_policy=SimpleNamespace(skew_future_ms=limits.SKEW_FUTURE_MS))
    for skew_ms, kept in ((limits.DEFERRED_AHEAD_MS_MAX, True), (limits.DEFERRED_AHEAD_MS_MAX + 1, False)):
        detail = {"direction": "future", "skew_ms": skew_ms, "remote_wall_ms": NOW_MS + skew_ms}
        due_ms = Ingestion.due_ms(whose, Rejection("hlc_skew", "too early", detail=detail))  # type: ignore[arg-type]
        assert due_ms == (NOW_MS + skew_ms - limits.SKEW_FUTURE_MS if kept else None)


@edge("DEFERRED_PER_PEER_MAX")
@pytest.mark.parametrize("count", [FEW, FEW + 1])
async def test_so_many_facts_of_a_peer_wait_to_become_due_and_the_page_comes_again_for_the_next(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEFERRED_PER_PEER_MAX", FEW)
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS) as node:
        arrivals = []
        for number in range(count):
            early = msgspec.structs.replace(
                fact(number + 1, origin=peer.node_id, received_from=peer.node_id),
                stamp=hlc.stamp(NOW_MS + limits.SKEW_FUTURE_MS + 60_000, number),
            )
            made = msgspec.structs.replace(early, id=early.certified_id())
            arrivals.append(Arrival(b"raw", VerifiedFact(made, source_owned=True)))
        link = PeerLink(peer.node_id, "2.1+", ("public",))
        found = await node.submit(
            IngestPage(peer.peer_id, link, node.policy, arrivals, PagePlace(None, "c", drained=True, last_attempt=True))
        )
        assert found is not None
        assert (found.stored, found.deferred_full, found.page_retry) == (0, count > FEW, count > FEW)
        assert len(node.state.deferred) == FEW


@edge("UNKNOWN_ORIGIN_REST_NS")
async def test_an_origin_whose_key_could_not_be_learned_is_not_asked_for_again_before_its_rest_is_over() -> None:
    asked: list[str] = []
    now = SimpleNamespace(ns=0)

    async def refuse(row: Any, target: str) -> Response:
        asked.append(target)
        raise Rejection("malformed_manifest", "no")

    verifier = _verifier(refuse, now)
    for ns, times in ((0, 1), (limits.UNKNOWN_ORIGIN_REST_NS - 1, 1), (limits.UNKNOWN_ORIGIN_REST_NS, 2)):
        now.ns = ns
        await verifier._learn(None, "stigmem:node:x")  # type: ignore[arg-type]
        assert len(asked) == times, ns


async def test_an_origin_that_could_not_be_reached_is_asked_for_at_once_so_often_and_then_rests() -> None:
    asked: list[str] = []
    now = SimpleNamespace(ns=0)

    async def silent(row: Any, target: str) -> Response:
        asked.append(target)
        raise Unreachable("timeout", "nobody answers")

    verifier, raised = _verifier(silent, now), 0
    for _ in range(10):
        try:
            await verifier._learn(None, "stigmem:node:x")  # type: ignore[arg-type]
        except Unreachable:
            raised += 1
    assert len(asked) == raised + 1, "the last silence is no reason to stop the drain"
    assert raised == 2
    now.ns = limits.UNKNOWN_ORIGIN_REST_NS
    with pytest.raises(Unreachable):
        await verifier._learn(None, "stigmem:node:x")  # type: ignore[arg-type]


def _verifier(answer: Any, now: SimpleNamespace) -> PageVerifier:
    unused: Any = None
    return PageVerifier(
        verifier=unused, state=unused, origin_keys=unused, clock=SimpleNamespace(monotonic_ns=lambda: now.ns),
        client=SimpleNamespace(ask=answer), signatures=unused,  # type: ignore[arg-type]
    )  # fmt: skip


@edge("CURSOR_UNSTORED_NS")
def test_a_cursor_past_nothing_new_waits_in_memory_so_long_and_is_then_stored() -> None:
    row = SimpleNamespace(dialect="2.1+")
    page = Page(entries=[], cursor="s:2", has_more=False)
    for age_ns, waits in ((limits.CURSOR_UNSTORED_NS - 1, True), (limits.CURSOR_UNSTORED_NS, False)):
        reader = SimpleNamespace(_stored_ns=1_000)
        found = PeerReader._may_pass(reader, row, "s:1", "s:1", page, 1_000 + age_ns)  # type: ignore[arg-type]
        assert found is waits
