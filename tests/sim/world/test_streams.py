"""Answers that come piece by piece cross the simulated wire: in order, whole, no faster than they are read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from sim.simulation.simulation import Simulation
from sim.world.machine import Machine
from sim.world.streams import PATIENCE_NS, TRIES
from stigmem.core.wire import Request, Response, StreamedResponse
from stigmem.node.ports import Unreachable
from tests.sim.small_runs import PROBES, S, at, make_simulation
from tests.sim.switches import off

LOSSY = "[network]\nloss = 0.05\nduplicate = 0.2"
ASK = Request("GET", "/events")


class Stream:
    """A machine answers with pieces, and another one reads them."""

    def __init__(self, simulation: Simulation, count: int = 5, *, error: Exception | None = None) -> None:
        self.simulation = simulation
        self.count, self.error = count, error
        self.made: list[int] = []
        self.read: list[bytes] = []
        self.closed = False
        self.ended = ""
        self.most = count + 1
        self.pause_ns = 0
        self.silence_ns = 0

    @property
    def maker(self) -> Machine:
        return self.simulation.machines["b"]

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        assert self.maker.node is not None
        clock = self.maker.node.context.clock
        try:
            for number in range(1, self.count + 1):
                await clock.sleep(self.silence_ns)
                self.made.append(number)
                yield b"piece %d" % number
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True

    def begin(self) -> None:
        """The maker's node answers so from now on, and the reader asks."""
        node, reader = self.maker.node, self.simulation.machines["a"]
        assert node is not None

        as_before = node.offer

        def offer(request: Request, answer: Any, principal: Any = None) -> None:
            if request.target == ASK.target:
                answer(StreamedResponse(200, {"content-type": "text/event-stream"}, chunks=self.chunks()))
            else:
                as_before(request, answer, principal)

        node.offer = offer  # type: ignore[method-assign]
        reader.spawn("reader", self.listen)

    async def listen(self) -> None:
        node = self.simulation.machines["a"].node
        assert node is not None
        response: Response = await node.context.transport.request(self.maker.url, ASK, 10 * S, 1_000)
        assert isinstance(response, StreamedResponse)
        assert response.headers == {"content-type": "text/event-stream"}
        try:
            async with aclosing(response.chunks) as pieces:
                async for piece in pieces:
                    self.read.append(piece)
                    if len(self.read) == self.most:
                        self.ended = "enough"
                        return
                    await node.context.clock.sleep(self.pause_ns)
            self.ended = "end"
        except Unreachable as error:
            self.ended = error.code


def streamed(*parts: str, count: int = 5, error: Exception | None = None, **changes: Any) -> Stream:
    """A stream that begins at the tenth second of a run."""
    stream = Stream(make_simulation(PROBES, *parts, **changes), count, error=error)
    at(stream.simulation, 10, stream.begin)
    return stream


def test_every_piece_arrives_once_and_in_order() -> None:
    stream = streamed()
    stream.simulation.run()
    assert stream.read == [b"piece %d" % number for number in range(1, 6)]
    assert (stream.ended, stream.closed) == ("end", True)


def test_nothing_is_lost_or_doubled_where_packets_are() -> None:
    stream = streamed(LOSSY, count=40, duration="15m")
    stream.simulation.run()
    assert stream.read == [b"piece %d" % number for number in range(1, 41)]
    assert (stream.made, stream.ended) == (list(range(1, 41)), "end")


def test_a_piece_is_made_when_the_reader_wants_it() -> None:
    stream = streamed(count=1_000)
    stream.pause_ns = 10 * S
    seen = at(stream.simulation, 55, lambda: (len(stream.made), len(stream.read)))
    stream.simulation.run()
    made, read = seen[0]
    assert 3 <= read <= made <= read + 1 <= 7


def test_a_reader_that_has_had_enough_ends_the_stream_where_it_is_made() -> None:
    stream = streamed(count=1_000)
    stream.most = 3
    stream.simulation.run()
    assert (len(stream.read), stream.ended, stream.closed, len(stream.made)) == (3, "enough", True, 3)


def test_a_quiet_stream_is_waited_for() -> None:
    stream = streamed(count=2, duration="3m")
    stream.silence_ns = (TRIES + 1) * PATIENCE_NS
    stream.simulation.run()
    assert (len(stream.read), stream.ended) == (2, "end")


def test_a_stream_that_fails_is_a_bug_of_its_maker() -> None:
    stream = streamed(count=2, error=ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        stream.simulation.run()
    assert (len(stream.read), stream.closed) == (2, True)


def test_a_machine_that_loses_power_ends_its_streams_for_the_reader() -> None:
    stream = streamed(count=1_000, duration="3m")
    stream.pause_ns = S
    at(stream.simulation, 15, lambda: off(stream.simulation, "b"))
    stream.simulation.run()
    assert 3 <= len(stream.read) <= 6
    assert stream.ended == "timeout"


@pytest.mark.parametrize("response", [StreamedResponse(200, {"a": "b"}, chunks=None)])  # type: ignore[arg-type]
def test_a_streamed_response_is_a_response(response: Response) -> None:
    assert (response.status, response.headers, response.body) == (200, {"a": "b"}, b"")
