"""Malformed requests: each gets its status, whatever the packets were cut into, and harms nobody."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.host.http.reading import Case, by_h11, by_us, corpus, cut, normal
from tests.host.http.serving import CLOSING, heard, serving, statuses

CORPUS = corpus()
OTHERWISE = ("absolute", "empty line", "line end behind", "HTTP/1.0 kept alive")
"""Where h11 is stricter than RFC 9112, or leaves work to the application: it hands an absolute target on as it is."""


def test_the_corpus_is_large_and_names_each_case_once() -> None:
    assert len(CORPUS) >= 150
    assert len({case.name for case in CORPUS}) == len(CORPUS)
    assert len({case.sent for case in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_the_readers_find_what_the_corpus_says(case: Case) -> None:
    read = by_us([case.sent])
    expected = [status for status in case.statuses if status != 200]
    assert len(read.requests) == len(case.statuses) - len(expected)
    assert ([read.refused[0]] if read.refused else []) == expected


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_where_bytes_are_cut_changes_nothing(case: Case) -> None:
    expected = by_us([case.sent])
    size = len(case.sent)
    for place in range(1, size) if size < 500 else range(1, size, size // 40):
        assert by_us(cut(case.sent, [place])) == expected, place
    if size < 2_000:
        assert by_us(cut(case.sent, range(size))) == expected


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_h11_reads_every_request_that_is_taken_in_the_same_way(case: Case) -> None:
    read = by_us([case.sent])
    if read.refused is not None or any(name in case.name for name in OTHERWISE):
        return
    assert by_h11(case.sent) == [normal(request) for request in read.requests]


async def test_a_server_answers_each_case_with_its_status_and_goes_on(autojump_clock: MockClock) -> None:
    async with serving(connections_max=1_000) as served:
        for case in CORPUS:
            before = len(served.app.requests)
            async with await served.dial() as stream:
                await _pour(stream, case.sent)
                found = await heard(stream)
            seen = [status for status in statuses(found) if status != 100]
            assert seen == case.statuses, (case.name, found[:300])
            assert len(served.app.requests) - before == case.statuses.count(200), case.name
            if case.statuses[-1] != 200:
                assert b"connection: close" in found, case.name
                assert b'"detail":"' in found, case.name
                assert b'"code":"' in found, case.name
        assert statuses(await served.say(CLOSING)) == [200]
        assert served.bugs == []


async def _pour(stream: trio.SocketStream, data: bytes) -> None:
    try:
        await stream.send_all(data)
        await stream.send_eof()
    except trio.BrokenResourceError:
        return  # refused before all of it was sent
