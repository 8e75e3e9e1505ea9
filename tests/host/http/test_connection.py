"""Connections: what is answered in which order, how long either side may dawdle, and how a connection ends."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from stigmem.core.wire import Response
from stigmem.host.http import BodyBound, limits
from stigmem.host.http.refusals import refusal
from tests.host.http.serving import CLOSING, GET, answer, heard, serving, statuses

POST = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
LOOK = 1.5 * limits.LOOK_S


async def test_requests_follow_each_other_on_one_connection(autojump_clock: MockClock) -> None:
    async with serving() as served, await served.dial() as stream:
        for _ in range(3):
            await stream.send_all(GET)
            found = await answer(stream)
            assert found.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"connection" not in found
        assert len(served.server) == 1


async def test_requests_sent_at_once_are_answered_in_order(autojump_clock: MockClock) -> None:
    async with serving() as served:
        one = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n"
        found = await served.say(one + b"1" + one + b"2" + one.replace(b"host", b"connection: close\r\nhost") + b"3")
        assert statuses(found) == [200, 200, 200]
        assert served.app.bodies == [b"1", b"2", b"3"]


async def test_a_thousand_requests_sent_at_once_are_read_one_after_the_other(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.gate = trio.Event()
        async with await served.dial() as stream:
            await stream.send_all(1_000 * GET + CLOSING)
            await wait_all_tasks_blocked(0.01)
            assert len(served.app.requests) == 1
            served.app.gate.set()
            assert statuses(await heard(stream)) == 1_001 * [200]


async def test_an_answer_has_a_date_and_a_length(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.response = Response(200, {"x-a": "b", "content-length": "999", "connection": "close"}, b"body")
        head, _, body = (await served.say(CLOSING)).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert [line for line in lines if line.startswith("content-length")] == ["content-length: 4"]
        assert sum(line.startswith("date: ") and line.endswith(" GMT") for line in lines) == 1
        assert ("x-a: b" in lines, lines.count("connection: close"), body) == (True, 1, b"body")


async def test_head_gets_what_get_gets_without_the_body(autojump_clock: MockClock) -> None:
    async with serving() as served:
        get = await served.say(CLOSING)
        head = await served.say(CLOSING.replace(b"GET", b"HEAD"))
        assert head + b"kk" == get


async def test_an_answer_without_content_has_no_length(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.response = Response(204)
        found = await served.say(CLOSING)
        assert found.startswith(b"HTTP/1.1 204 No Content\r\n")
        assert b"content-length" not in found


async def test_http_1_0_is_kept_open_only_when_it_asks(autojump_clock: MockClock) -> None:
    async with serving() as served:
        assert b"connection: close" in await served.say(b"GET /x HTTP/1.0\r\n\r\n")
        async with await served.dial() as stream:
            await stream.send_all(b"GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            assert b"connection: keep-alive" in await answer(stream)
            await stream.send_all(b"GET /x HTTP/1.0\r\n\r\n")
            assert statuses(await heard(stream)) == [200]


async def test_a_body_is_asked_for_with_100_continue_and_only_then(autojump_clock: MockClock) -> None:
    async with serving() as served:
        expecting = b"POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        async with await served.dial() as stream:
            await stream.send_all(expecting)
            assert await stream.receive_some(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            await stream.send_all(b"abc")
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")
            await stream.send_all(expecting + b"abc")
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")
        assert served.app.bodies == [b"abc", b"abc"]
        found = await served.say(expecting.replace(b"length: 3", b"length: 30000000"))
        assert statuses(found) == [413]


async def test_the_bound_of_a_body_is_the_applications_word_for_its_head(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.bound = BodyBound(3, refusal(401, "unauthorised", "a key first"))
        assert statuses(await served.say(POST.replace(b"host", b"connection: close\r\nhost") % 3 + b"abc")) == [200]
        found = await served.say(POST % 4 + b"abcd")
        assert (statuses(found), b"a key first" in found) == ([401], True)
        chunked = b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
        assert statuses(await served.say(chunked)) == [401]
        assert served.app.bodies == [b"abc"]


async def test_a_client_that_closed_its_half_still_gets_its_answer(autojump_clock: MockClock) -> None:
    async with serving() as served, await served.dial() as stream:
        served.app.gate = trio.Event()
        await stream.send_all(GET)
        await stream.send_eof()
        await trio.sleep(limits.HALF_CLOSED_S - LOOK)
        served.app.gate.set()
        assert statuses(await heard(stream)) == [200]


async def test_a_client_that_left_during_a_long_answer_gives_its_place_back(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.gate = trio.Event()
        stream = await served.dial()
        await stream.send_all(GET)
        await trio.sleep(LOOK)
        await stream.aclose()
        await trio.sleep(limits.HALF_CLOSED_S + 2 * LOOK)
        assert (len(served.server), served.app.cancelled) == (0, 1)


async def test_a_client_that_broke_off_during_a_long_answer_gives_its_place_back_at_once(
    autojump_clock: MockClock,
) -> None:
    async with serving() as served:
        served.app.gate = trio.Event()
        stream = await served.dial()
        await stream.send_all(GET)
        await trio.sleep(LOOK)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closes with a reset
        await stream.aclose()
        await trio.sleep(2 * LOOK)
        assert (len(served.server), served.app.cancelled) == (0, 1)
        assert served.refused == {"left_before_the_answer": 1}


async def test_a_client_gone_in_the_middle_of_its_body_costs_nothing(autojump_clock: MockClock) -> None:
    async with serving() as served:
        stream = await served.dial()
        await stream.send_all(POST % 100 + b"half")
        await wait_all_tasks_blocked(0.01)
        await stream.aclose()
        await trio.sleep(1)
        assert (len(served.server), served.app.requests, served.bugs) == (0, [], [])


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        (b"", limits.IDLE_S, []),
        (GET, limits.IDLE_S, [200]),
        (b"GET /x HTTP/1.1\r\nhost: a\r\nx-slow: ", limits.HEAD_S, [408]),
        (POST % 100 + b"half", limits.BODY_GRACE_S, [408]),
    ],
    ids=["nothing", "nothing after a request", "half a head", "half a body"],
)
async def test_a_silent_connection_is_closed(
    autojump_clock: MockClock, sent: bytes, seconds: float, status: list[int]
) -> None:
    async with serving() as served, await served.dial() as stream:
        if sent:
            await stream.send_all(sent)
        before = trio.current_time()
        assert statuses(await heard(stream)) == status
        assert trio.current_time() - before == pytest.approx(seconds, abs=LOOK)
        await trio.sleep(limits.LINGER_S + LOOK)
        assert len(served.server) == 0


@pytest.mark.parametrize(
    ("begin", "drop", "most"),
    [(b"GET /x HTTP/1.1\r\n", b"x-a: b\r\n", limits.HEAD_S), (POST % 1_000_000, b"xxxx", limits.BODY_GRACE_S)],
    ids=["head", "body"],
)
async def test_bytes_that_drip_in_do_not_buy_time(
    autojump_clock: MockClock, begin: bytes, drop: bytes, most: float
) -> None:
    async with serving() as served, await served.dial() as stream:
        before = trio.current_time()
        await stream.send_all(begin)

        async def drip() -> None:
            while True:
                await trio.sleep(1)
                await stream.send_all(drop)

        with pytest.raises(trio.BrokenResourceError):
            await drip()
        assert trio.current_time() - before < most + limits.LINGER_S + 3 * LOOK


async def test_a_body_above_the_least_rate_may_take_long(autojump_clock: MockClock) -> None:
    async with serving() as served, await served.dial() as stream:
        part = bytes(2 * limits.BODY_BYTES_PER_S_MIN)
        await stream.send_all(POST % (30 * len(part)))
        for _ in range(30):
            await stream.send_all(part)
            await trio.sleep(1)
        assert (await answer(stream)).startswith(b"HTTP/1.1 200")
        assert len(served.app.bodies[0]) == 30 * len(part)


async def test_a_client_that_does_not_read_is_cut_off(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEND_BYTES_PER_S_MIN", 2_000_000)
    async with serving() as served, await served.dial() as stream:
        served.app.size = 40_000_000
        await stream.send_all(GET)
        await trio.sleep(1)
        assert len(served.server) == 1
        await trio.sleep(limits.SEND_GRACE_S + served.app.size / limits.SEND_BYTES_PER_S_MIN + LOOK)
        assert len(served.server) == 0
        assert served.refused == {"sending_too_slow": 1}


async def test_a_large_answer_is_sent_to_whoever_reads_it(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.size = 5_000_000
        assert len((await served.say(CLOSING)).partition(b"\r\n\r\n")[2]) == served.app.size


async def test_an_answer_that_does_not_come_is_503(autojump_clock: MockClock) -> None:
    async with serving() as served, await served.dial() as stream:
        served.app.gate = trio.Event()
        await stream.send_all(GET)
        before = trio.current_time()
        found = await heard(stream)
        assert trio.current_time() - before == pytest.approx(limits.ANSWER_S, abs=LOOK)
        assert statuses(found) == [503]
        assert json.loads(found.partition(b"\r\n\r\n")[2])["code"] == "no_answer"
        assert served.app.cancelled == 1


async def test_an_answer_to_a_body_still_coming_is_not_taken_back(autojump_clock: MockClock) -> None:
    async with serving() as served, await served.dial() as stream, trio.open_nursery() as both:
        await stream.send_all(POST % 8_000_000)

        async def pour() -> None:
            try:
                for _ in range(30):
                    await stream.send_all(bytes(100_000))
            except trio.BrokenResourceError:
                return

        both.start_soon(pour)
        assert (await answer(stream)).startswith(b"HTTP/1.1 413")
        both.cancel_scope.cancel()
    assert served.bugs == []


async def test_a_failing_application_costs_its_own_answer_only(autojump_clock: MockClock) -> None:
    async with serving() as served, await served.dial() as stream:
        served.app.failure = ValueError("what only the log may say")
        await stream.send_all(GET)
        found = await answer(stream)
        assert (statuses(found), b"only the log" in found) == ([500], False)
        assert served.bugs == [served.app.failure]
        served.app.failure = None
        await stream.send_all(GET)
        assert statuses(await answer(stream)) == [200]


async def test_a_header_of_an_answer_cannot_end_it(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.response = Response(200, {"x-a": "b\r\nset-cookie: c"})
        found = await served.say(CLOSING)
        assert (statuses(found), b"cookie" in found) == ([500], False)
        assert [str(bug) for bug in served.bugs] == ["a header of an answer holds a line end"]


async def test_a_stop_finishes_what_is_under_way_and_closes_what_is_idle(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.gate = trio.Event()
        async with await served.dial() as busy, await served.dial() as idle:
            await busy.send_all(GET)
            await wait_all_tasks_blocked(0.01)
            served.server.stop()
            assert await heard(idle) == b""
            with pytest.raises(OSError, match="connect"):
                await served.dial()
            served.app.gate.set()
            found = await heard(busy)
            assert (statuses(found), b"connection: close" in found) == ([200], True)


async def test_a_stop_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    async with serving() as served:
        served.app.gate = trio.Event()
        async with await served.dial() as busy:
            await busy.send_all(GET)
            await wait_all_tasks_blocked(0.01)
            before = trio.current_time()
            served.server.stop()
            assert await heard(busy) in (b"", b"<reset>")
            assert trio.current_time() - before < limits.STOP_S + LOOK


async def test_what_callers_do_wrong_is_told_by_kind_and_is_no_bug(autojump_clock: MockClock) -> None:
    async with serving() as served:
        for _ in range(3):
            await served.say(b"\x16\x03\x01 hello\r\n\r\n")
        await served.say(b"GET / HTTP/1.1\r\n\r\n")
        assert served.refused == {"malformed_request": 3, "no_host": 1}
        assert served.bugs == []


@pytest.mark.parametrize(
    "head",
    [
        b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n",
        b"POST /x HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 0\r\n\r\n",
    ],
    ids=["nobody asked", "HTTP/1.0 knows no interim answers", "there is no body"],
)
async def test_no_interim_answer_is_sent_where_none_is_waited_for(head: bytes, autojump_clock: MockClock) -> None:
    async with serving() as served:
        async with await served.dial() as stream:
            await stream.send_all(head)
            await wait_all_tasks_blocked(0.01)
            await stream.send_all(b"" if b"length: 0" in head else b"abc")
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")
