"""Bounds of what a node keeps and does at one time: so many are there, and one more is refused or the oldest goes.

Where so many would take minutes to make, the bound is set lower: what is held is that the code stops at it, and where.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from stigmem.core import limits
from stigmem.core.recall.words import fact_words, plain_words, query_words
from stigmem.core.records import DeadLetter
from stigmem.core.wire import Request, StreamedResponse
from stigmem.node.api.feedback_guard import FeedbackGuard
from stigmem.node.following.streams import FactStreams
from stigmem.node.mailbox import Mailbox
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from tests.builders import fact
from tests.limits.table import edge
from tests.node.api import ADMIN, NOW_MS, SEED, WRITER, ask, caller, read, saying
from tests.node.still import Bench, running
from tests.node.test_batch import Clock

SETTINGS = NodeSettings(seed=SEED, node_url="http://here.example", federation=True, push=True)
FEW = 3


@edge("RECALL_WORDS_MAX", "RECALL_QUERY_WORDS_MAX")
def test_so_many_words_are_looked_at_and_not_the_next_one() -> None:
    most = limits.RECALL_WORDS_MAX
    texts = [f"w{number}" for number in range(most + 1)]
    assert plain_words(" ".join(texts)) == texts[:most]
    found = fact_words(fact(1, " ".join(texts), slot=("user:a", "b:c", "public")))
    assert len(found) == most
    asked = query_words(" ".join(texts[: limits.RECALL_QUERY_WORDS_MAX + 1]))
    assert list(asked) == list(query_words(" ".join(texts[: limits.RECALL_QUERY_WORDS_MAX])))
    assert len(asked) == limits.RECALL_QUERY_WORDS_MAX


@edge("SESSIONS_MAX")
def test_the_session_that_was_used_least_lately_is_forgotten_when_one_more_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SESSIONS_MAX", FEW)
    guard = FeedbackGuard()
    for number in range(FEW):
        guard.note(f"s{number}", WRITER, ("public",))
    guard.note("s0", WRITER, ("team",))
    assert [session for session, _ in guard._read] == ["s1", "s2", "s0"]
    guard.note("one more", WRITER, ("public",))
    assert [session for session, _ in guard._read] == ["s2", "s0", "one more"]


@edge("UNKNOWN_ORIGINS_MAX", "DEAD_LETTERS_PER_PEER_MAX")
def test_the_oldest_unknown_origin_and_the_oldest_letter_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UNKNOWN_ORIGINS_MAX", "DEAD_LETTERS_PER_PEER_MAX"):
        monkeypatch.setattr(limits, name, FEW)
    state = NodeState(SETTINGS, Clock())
    for number in range(FEW):
        state.apply(DeadLetter.for_origin("peer", f"f{number}", f"o{number}"))
    assert (list(state.awaiting["peer"]), list(state.letters["peer"])) == (["o0", "o1", "o2"], ["f0", "f1", "f2"])
    state.apply(DeadLetter.for_origin("peer", "f3", "o3"))
    assert (list(state.awaiting["peer"]), list(state.letters["peer"])) == (["o1", "o2", "o3"], ["f1", "f2", "f3"])


@edge("ALIASES_MAX")
async def test_one_alias_more_than_a_node_keeps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ALIASES_MAX", FEW)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number in range(FEW + 1):
            body = {"raw_uri": f"user:{number}", "canonical_uri": "user:same"}
            answer = await ask(bench, "POST", "/v1/aliases", body, by=ADMIN)
            assert answer.status == (201 if number < FEW else 409)
        assert read(answer, 409)["code"] == "too_many_aliases"


@edge("SUBSCRIPTIONS_MAX", "WEBHOOK_FAILURES_MAX")
async def test_one_subscription_more_than_a_node_has_is_refused_and_a_broken_one_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SUBSCRIPTIONS_MAX", FEW)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        made = []
        for number in range(FEW + 1):
            hook = {"target": "public", "on_change": "webhook", "delivery_address": f"https://hooks.example/{number}"}
            made.append(await ask(bench, "POST", "/v1/subscriptions", hook, by=caller("read", entity=f"a:{number}")))
        assert [answer.status for answer in made] == [201] * FEW + [429]
        own = read(made[0], 201)["id"]
        for failures, broken in ((limits.WEBHOOK_FAILURES_MAX - 1, False), (limits.WEBHOOK_FAILURES_MAX, True)):
            node.webhooks._running[own].failures = failures
            (shown,) = read(await ask(bench, "GET", "/v1/subscriptions", by=caller("read", entity="a:0")))[
                "subscriptions"
            ]
            assert (shown["consecutive_failures"], shown["circuit_open"]) == (failures, broken)


@edge("EVENT_STREAMS_MAX")
async def test_one_stream_more_than_a_node_has_open_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EVENT_STREAMS_MAX", FEW)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        opened = []
        for number in range(FEW + 1):
            answer = await ask(bench, "GET", "/v1/events", by=caller("read", entity=f"agent:{number}"))
            assert isinstance(answer, StreamedResponse) is (number < FEW), answer
            if isinstance(answer, StreamedResponse):
                opened.append(answer.chunks)
                await anext(answer.chunks)
        assert answer.status == 503
        for chunks in opened:
            await chunks.aclose()


@edge("EVENT_PIECE_BYTES")
def test_a_piece_of_events_ends_with_the_first_that_reaches_its_bound() -> None:
    half = b"x" * (limits.EVENT_PIECE_BYTES // 2)
    facts = [fact(number, seq=number) for number in range(1, 5)]
    piece, place = FactStreams._piece(None, facts, 9, lambda _: half, str)  # type: ignore[arg-type]
    assert (piece.count(half), place) == (2, 2)


@edge("NEIGHBOURS_MAX")
async def test_a_walk_through_the_graph_finds_so_many_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number in range(FEW + 1):
            ref = {"type": "ref", "v": f"user:{number}"}
            read(
                await ask(bench, "POST", "/v1/facts", saying("", entity="user:a", relation=f"rel:{number}", value=ref)),
                201,
            )
        for most in (FEW, FEW + 1):
            monkeypatch.setattr(limits, "NEIGHBOURS_MAX", most)
            found = read(await ask(bench, "GET", "/v1/graph/neighbors?entity=user:a&scope=public"))
            assert len(found["neighbors"]) == most


@edge("LINT_FINDINGS_MAX")
async def test_a_lint_tells_so_many_findings_and_that_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number in range(FEW):
            read(await ask(bench, "POST", "/v1/facts", saying(entity=f"user:{number}", relation="bare")), 201)
        body = {"scope": "public"}
        total = len(read(await ask(bench, "POST", "/v1/lint", body))["findings"])
        assert total >= FEW
        for most, truncated in ((total, False), (total - 1, True)):
            monkeypatch.setattr(limits, "LINT_FINDINGS_MAX", most)
            found = read(await ask(bench, "POST", "/v1/lint", body))
            assert (len(found["findings"]), found["truncated"]) == (min(most, total), truncated)


@edge("TURN_MESSAGES_MAX")
async def test_a_turn_takes_so_many_messages_and_leaves_the_next_for_the_next_turn() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        answers: list[int] = []
        for _ in range(limits.TURN_MESSAGES_MAX + 1):
            node.offer(Request("GET", "/v1/facts"), lambda answer: answers.append(answer.status), WRITER)
        await bench.settle()
        assert len(answers) == limits.TURN_MESSAGES_MAX + 1
        assert node.writer.largest_batch == limits.TURN_MESSAGES_MAX


def test_a_mailbox_takes_as_many_as_it_holds_and_refuses_the_next() -> None:
    clock = SimpleNamespace(signal=lambda: SimpleNamespace(set=lambda: None))
    mailbox, submission = Mailbox(clock, FEW), cast("Any", None)  # type: ignore[arg-type]
    assert [mailbox.offer(submission) for _ in range(FEW + 1)] == [True] * FEW + [False]


@edge("PUSHES_PER_PEER_MAX", "RECALLS_MAX", "PAST_ANSWERS_MAX")
@pytest.mark.parametrize("most", [limits.PUSHES_PER_PEER_MAX, limits.RECALLS_MAX, limits.PAST_ANSWERS_MAX])
async def test_so_many_of_a_kind_are_under_way_and_not_one_more(most: int) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        quotas = node.quotas
        assert [quotas.enter("kind", "who", most) for _ in range(most + 1)] == [True] * most + [False]
        assert quotas.enter("kind", "another", most)
        quotas.leave("kind", "who")
        assert quotas.enter("kind", "who", most)


@edge("VOIDS_PER_REQUEST_MAX")
async def test_one_request_voids_so_many_facts_and_says_that_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VOIDED_MAX", 1)
    monkeypatch.setattr(limits, "VOIDS_PER_REQUEST_MAX", FEW)
    for count in (FEW, FEW + 1):
        bench = Bench(NOW_MS)
        async with running(bench, SETTINGS):
            bench.wall_ms += 86_400_000
            batch = {"facts": [saying(entity=f"user:{number}") for number in range(count)]}
            read(await ask(bench, "POST", "/v1/facts/batch", batch))
            bench.wall_ms -= 86_400_000
            found = read(await ask(bench, "POST", "/v1/admin/clock/void", {"dry_run": False}, by=ADMIN))
            assert (found["facts"], len(found["records"]), found["more"]) == (FEW, FEW, count > FEW)
