"""`GET /v1/events`: every fact that a caller may read, once, in the order in which it was stored, from any place on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import trio

from stigmem.core import limits
from stigmem.core.event_stream import EventReader, ServerEvent
from stigmem.core.wire import Request, Response, StreamedResponse
from stigmem.node.callers import Principal
from stigmem.node.settings import NodeSettings
from stigmem.testing import ManualClock, MemoryJournal, RunningNode, running_node
from tests.node.api import ADMIN, SEED, WRITER, caller, read, saying

SETTINGS = NodeSettings(seed=SEED)


class Reader:
    """Reads one stream of a node in a task of its own."""

    def __init__(self, node: RunningNode, response: Response) -> None:
        assert isinstance(response, StreamedResponse), response.body
        self._node = node
        self._chunks = response.chunks
        self._parser = EventReader()
        self.events: list[ServerEvent] = []
        self.cursor = ""
        self.pieces = 0
        self.has_ended = False
        self.is_held_up = trio.Event()
        self.is_held_up.set()

    async def run(self) -> None:
        async for piece in self._chunks:
            self.pieces += 1
            for event in self._parser.feed(piece):
                self.cursor = event.id or self.cursor
                if event.data is not None:
                    self.events.append(event)
            await self.is_held_up.wait()
        self.has_ended = True

    @property
    def values(self) -> list[str]:
        return [msgspec.json.decode(event.data)["value"]["v"] for event in self.events if event.data]


@asynccontextmanager
async def node_with_tasks(**parts: Any) -> AsyncIterator[tuple[RunningNode, trio.Nursery]]:
    async with running_node(SETTINGS, **parts) as node, trio.open_nursery() as nursery:
        yield node, nursery
        nursery.cancel_scope.cancel()


async def follow(
    node: RunningNode, nursery: trio.Nursery, query: str = "", by: Principal = WRITER, last: str = ""
) -> Reader:
    headers = {"last-event-id": last} if last else {}
    reader = Reader(node, await node.ask(Request("GET", f"/v1/events{query}", headers), by))
    nursery.start_soon(reader.run)
    await node.clock.settle()
    return reader


async def write(node: RunningNode, *texts: str, **members: Any) -> None:
    for text in texts:
        body = msgspec.json.encode(saying(text, **members))
        read(await node.ask(Request("POST", "/v1/facts", {}, body), ADMIN), 201)
    await node.clock.settle()


async def test_what_is_stored_is_told_as_it_is_stored_and_nothing_before() -> None:
    async with node_with_tasks() as (node, nursery):
        await write(node, "before")
        reader = await follow(node, nursery)
        await write(node, "one", "two")
        assert reader.values == ["one", "two"]
        told = msgspec.json.decode(reader.events[1].data or "")
        shown = read(await node.ask(Request("GET", f"/v1/facts/{told['id']}"), ADMIN))
        assert told == shown
        assert reader.events[1].event == "fact"


async def test_whoever_comes_back_with_any_id_gets_what_came_after_it_also_after_a_restart() -> None:
    clock, journal = ManualClock(), MemoryJournal()
    texts = [f"text {number}" for number in range(7)]
    async with node_with_tasks(clock=clock, journal=journal) as (node, nursery):
        await write(node, *texts)
        whole = await follow(node, nursery, "?replay=true&wait=false")
        assert whole.values == texts
        assert whole.has_ended
    async with node_with_tasks(clock=clock, journal=journal) as (node, nursery):
        for number, event in enumerate(whole.events):
            rest = await follow(node, nursery, "?wait=false", last=event.id or "")
            assert rest.values == texts[number + 1 :]
            same = await follow(node, nursery, f"?wait=false&cursor={quote(event.id or '')}")
            assert same.values == rest.values


async def test_filters_and_scopes_are_those_of_a_query() -> None:
    stranger = caller("read", scopes=("public",), entity="agent:stranger")
    async with node_with_tasks() as (node, nursery):
        everything = await follow(node, nursery)
        public = await follow(node, nursery, by=stranger)
        about = await follow(node, nursery, "?entity=User:ADA&min_confidence=0.5&scope=company")
        await write(node, "for all")
        await write(node, "for the company", scope="company")
        await write(node, "ada", scope="company", entity="user:ada")
        await write(node, "ada perhaps", scope="company", entity="user:ada", confidence=0.2)
        assert everything.values == ["for all", "for the company", "ada", "ada perhaps"]
        assert public.values == ["for all"]
        assert about.values == ["ada"]
        closed = await node.ask(Request("GET", "/v1/events?scope=company"), stranger)
        assert (closed.status, b"scope company" in closed.body) == (403, True)
        assert (await node.ask(Request("GET", "/v1/events?scope=all"), WRITER)).status == 400
        assert (await node.ask(Request("GET", "/v1/events"), caller("write"))).status == 403


async def test_a_retraction_and_a_contradiction_are_told_as_what_they_are() -> None:
    async with node_with_tasks() as (node, nursery):
        reader = await follow(node, nursery)
        await write(node, "up")
        await write(node, "down", source="agent:other")
        await write(node, "retracted", confidence=0.0)
        told = [msgspec.json.decode(event.data or "") for event in reader.events]
        assert [fact["confidence"] for fact in told] == [1.0, 1.0, 0.0]
        assert told[1]["contradicted"]


async def test_ids_that_a_reader_is_given_do_not_show_that_something_hidden_was_stored() -> None:
    stranger = caller("read", scopes=("public",), entity="agent:stranger")
    async with node_with_tasks() as (node, nursery):
        reader = await follow(node, nursery, by=stranger)
        seen = [reader.cursor]
        for hidden in (False, True, False, True):
            if hidden:
                await write(node, "for the company", scope="company")
            await node.clock.advance(limits.EVENT_HEARTBEAT_NS / 1e9)
            seen.append(reader.cursor)
        assert reader.events == []
        assert len(set(seen)) == len(seen)  # each is another, whatever was stored
        assert len({len(cursor) for cursor in seen}) == 1  # nor does its length tell how much there is


async def test_a_heartbeat_comes_in_time_and_carries_the_place_that_was_reached() -> None:
    async with node_with_tasks() as (node, nursery):
        reader = await follow(node, nursery, "?entity=user:nobody")
        first = reader.cursor
        await write(node, *[f"text {number}" for number in range(20)])
        assert reader.pieces == 1
        await node.clock.advance(limits.EVENT_HEARTBEAT_NS / 1e9)
        assert (reader.pieces, reader.events) == (2, [])
        assert reader.cursor != first
        assert (await follow(node, nursery, "?wait=false", last=reader.cursor)).values == []
        assert len((await follow(node, nursery, "?wait=false", last=first)).values) == 20


async def test_a_reader_that_does_not_read_holds_up_nobody() -> None:
    async with node_with_tasks() as (node, nursery):
        slow = await follow(node, nursery)
        slow.is_held_up = trio.Event()
        quick = await follow(node, nursery)
        texts = [f"{number} {'x' * 2_000}" for number in range(200)]
        await write(node, *texts)
        assert quick.values == texts
        assert slow.pieces <= 2
        slow.is_held_up.set()
        await node.clock.settle()
        assert slow.values == texts


async def test_a_stream_ends_when_its_key_is_gone() -> None:
    secret = "a secret for the tests, and long enough"
    key = {"raw_key": secret, "entity_uri": "agent:reader", "permissions": ["read"]}
    bearer = {"authorization": f"Bearer {secret}"}
    async with node_with_tasks() as (node, nursery):
        made = read(await node.ask(Request("POST", "/v1/auth/keys", {}, msgspec.json.encode(key)), ADMIN), 201)
        reader = Reader(node, await node.ask(Request("GET", "/v1/events", bearer)))
        nursery.start_soon(reader.run)
        await write(node, "seen")
        gone = await node.ask(Request("DELETE", f"/v1/auth/keys/{made['id']}"), ADMIN)
        assert gone.status in (200, 204)
        await write(node, "not seen")
        assert (reader.values, reader.has_ended) == (["seen"], True)


async def test_a_stream_ends_when_its_key_was_made_anew_for_other_scopes() -> None:
    secret = "a secret for the tests, and long enough"
    key = {"raw_key": secret, "entity_uri": "agent:reader", "permissions": ["read"]}
    narrower = key | {"allowed_scopes": ["company"]}
    async with node_with_tasks() as (node, nursery):
        made = read(await node.ask(Request("POST", "/v1/auth/keys", {}, msgspec.json.encode(key)), ADMIN), 201)
        reader = Reader(node, await node.ask(Request("GET", "/v1/events", {"authorization": f"Bearer {secret}"})))
        nursery.start_soon(reader.run)
        await write(node, "seen")
        assert (await node.ask(Request("DELETE", f"/v1/auth/keys/{made['id']}"), ADMIN)).status == 204
        read(await node.ask(Request("POST", "/v1/auth/keys", {}, msgspec.json.encode(narrower)), ADMIN), 201)
        await write(node, "not seen")
        assert (reader.values, reader.has_ended) == (["seen"], True)


async def test_a_stream_ends_whose_key_goes_in_the_batch_in_which_it_was_asked_for() -> None:
    secret = "a secret for the tests, and long enough"
    key = {"raw_key": secret, "entity_uri": "agent:reader", "permissions": ["read"]}
    async with node_with_tasks() as (node, nursery):
        made = read(await node.ask(Request("POST", "/v1/auth/keys", {}, msgspec.json.encode(key)), ADMIN), 201)
        found: list[Response] = []
        node.node.offer(Request("GET", "/v1/events", {"authorization": f"Bearer {secret}"}), found.append)
        node.node.offer(Request("DELETE", f"/v1/auth/keys/{made['id']}"), found.append, ADMIN)
        await node.clock.settle()
        assert [response.status for response in found] == [200, 204]
        reader = Reader(node, found[0])
        nursery.start_soon(reader.run)
        await write(node, "not seen")
        assert (reader.values, reader.has_ended) == ([], True)


async def test_a_node_that_stops_tells_what_is_stored_and_ends_every_stream() -> None:
    async with node_with_tasks() as (node, nursery):
        readers = [await follow(node, nursery) for _ in range(3)]
        await write(node, "last")
        node.node.release_long_polls()
        await node.clock.settle()
        assert [reader.values for reader in readers] == [["last"]] * 3
        assert all(reader.has_ended for reader in readers)
        assert len(node.node.streams) == 0


async def test_so_many_streams_and_no_more() -> None:
    async with node_with_tasks() as (node, nursery):
        for _ in range(limits.EVENT_STREAMS_PER_CALLER_MAX):
            await follow(node, nursery)
        refused = await node.ask(Request("GET", "/v1/events"), WRITER)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert isinstance(await node.ask(Request("GET", "/v1/events"), ADMIN), StreamedResponse)


@pytest.mark.parametrize("cursor", ["nonsense", "s:17", ""])
async def test_a_cursor_that_is_none_of_ours_is_refused(cursor: str) -> None:
    async with node_with_tasks() as (node, _):
        await write(node, "one", "two")
        other = read(await node.ask(Request("GET", "/v1/facts?limit=1&include_contradicted=true"), WRITER))["cursor"]
        refused = await node.ask(Request("GET", f"/v1/events?cursor={quote(cursor or other)}"), WRITER)
        assert (refused.status, b"invalid_cursor" in refused.body) == (400, True)


async def test_a_place_of_a_past_that_the_node_has_lost_is_refused() -> None:
    async with node_with_tasks() as (node, nursery):
        await write(node, "one", "two")
        cursor = (await follow(node, nursery)).cursor
    async with node_with_tasks() as (node, _):
        refused = await node.ask(Request("GET", "/v1/events", {"last-event-id": cursor}), WRITER)
        assert (refused.status, b"has lost since" in refused.body) == (400, True)


async def test_a_session_that_followed_a_scope_has_read_it() -> None:
    session = {"stigmem-session": "s-1"}
    async with node_with_tasks() as (node, nursery):
        reader = Reader(node, await node.ask(Request("GET", "/v1/events", session), WRITER))
        nursery.start_soon(reader.run)
        body = msgspec.json.encode(saying("an echo"))
        assert (await node.ask(Request("POST", "/v1/facts", session, body), WRITER)).status == 201
        await write(node, "news")
        body = msgspec.json.encode(saying("another echo"))
        assert (await node.ask(Request("POST", "/v1/facts", session, body), WRITER)).status == 403


async def test_a_garden_is_followed_by_its_members_and_a_stream_ends_with_the_membership() -> None:
    uri = "stigmem://127.0.0.1:8765/garden/crew"
    async with node_with_tasks() as (node, nursery):

        async def admin(method: str, target: str, body: Any) -> Response:
            return await node.ask(Request(method, target, {}, msgspec.json.encode(body)), ADMIN)

        read(await admin("POST", "/v1/gardens", {"slug": "crew", "name": "Crew", "scope": "public"}), 201)
        target = f"/v1/events?garden_id={uri}"
        assert (await node.ask(Request("GET", target), WRITER)).status == 403
        assert (await node.ask(Request("GET", target + "x"), WRITER)).status == 404
        member = {"entity_uri": WRITER.entity_uri, "role": "reader"}
        read(await admin("POST", "/v1/gardens/crew/members", member), 201)
        inside, outside = await follow(node, nursery, f"?garden_id={uri}"), await follow(node, nursery)
        await write(node, "in", garden_id=uri)
        await write(node, "out")
        assert (inside.values, outside.values) == (["in"], ["out"])
        assert msgspec.json.decode(inside.events[0].data or "")["garden_id"] == uri
        for wrong in (f"?cursor={quote(inside.cursor)}", f"?garden_id={uri}&cursor={quote(outside.cursor)}"):
            assert (await node.ask(Request("GET", f"/v1/events{wrong}"), WRITER)).status == 400
        again = await follow(node, nursery, f"?garden_id={uri}&replay=true&wait=false")
        assert (again.values, again.has_ended) == (["in"], True)
        await admin("DELETE", f"/v1/gardens/crew/members/{WRITER.entity_uri}", None)
        await write(node, "secret", garden_id=uri)
        assert inside.has_ended
        assert (inside.values, outside.has_ended) == (["in"], False)
