"""Facts are followed over the simulated wire as over HTTP: none is skipped, whatever happens to packets and power."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import msgspec

from sim.simulation.simulation import Simulation
from stigmem.core.event_stream import EventReader
from stigmem.core.wire import Request, StreamedResponse
from stigmem.node.ports import Unreachable
from tests.sim.small_runs import PROBES, S, at, bare
from tests.sim.switches import off, on

LOSSY = "[network]\nloss = 0.05\nduplicate = 0.2"


class Follower:
    """A task on machine `a` that follows `b`, and comes back with the last id whenever the stream breaks off."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.ids: list[str] = []
        self.cursor = ""
        self.connections = 0

    def begin(self) -> None:
        self.simulation.machines["a"].spawn("follower", self.run)

    async def run(self) -> None:
        node = self.simulation.machines["a"].node
        assert node is not None
        while True:
            try:
                await self._follow(node.context.transport)
            except Unreachable:
                await node.context.clock.sleep(S)

    async def _follow(self, transport: Any) -> None:
        headers = {"last-event-id": self.cursor} if self.cursor else {}
        request = Request("GET", "/v1/events?replay=true", headers)
        response = await transport.request(self.simulation.machines["b"].url, request, 10 * S, 1_000)
        assert isinstance(response, StreamedResponse), response
        self.connections += 1
        reader = EventReader()
        async with aclosing(response.chunks) as pieces:
            async for piece in pieces:
                for event in reader.feed(piece):
                    if event.data is not None:
                        self.ids.append(msgspec.json.decode(event.data)["id"])
                    self.cursor = event.id or self.cursor


def stored_at_b(simulation: Simulation) -> list[str]:
    node = simulation.machines["b"].node
    assert node is not None
    return [fact.id for fact in node.state.ledger.log if not fact.is_system]


def test_every_fact_is_told_once_and_in_order_where_packets_are_lost() -> None:
    simulation = bare(PROBES, LOSSY)
    follower = Follower(simulation)
    at(simulation, 10, follower.begin)
    simulation.run()
    assert len(follower.ids) > 5
    assert follower.ids == stored_at_b(simulation)[: len(follower.ids)]


def test_a_follower_misses_nothing_over_a_power_cut_of_the_node() -> None:
    simulation = bare(PROBES, duration="4m")
    follower = Follower(simulation)
    at(simulation, 10, follower.begin)
    at(simulation, 60, lambda: off(simulation, "b"))
    at(simulation, 90, lambda: on(simulation, "b"))
    simulation.run()
    assert follower.connections >= 2
    assert len(follower.ids) > 5
    assert follower.ids == stored_at_b(simulation), "also what was written after the power came back"
