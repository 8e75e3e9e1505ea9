"""The client against nodes as they are deployed: what is written is read, paged, followed and checked."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio

from stigmem.client import (
    AssertRequest,
    AsyncStigmemClient,
    Fact,
    StigmemClient,
    StigmemVerificationError,
    number_value,
    ref_value,
    string_value,
    verify_fact_cid,
)
from stigmem.client.blocking import Following
from stigmem.host.run import Deployed
from tests.host.nodes import node_at


@asynccontextmanager
async def client_at(directory: Path, **settings: Any) -> AsyncIterator[tuple[Deployed, AsyncStigmemClient]]:
    async with node_at(directory, **settings) as node, AsyncStigmemClient(node.url) as client:
        yield node, client


async def say(
    client: AsyncStigmemClient, *texts: str, entity: str = "user:ada", source: str = "agent:me"
) -> list[Fact]:
    return [
        await client.assert_fact(entity, "memory:role", string_value(text), source, scope="public") for text in texts
    ]


async def test_what_is_written_is_read_and_verified(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        (fact,) = await say(client, "engineer")
        assert await client.get(fact.id) == fact
        assert verify_fact_cid(fact) == fact.cid
        with pytest.raises(StigmemVerificationError, match="content id"):
            verify_fact_cid(fact.model_copy(update={"confidence": 0.5}))
        number = await client.assert_fact("user:ada", "memory:age", number_value(36), "agent:me")
        assert verify_fact_cid(number) == number.cid
        info = await client.node_info()
        assert (info.auth, info.federation) == ("none", "disabled")


async def test_pages_are_asked_for_as_they_are_wanted(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        for number in range(7):
            await say(client, "x", entity=f"user:{number}")
        found = [fact.entity async for fact in client.iter_facts(scope="public", page_size=3)]
        assert found == [f"user:{number}" for number in reversed(range(7))]
        first = await anext(aiter(client.iter_facts(scope="public", page_size=3)))
        assert first.entity == "user:6"
        assert [fact async for fact in client.iter_facts(entity="user:nobody")] == []


async def test_an_intent_is_sent_worked_on_and_found_in_boxes(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        limit = [{"kind": "budget", "limit": {"type": "number", "v": 250.0}, "unit": "EUR"}]
        sent = await client.send_intent("agent:planner", ["agent:fitter"], "Replace the seal", constraint=limit)
        assert (sent.from_, sent.state, sent.constraint) == ("agent:planner", "open", limit)
        other = await client.send_intent("agent:planner", ["agent:fitter"], "Paint it", intent_id="intent:paint")
        inbox = [each async for each in client.iter_intents(of="agent:fitter", page_size=1)]
        assert [(each.id, each.as_) for each in inbox] == [(other.id, ["recipient"]), (sent.id, ["recipient"])]
        done = await client.act_on_intent("intent:paint", "done", by="agent:fitter", text="in blue")
        assert (done.state, done.acts[0].text) == ("done", "in blue")
        assert (await client.get_intent("intent:paint")).state == "done"
        outbox = [each.state async for each in client.iter_intents("outbox", of="agent:planner")]
        assert outbox == ["done", "open"]


async def test_history_is_all_that_was_ever_said_oldest_first(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        await say(client, "engineer")
        await say(client, "teacher", source="agent:other")
        await client.retract("user:ada", "memory:role", "public", "agent:me")
        found = await client.history("user:ada", "memory:role")
        assert [(fact.value.v, fact.confidence) for fact in found] == [  # type: ignore[union-attr]
            ("engineer", 1.0), ("teacher", 1.0), ("retracted", 0.0),
        ]  # fmt: skip
        assert await client.history("user:ada", "memory:nothing") == []


async def test_a_client_looks_up_what_it_believed_before(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        first, second, third = await say(client, "engineer", "teacher", "pilot")
        shown = [fact.id async for fact in client.iter_facts(include_superseded=True, page_size=2)]
        assert shown == [third.id, second.id, first.id]
        then = await client.query(as_of=second.hlc)
        assert [fact.id for fact in then.facts] == [second.id]
        assert then.point_of_time is not None
        assert then.point_of_time["as_of"] == second.hlc
        known = await client.query(known_at="s:1")
        assert [fact.id for fact in known.facts] == [first.id]
        named = await client.query(known_at="now", limit=1)
        (fourth,) = await say(client, "painter")
        assert named.point_of_time is not None
        name = named.point_of_time["known_at"]
        assert [fact.id async for fact in client.iter_facts(known_at=name)] == [third.id]
        words = [fact.id async for fact in client.iter_history(first.id, page_size=3)]
        assert words == [fourth.id, third.id, second.id, first.id]
        assert [fact.id async for fact in client.iter_history(first.id, as_of=second.hlc)] == [second.id, first.id]
        assert [fact.id for fact in await client.history("user:ada", known_at="s:2")] == [first.id, second.id]
        card = await client.get_card("user:ada", scope="public", as_of=first.hlc)
        assert "engineer" in card.summary
        recalled = await client.recall("engineer", scope="public", as_of=first.hlc)
        assert [each.fact.id for each in recalled.facts] == [first.id]


async def test_a_conflict_is_listed_and_decided(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        mine, _other = await say(client, "engineer"), await say(client, "teacher", source="agent:other")
        (conflict,) = [found async for found in client.iter_conflicts()]
        await client.resolve_conflict(conflict.conflict_id, winning_fact_id=mine[0].id, resolution_note="asked her")
        assert [found async for found in client.iter_conflicts()] == []
        page = await client.query(entity="user:ada")
        assert [fact.id for fact in page.facts] == [mine[0].id]


async def test_a_batch_says_what_became_of_each_fact(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        good = AssertRequest(entity="user:ada", relation="memory:role", value=string_value("x"), source="agent:me")
        result = await client.assert_batch([good, {"entity": "user:ada"}])
        assert (result.accepted, result.rejected) == (1, 1)
        assert result.results[0].fact_id is not None
        assert result.results[1].error is not None
        whole = await client.assert_batch([good, {"entity": "user:ada"}], atomic=True)
        assert whole.accepted == 0


async def test_what_is_derived_is_read(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        await say(client, "engineer")
        await client.assert_fact("user:ada", "rel:works-on", ref_value("project:bridge"), "agent:me", scope="public")
        found = await client.neighbors("project:bridge", scope="public")
        assert [(near.entity, near.hops) for near in found.neighbors] == [("user:ada", 1)]
        assert (await client.lint("public")).fact_count == 2
        assert (await client.synthesize("public", entity="user:ada")).fact_count == 2
        card = await client.get_card("user:ada", scope="public")
        assert "engineer" in card.summary


async def test_following_goes_on_over_a_restart_of_the_node(tmp_path: Path) -> None:
    found: list[str] = []
    async with client_at(tmp_path) as (node, client):
        port, url = node.port, node.url
        await say(client, "before")
    async with AsyncStigmemClient(url) as client, trio.open_nursery() as nursery:
        heard = trio.Event()

        async def follow() -> None:
            async with client.follow(scope="public", replay=True) as facts:
                async for fact in facts:
                    found.append(fact.value.v)  # type: ignore[union-attr]
                    heard.set()
                    if len(found) == 3:
                        assert facts.cursor
                        return

        async with node_at(tmp_path, port=port):
            nursery.start_soon(follow)
            await say(client, "one")
            with trio.fail_after(20):
                await heard.wait()
        async with node_at(tmp_path, port=port):
            await say(client, "two")
            with trio.fail_after(20):
                while len(found) < 3:
                    await trio.sleep(0.02)
    assert found == ["before", "one", "two"]


async def test_a_thread_can_follow_and_stop(tmp_path: Path) -> None:
    def follow(url: str) -> tuple[list[str], str | None]:
        with StigmemClient(url) as client, client.follow(replay=True) as facts:
            taken = [next(facts).value.v for _ in range(2)]  # type: ignore[union-attr]
            cursor = facts.cursor
        with StigmemClient(url) as client, client.follow(cursor=cursor) as facts:
            assert isinstance(facts, Following)
            return [*taken, next(facts).value.v], facts.cursor  # type: ignore[union-attr]

    async with client_at(tmp_path) as (node, client):
        await say(client, "one", "two", "three")
        with trio.fail_after(20):
            taken, cursor = await trio.to_thread.run_sync(follow, node.url)
    assert (taken, bool(cursor)) == (["one", "two", "three"], True)


async def test_a_scope_is_polled_and_each_fact_comes_once(tmp_path: Path) -> None:
    async with client_at(tmp_path) as (_, client):
        await say(client, "one", entity="user:1")
        stop, batches = trio.Event(), []
        async for batch in client.subscribe_scope("public", batches.append, interval_s=0.05, stop_event=stop):
            assert batch == batches[-1]
            if len(batches) == 3:
                stop.set()
            else:
                await say(client, "more", entity=f"user:{len(batches) + 1}")
        assert [fact.entity for batch in batches for fact in batch] == ["user:1", "user:2", "user:3"]


async def test_the_client_that_awaits_runs_under_asyncio_too(tmp_path: Path) -> None:
    async def use(url: str) -> list[str]:
        async with AsyncStigmemClient(url) as client:
            await say(client, "one", "two")
            async with client.follow(replay=True) as facts:
                return [(await anext(facts)).value.v for _ in range(2)]  # type: ignore[union-attr]

    async with node_at(tmp_path) as node:
        run = partial(anyio.run, use, node.url, backend="asyncio")
        assert await trio.to_thread.run_sync(run) == ["one", "two"]


def test_a_thread_that_polls_stops_when_it_is_told(tmp_path: Path) -> None:
    seen: list[list[Fact]] = []

    async def main() -> None:
        async with client_at(tmp_path) as (node, client):
            await say(client, "one")
            stop = threading.Event()

            def take(batch: list[Fact]) -> None:
                seen.append(batch)
                stop.set()

            def poll() -> None:
                with StigmemClient(node.url) as blocking:
                    blocking.subscribe_scope("public", take, stop_event=stop)

            with trio.fail_after(10):
                await trio.to_thread.run_sync(poll)

    trio.run(main)
    assert [len(batch) for batch in seen] == [1]
