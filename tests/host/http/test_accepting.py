"""New connections where something is in the way: no descriptor is left, or the system refuses for other reasons."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from stigmem.host.http.accepting import Acceptor, Reserve


class Listener:
    """A listener that fails so and so before each connection."""

    def __init__(self, *outcomes: int | None) -> None:
        self.outcomes = list(outcomes)
        self.others: list[socket.socket] = []

    async def accept(self) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        if not self.outcomes:
            await trio.sleep_forever()
        number = self.outcomes.pop(0)
        if number is not None:
            raise OSError(number, "no")
        ours, other = socket.socketpair()
        self.others.append(other)
        return trio.SocketStream(trio.socket.from_stdlib_socket(ours))


@pytest.fixture
def reserve() -> Iterator[Reserve]:
    found = Reserve()
    yield found
    found.close()


async def accepted(listener: Listener, reserve: Reserve, room: list[bool]) -> list[bool]:
    """Whether each connection is for health checks only; `room`: whether one could be closed, from time to time."""
    found: list[bool] = []

    def take(raw: socket.socket, is_for_health: bool) -> None:
        assert raw.getblocking() is False
        raw.close()
        found.append(is_for_health)

    async with trio.open_nursery() as nursery:
        acceptor: Any = Acceptor(listener, accepted=take, make_room=lambda: room.pop(0), reserve=reserve)  # type: ignore[arg-type]
        nursery.start_soon(acceptor.run)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    for other in listener.others:
        other.close()
    return found


async def test_where_no_file_is_left_a_connection_that_can_go_makes_room(
    autojump_clock: MockClock, reserve: Reserve
) -> None:
    assert await accepted(Listener(errno.EMFILE, None, None), reserve, [True]) == [False, False]


async def test_where_none_can_go_the_reserve_is_used_for_one_health_check(
    autojump_clock: MockClock, reserve: Reserve
) -> None:
    assert await accepted(Listener(errno.ENFILE, None, None), reserve, [False]) == [True, False]


async def test_where_the_reserve_is_used_up_it_is_tried_again_later(
    autojump_clock: MockClock, reserve: Reserve
) -> None:
    while reserve.let_go():
        pass
    listener = Listener(errno.EMFILE, errno.EMFILE, None)
    assert await accepted(listener, reserve, [False, False]) == [False]


@pytest.mark.parametrize("number", [errno.ENETDOWN, errno.EIO, errno.EHOSTUNREACH])
async def test_no_error_of_the_system_ends_accepting(autojump_clock: MockClock, reserve: Reserve, number: int) -> None:
    assert await accepted(Listener(number, number, None), reserve, []) == [False]


def test_a_reserve_that_was_used_is_filled_again(reserve: Reserve) -> None:
    count = 0
    while reserve.let_go():
        count += 1
    assert count > 1
    reserve.refill()
    assert reserve.let_go()
