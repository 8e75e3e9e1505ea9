"""While one page is checked and stored the next one is on its way; whatever happens to the first, nothing is lost, read
twice for nothing, or stored out of order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from stigmem import NodeSettings, Request, Response
from stigmem.core import limits
from stigmem.core.keys import fingerprint
from stigmem.node.ports import Unreachable
from stigmem.node.replication import puller
from stigmem.testing import OPERATOR, ManualClock, MemoryJournal, RunningNode, ScriptedTransport, running_node

URLS = {name: f"http://{name}.example" for name in ("north", "south")}
FACTS = "/v1/federation/facts"
PAGE = 10


class Wire(ScriptedTransport):
    """South's wire: notes each of its pulls with how many facts it held then, and may change an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.reader: RunningNode | None = None
        self.pulls: list[tuple[str | None, int]] = []
        """(cursor, facts held) of each pull."""
        self.changes: dict[int, Callable[[Response], Response]] = {}
        """Number of a pull, counted from 1 -> what is made of its answer, which may raise."""

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        if not request.target.startswith(FACTS + "?") or self.reader is None:
            return await super().request(url, request, timeout_ns, body_max)
        query = parse_qs(urlsplit(request.target).query)
        self.pulls.append((query.get("cursor", [None])[0], held(self.reader)))
        number = len(self.pulls)
        answer = await super().request(url, request, timeout_ns, body_max)
        return self.changes[number](answer) if number in self.changes else answer


class Pair:
    """North, which has something to tell, and south, which has not asked yet. `approve` has south ask."""

    def __init__(self, clock: ManualClock, north: RunningNode, south: RunningNode, wire: Wire) -> None:
        self.clock, self.north, self.south, self.wire = clock, north, south, wire

    async def say(self, count: int) -> None:
        for number in range(count):
            fact = {"entity": f"device:{number}", "relation": "maint:status", "source": "agent:me", "scope": "public",
                    "value": {"type": "string", "v": "running"}}  # fmt: skip
            answer = await self.north.ask(Request("POST", "/v1/facts", {}, json.dumps(fact).encode()), OPERATOR)
            assert answer.status == 201

    async def approve(self, who: RunningNode, by: RunningNode) -> None:
        row = by.node.state.peer_of(who.node.node_id)
        assert row is not None
        body = json.dumps({"pubkey_fingerprint": fingerprint(row.public_key)}).encode()
        answer = await by.ask(Request("POST", f"/v1/federation/peers/{row.peer_id}/approve", {}, body), OPERATOR)
        assert answer.status == 200, answer.body

    async def link(self, dialect: str = "") -> None:
        """South reads north from now on, all that it can without time passing. `dialect`: what it takes north for."""
        for who, at in ((self.south, self.north), (self.north, self.south)):
            who.node.context.clock.spawn("register", partial_register(who, at))
            await self.clock.settle()
        await self.approve(self.south, by=self.north)
        row = self.south.node.state.peer_of(self.north.node.node_id)
        assert row is not None
        self.south.node.state.peers[row.peer_id] = msgspec.structs.replace(row, dialect=dialect or row.dialect)
        self.wire.reader = self.south
        await self.approve(self.north, by=self.south)


def partial_register(who: RunningNode, at: RunningNode) -> Callable[[], Any]:
    async def register() -> None:
        assert (await who.node.handshakes.register_at(at.node.settings.node_url)).status == 201

    return register


def held(node: RunningNode) -> int:
    return len(node.node.state.ledger.log)


def settings(name: str, **changes: Any) -> NodeSettings:
    return NodeSettings(
        seed=name.encode().ljust(32, b"."), node_url=URLS[name], federation=True, auth_required=False, pull_limit=PAGE,
        pull_interval_s=30.0, **changes,
    )  # fmt: skip


@asynccontextmanager
async def pair(journal: MemoryJournal | None = None, **changes: Any) -> AsyncIterator[Pair]:
    clock, wire, back = ManualClock(), Wire(), ScriptedTransport()
    async with AsyncExitStack() as stack:
        north = await stack.enter_async_context(running_node(settings("north"), clock=clock, transport=back))
        south = await stack.enter_async_context(
            running_node(settings("south", **changes), clock=clock, transport=wire, journal=journal, seed=2)
        )
        for transport in (wire, back):
            transport.nodes |= {URLS["north"]: north, URLS["south"]: south}
        yield Pair(clock, north, south, wire)


@pytest.mark.parametrize("wait_s", [0.0, 20.0])
async def test_each_page_is_asked_for_while_the_one_before_it_is_not_stored_yet_and_no_other_is(wait_s: float) -> None:
    async with pair(pull_wait_s=wait_s) as nodes:
        await nodes.say(45)
        await nodes.link()
        assert held(nodes.south) == 45
        # The first and the second question are sent with nothing stored, the third with one page, and so on; the page
        # with the rest says that there is no more. Who may wait for news then does.
        assert [count for _, count in nodes.wire.pulls] == [0, 0, 10, 20, 30, *([45] if wait_s else [])]
        cursors = [cursor for cursor, _ in nodes.wire.pulls]
        assert len(set(cursors)) == len(cursors), "no page was asked for twice"


