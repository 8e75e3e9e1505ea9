"""What one node has is seen at the other as soon as both operators have approved, and not a rest later."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from stigmem import NodeSettings, Request, Response
from stigmem.core.keys import fingerprint
from stigmem.testing import OPERATOR, ManualClock, RunningNode, ScriptedTransport, running_node
from tests.sim.small_runs import MS, S, scenario_text

PULL = "/v1/federation/facts"


class Two:
    """Two nodes with a clock in common that know nothing of each other yet."""

    def __init__(self, clock: ManualClock, nodes: tuple[RunningNode, RunningNode]) -> None:
        self.clock = clock
        self.north, self.south = nodes

    async def register(self, who: RunningNode, at: RunningNode) -> None:
        clock, answers = self.clock, []

        async def ask() -> None:
            answers.append(await who.node.handshakes.register_at(url_of(at)))

        who.node.context.clock.spawn("register", ask)
        await clock.settle()
        assert [answer.status for answer in answers] == [201]

    async def approve(self, who: RunningNode, by: RunningNode) -> None:
        row = by.node.state.peer_of(who.node.node_id)
        assert row is not None
        body = json.dumps({"pubkey_fingerprint": fingerprint(row.public_key)}).encode()
        answer = await by.ask(Request("POST", f"/v1/federation/peers/{row.peer_id}/approve", {}, body), OPERATOR)
        assert answer.status == 200, answer.body

    async def say(self, node: RunningNode, what: str) -> str:
        fact = {"entity": what, "relation": "maint:status", "source": "agent:me", "scope": "public",
                "value": {"type": "string", "v": "running"}}  # fmt: skip
        answer = await node.ask(Request("POST", "/v1/facts", {}, json.dumps(fact).encode()), OPERATOR)
        return str(json.loads(answer.body)["id"])


def url_of(node: RunningNode) -> str:
    return node.node.settings.node_url


def pulls(node: RunningNode) -> int:
    """How often a node has asked another for facts."""
    return sum(request.target.startswith(PULL + "?") for _, request in node.transport.asked)


@asynccontextmanager
async def two(**settings: Any) -> AsyncIterator[Two]:
    clock, transports = ManualClock(), (ScriptedTransport(), ScriptedTransport())
    made = [
        NodeSettings(
            seed=bytes([number]) * 32,
            node_url=f"http://{name}.example",
            federation=True,
            auth_required=False,
            **settings,
        )
        for number, name in enumerate(("north", "south"), 1)
    ]
    async with running_node(made[0], clock=clock, transport=transports[0]) as north:
        async with running_node(made[1], clock=clock, transport=transports[1], seed=2) as south:
            for transport in transports:
                transport.nodes |= {url_of(north): north, url_of(south): south}
            yield Two(clock, (north, south))


def exchange(node: RunningNode, peer: RunningNode, answer: Response) -> dict[str, Any]:
    """How a node says things stand with a peer."""
    rows = json.loads(answer.body)["peers"]
    found: dict[str, Any] = next(row for row in rows if row["node_id"] == peer.node.node_id)["exchange"]
    return found


@pytest.mark.parametrize("registered_first", [False, True])
@pytest.mark.parametrize("between_s", [0, 1, 59, 7_200])
async def test_the_first_fact_is_seen_within_two_round_trips_of_the_second_approval(
    between_s: int, registered_first: bool
) -> None:
    async with two(pull_interval_s=300.0) as nodes:
        north, south = nodes.north, nodes.south
        here, there = await nodes.say(north, "device:one"), await nodes.say(south, "device:two")
        await nodes.register(south, at=north)
        if registered_first:
            await nodes.register(north, at=south)
        await nodes.approve(south, by=north)
        await nodes.clock.advance(between_s)
        if not registered_first:
            await nodes.register(north, at=south)
        before = pulls(north), pulls(south)
        await nodes.approve(north, by=south)
        # No time has passed since the second approval, and each side has asked at most twice.
        assert north.node.state.ledger.find(there)
        assert south.node.state.ledger.find(here)
        assert pulls(north) - before[0] <= 2
        assert pulls(south) - before[1] <= 2


@pytest.mark.parametrize("interval_s", [0.05, 5.0, 900.0])
async def test_waiting_for_the_other_operator_is_no_failure_and_never_longer_than_half_a_minute(
    interval_s: float,
) -> None:
    async with two(pull_interval_s=interval_s) as nodes:
        north, south = nodes.north, nodes.south
        await nodes.register(south, at=north)
        await nodes.register(north, at=south)
        await nodes.approve(south, by=north)
        asked = []
        for _ in range(600):
            asked.append(pulls(north))
            await nodes.clock.advance(1)
        gaps = [later for later, (a, b) in enumerate(pairwise(asked)) if a != b]
        assert max(b - a for a, b in pairwise(gaps)) <= 30
        assert pulls(north) <= 40, "a peer that waits for a person is not asked every second for ever"
        answer = await north.ask(Request("GET", "/v1/federation/peers"), OPERATOR)
        stands = exchange(north, south, answer)
        assert stands["awaits_approval"] is True
        assert stands["last_error"] is None
        assert stands["failures"] == {}
        assert stands["last_contact_at"] is not None
        assert not [row for row in north.journal.audit_rows if row.event == "page_refused"]
        await nodes.approve(north, by=south)
        answer = await north.ask(Request("GET", "/v1/federation/peers"), OPERATOR)
        assert exchange(north, south, answer)["awaits_approval"] is False


async def test_another_401_is_still_a_failure() -> None:
    async with two(pull_interval_s=5.0) as nodes:
        north, south = nodes.north, nodes.south
        refused = Response(401, {}, b'{"detail":"invalid_signature"}')
        north.transport.answers[url_of(south), PULL] = refused
        await nodes.register(south, at=north)
        await nodes.approve(south, by=north)
        answer = await north.ask(Request("GET", "/v1/federation/peers"), OPERATOR)
        stands = exchange(north, south, answer)
        assert stands["awaits_approval"] is False
        assert stands["last_error"]["code"] == "unexpected_status"


async def test_a_question_and_an_approval_that_cross_on_the_way_cost_no_rest() -> None:
    async with two(pull_interval_s=300.0) as nodes:
        north, south = nodes.north, nodes.south
        there = await nodes.say(south, "device:two")
        await nodes.register(south, at=north)
        await nodes.register(north, at=south)

        def crossing(_: Request) -> Response:
            # South refused, approved, and asked north, before its refusal arrives here.
            del north.transport.answers[url_of(south), PULL]
            row = north.node.state.peer_of(south.node.node_id)
            assert row is not None
            north.node.pullers.peer_seen(row.peer_id)
            return Response(401, {}, b'{"detail":"peer_not_approved"}')

        north.transport.answers[url_of(south), PULL] = crossing
        row = south.node.state.peer_of(north.node.node_id)
        assert row is not None
        await nodes.approve(north, by=south)
        south.transport.asked.clear()
        await nodes.approve(south, by=north)
        await nodes.clock.advance(0)
        assert north.node.state.ledger.find(there)


def test_over_a_slow_wire_the_first_fact_takes_two_round_trips_after_the_second_approval() -> None:
    way = '[network]\nlatency = { kind = "constant", value = "400ms" }\n'
    text = scenario_text(way, nodes=("a", "b"), duration="2m", pull_interval="40s")
    simulation = Simulation(make_plan(parse_scenario(text), Path()))
    seen: dict[str, int] = {}

    def look(_: Any = None) -> None:
        nodes = {name: machine.node for name, machine in simulation.machines.items()}
        now = simulation.world.now
        for name, node in nodes.items():
            other = nodes["b" if name == "a" else "a"]
            assert node is not None
            assert other is not None
            row = node.state.peer_of(other.node_id)
            if row is not None and row.status == "active" and name not in {each for each, _ in active}:
                active.append((name, now))
            if node.state.ledger.find(facts.get("b" if name == "a" else "a", "")):
                seen.setdefault(name, now)
        if now < 60 * S:
            simulation.world.after(10 * MS, look)

    active: list[tuple[str, int]] = []
    facts: dict[str, str] = {}

    def write(name: str) -> None:
        def took(response: Response) -> None:
            facts[name] = json.loads(response.body)["id"]

        fact = {"entity": f"device:{name}", "relation": "maint:status", "source": "agent:me", "scope": "public",
                "value": {"type": "string", "v": "running"}}  # fmt: skip
        simulation.machines[name].console(Request("POST", "/v1/facts", {}, json.dumps(fact).encode()), took)

    for name in ("a", "b"):
        simulation.world.at(10 * MS, lambda _, name=name: write(name))
    simulation.world.at(20 * MS, look)
    simulation.run()
    assert {name for name, _ in active} == {"a", "b"}
    second = max(at for _, at in active)
    round_trip = 800 * MS
    assert set(seen) == {"a", "b"}, (seen, active, facts)
    assert max(seen.values()) - second <= 2 * round_trip + 200 * MS
