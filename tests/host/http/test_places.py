"""Which connections may stay, and that there is always a place for a health check."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from stigmem.core.wire import BodyBound
from stigmem.host.control import listen_at
from stigmem.host.http import Server, limits
from stigmem.host.http.refusals import refusal
from tests.host.http.serving import CLOSING, GET, Echo, answer, heard, serving, statuses

SLOW_BODY = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
ENDED = (b"", b"<reset>")


async def test_the_longest_idle_connection_makes_room_for_a_new_one(autojump_clock: MockClock) -> None:
    async with serving(connections_max=3) as served:
        first, second, third = [await served.dial() for _ in range(3)]
        await trio.sleep(1)
        await first.send_all(GET)
        await answer(first)
        fourth = await served.dial()
        await fourth.send_all(GET)
        assert (await answer(fourth)).startswith(b"HTTP/1.1 200")
        assert await heard(second) in ENDED  # the oldest that asked for nothing since
        await first.send_all(GET)
        assert (await answer(first)).startswith(b"HTTP/1.1 200")
        assert served.server.turned_away == 1
        await third.aclose()


async def test_ten_thousand_idle_connections_leave_room_for_work(autojump_clock: MockClock) -> None:
    async with serving(connections_max=20) as served:
        crowd = []
        for _ in range(300):  # what matters is far more than the bound
            crowd.append(await served.dial())
            await wait_all_tasks_blocked()
        assert len(served.server) <= 21
        assert (await served.say(CLOSING)).startswith(b"HTTP/1.1 200")
        for stream in crowd:
            await trio.aclose_forcefully(stream)


async def test_slow_bodies_without_number_keep_nobody_out(autojump_clock: MockClock) -> None:
    async with serving(connections_max=10) as served:
        slow = [await served.dial() for _ in range(10)]
        for stream in slow:
            await stream.send_all(SLOW_BODY + b"x")
        await wait_all_tasks_blocked(0.01)
        assert statuses(await served.say(HEALTH)) == [200]  # while nobody is slow yet
        await trio.sleep(limits.SLOW_AFTER_S)
        assert statuses(await served.say(CLOSING)) == [200]
        for stream in slow:
            await trio.aclose_forcefully(stream)


async def test_of_those_that_keep_us_waiting_the_slowest_goes_first(autojump_clock: MockClock) -> None:
    async with serving(connections_max=3) as served:
        quick, slow, head = [await served.dial() for _ in range(3)]
        await quick.send_all(SLOW_BODY + bytes(50_000))
        await slow.send_all(SLOW_BODY)
        await head.send_all(b"GET /x HTTP/1.1\r\nhost: a\r\n")
        await trio.sleep(2)
        await slow.send_all(b"x")
        await wait_all_tasks_blocked(0.01)
        assert statuses(await served.say(CLOSING)) == [200]
        assert await heard(slow) in ENDED
        assert statuses(await served.say(CLOSING)) == [200]
        await quick.send_all(bytes(50_000))
        assert (await answer(quick)).startswith(b"HTTP/1.1 200")
        await head.aclose()


async def test_where_every_connection_is_owed_an_answer_only_health_checks_are_answered(
    autojump_clock: MockClock,
) -> None:
    async with serving(connections_max=2) as served:
        served.app.gate = trio.Event()
        busy = [await served.dial() for _ in range(2)]
        for stream in busy:
            await stream.send_all(GET)
        await wait_all_tasks_blocked(0.01)
        found = await served.say(GET)
        assert (statuses(found), b"no_place" in found, b"retry-after: 1" in found) == ([503], True, True)
        found = await served.say(HEALTH)
        assert (statuses(found), b"connection: close" in found) == ([200], True)
        served.app.gate.set()
        for stream in busy:
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")


async def test_the_places_for_health_checks_are_few_and_soon_free_again(autojump_clock: MockClock) -> None:
    async with serving(connections_max=1) as served:
        served.app.gate = trio.Event()
        busy = await served.dial()
        await busy.send_all(GET)
        await wait_all_tasks_blocked(0.01)
        silent = [await served.dial() for _ in range(limits.HEALTH_PLACES)]
        await wait_all_tasks_blocked(0.01)
        assert await served.say(HEALTH) in ENDED
        await trio.sleep(limits.HEALTH_S + 2 * limits.LOOK_S)
        assert statuses(await served.say(HEALTH)) == [200]
        for stream in (busy, *silent):
            await trio.aclose_forcefully(stream)


async def test_above_the_bound_of_all_bodies_the_slowest_gives_way(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODIES_BYTES_MAX", 1_000_000)
    async with serving() as served:
        served.app.bound = BodyBound(2_000_000, refusal(413, "body_too_large", "too much"))
        slow, quick = await served.dial(), await served.dial()
        head = SLOW_BODY.replace(b"100000", b"900000")
        await slow.send_all(head + bytes(300_000))
        await trio.sleep(2)
        await quick.send_all(head + bytes(800_000))
        found = await heard(slow)
        assert (statuses(found), b"no_room" in found) == ([503], True)
        await quick.send_all(bytes(100_000))
        assert (await answer(quick)).startswith(b"HTTP/1.1 200")
        assert served.refused == {"body_gave_way": 1}
        await quick.aclose()
        await wait_all_tasks_blocked(0.01)
        assert served.server._bodies_bytes == 0


async def test_the_control_socket_has_places_of_its_own(tmp_path: Path, autojump_clock: MockClock) -> None:
    operator, everybody = Echo(), Echo()
    everybody.gate = trio.Event()
    bugs: list[Exception] = []
    server = Server("127.0.0.1", 0, tls=lambda: None, connections_max=1, on_bug=bugs.append)
    async with trio.open_nursery() as nursery:
        port = await server.listen()
        nursery.start_soon(server.run, everybody, (await listen_at(tmp_path), operator))
        busy = await trio.open_tcp_stream("127.0.0.1", port)
        await busy.send_all(GET)
        await wait_all_tasks_blocked(0.01)
        async with await trio.open_unix_socket(str(tmp_path / "control.sock")) as console:
            await console.send_all(GET)
            assert statuses(await answer(console)) == [200]
        assert (len(server), server.turned_away, len(operator.requests)) == (1, 0, 1)
        await busy.aclose()
        nursery.cancel_scope.cancel()
    assert bugs == []


async def test_a_client_that_pours_on_after_its_last_answer_is_heard_out_for_a_while_only(
    autojump_clock: MockClock,
) -> None:
    async with serving() as served, await served.dial() as stream:
        await stream.send_all(SLOW_BODY.replace(b"100000", b"99999999"))
        assert statuses(await heard(stream)) == [413]

        async def pour() -> int:
            sent = 0
            with suppress(trio.BrokenResourceError):
                while sent < 10 * limits.LINGER_BYTES_MAX:
                    await stream.send_all(bytes(100_000))
                    sent += 100_000
            return sent

        assert await pour() < 10 * limits.LINGER_BYTES_MAX


async def test_a_control_socket_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    (await listen_at(tmp_path)).socket.close()
    left = tmp_path / "control.sock"
    assert left.exists()
    again = await listen_at(tmp_path)
    async with await trio.open_unix_socket(str(left)):
        await again.accept()
    await again.aclose()