async def test_a_page_that_comes_again_is_stored_before_the_one_that_was_asked_for_meanwhile() -> None:
    def spoil(answer: Response) -> Response:
        return Response(answer.status, answer.headers, answer.body.replace(b'"running"', b'"spoiled"', 1))

    async with pair() as nodes:
        await nodes.say(25)
        nodes.wire.changes[1] = spoil
        await nodes.link()
        assert held(nodes.south) == 25
        asked = [cursor for cursor, _ in nodes.wire.pulls]
        assert asked[:4] == [None, asked[1], None, asked[1]], "the page after the spoiled one was asked for, and again"
        entities = [fact.entity for fact in nodes.south.node.state.ledger.log]
        assert entities[9:] == ["device:0", *(f"device:{number}" for number in range(10, 25))]


async def test_a_cursor_that_is_set_back_meanwhile_is_where_reading_goes_on() -> None:
    async with pair() as nodes:
        await nodes.say(35)

        def widen(answer: Response) -> Response:
            # The operator asks for the peer to be read anew while the third page is on its way.
            (row,) = nodes.south.node.state.cursors.values()
            nodes.south.node.state.cursors[row.peer_id] = msgspec.structs.replace(row, cursor=None)
            return answer

        nodes.wire.changes[3] = widen
        await nodes.link()
        assert held(nodes.south) == 35
        asked = [cursor for cursor, _ in nodes.wire.pulls]
        assert asked.count(None) == 2, "it was read from the beginning once more"
        assert asked[-3:] == asked[1:4], "and to its end"


async def test_a_peer_that_was_revoked_is_asked_nothing_more_and_what_it_still_sends_is_not_taken() -> None:
    async with pair() as nodes:
        await nodes.say(35)
        asked: list[str] = []

        def revoke(answer: Response) -> Response:
            row = nodes.south.node.state.peer_of(nodes.north.node.node_id)
            assert row is not None
            asked.append(f"/v1/federation/peers/{row.peer_id}/revoke")
            nodes.south.begin(Request("POST", asked[0]), OPERATOR)
            return answer

        nodes.wire.changes[2] = revoke
        await nodes.link()
        stopped_at, pulls = held(nodes.south), len(nodes.wire.pulls)
        assert asked
        assert stopped_at < 35
        await nodes.clock.advance(600)
        assert (held(nodes.south), len(nodes.wire.pulls)) == (stopped_at, pulls)


async def test_a_peer_that_falls_silent_loses_its_next_page_and_not_the_one_that_came() -> None:
    def silence(_: Response) -> Response:
        raise Unreachable("timeout", "no answer")

    async with pair() as nodes:
        await nodes.say(35)
        nodes.wire.changes[3] = silence
        await nodes.link()
        assert held(nodes.south) == 20
        (told,) = json.loads((await nodes.south.ask(Request("GET", "/v1/federation/peers"), OPERATOR)).body)["peers"]
        assert "timeout" in json.dumps(told["exchange"])
        await nodes.clock.advance(60)
        assert held(nodes.south) == 35


async def test_a_crash_between_the_commits_of_two_pages_loses_no_fact() -> None:
    journal = MemoryJournal()
    async with pair(journal) as nodes:
        await nodes.say(35)

        def cut(answer: Response) -> Response:
            journal.hangs_after_commit = True
            return answer

        nodes.wire.changes[3] = cut
        await nodes.link()
        assert held(nodes.south) < 35
        journal.hangs_after_commit = False
        transport = nodes.wire
        transport.reader = None
        async with running_node(
            settings("south"), clock=nodes.clock, transport=transport, journal=journal, seed=3
        ) as again:
            transport.nodes[URLS["south"]] = again
            begun = held(again)
            assert begun < 35
            assert begun % PAGE == 0
            await nodes.clock.advance(90)
            assert held(again) == 35


async def test_a_drain_asks_for_no_page_that_it_may_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PULL_PAGES_PER_DRAIN_MAX", 2)
    async with pair() as nodes:
        await nodes.say(45)
        await nodes.link()
        assert (held(nodes.south), len(nodes.wire.pulls)) == (20, 2)
        await nodes.clock.advance(90)
        assert held(nodes.south) == 45


@pytest.mark.parametrize("wait_s", [0.0, 20.0])
async def test_a_peer_that_gives_full_and_empty_pages_by_turns_is_left_alone_after_the_second_empty_one(
    wait_s: float,
) -> None:
    def emptied(answer: Response) -> Response:
        return Response(answer.status, answer.headers, json.dumps(json.loads(answer.body) | {"facts": []}).encode())

    async with pair(pull_wait_s=wait_s) as nodes:
        await nodes.say(300)
        nodes.wire.changes |= dict.fromkeys(range(2, 60, 2), emptied)
        await nodes.link()
        # The second was asked ahead, was empty and was dropped; the fourth was not asked ahead, and ends the drain.
        assert [count for _, count in nodes.wire.pulls] == [0, 0, 10, 20]
        nodes.wire.changes.clear()
        await nodes.clock.advance(60)
        assert held(nodes.south) == 290, "all but the page that it withheld"
        after = [count for _, count in nodes.wire.pulls[4:]]
        assert after[:3] == [20, 20, 30], "the next drain asks ahead again"


async def test_after_a_page_of_great_length_the_next_one_is_not_held_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(puller, "_AHEAD_BYTES_MAX", 1_000)
    async with pair() as nodes:
        await nodes.say(25)
        await nodes.link()
        assert [count for _, count in nodes.wire.pulls] == [0, 10, 20]


async def test_a_foreign_peer_is_asked_one_question_at_a_time() -> None:
    async with pair() as nodes:
        await nodes.say(25)
        await nodes.link("2.1")
        assert [count for _, count in nodes.wire.pulls] == [0, 10, 20]
