"""Bytes of all kinds: what is read does not depend on how they were cut, is what h11 reads, and is never a bug."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.http.reading import Found, by_h11, by_us, corpus, cut, normal

EXAMPLES = int(os.environ.get("STIGMEM_TEST_EXAMPLES", "100"))
PIECES = [
    b"GET", b"POST", b"PRI", b"CONNECT", b" ", b"  ", b"\t", b"/", b"/a?b=c", b"*", b"http://a/", b"HTTP/1.1",
    b"HTTP/1.0", b"HTTP/2.0", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Host: a", b"Host:", b":", b"Content-Length: 3",
    b"Content-Length: 0", b"Content-Length: +3", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip",
    b"Connection: close", b"Upgrade: h2c", b"Expect: 100-continue", b"X: y", b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n",
    b"0\r\n", b"ffffffff", b";a=b", b"\x00", b"\xff", b"\x7f", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
]  # fmt: skip
SENT = [case.sent for case in corpus() if len(case.sent) < 500]


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    """A request of the corpus with a few bytes put in, taken out or replaced."""
    data = bytearray(draw(st.sampled_from(SENT)) + draw(st.sampled_from([b"", *SENT])))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.sampled_from([b"", *PIECES]) | st.binary(max_size=2))
    return bytes(data)


_token = st.text("!#$%&'*+-.^_`|~019AZaz", min_size=1, max_size=12)
_value = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)
_target = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=20)
_framing = ("host", "content-length", "transfer-encoding", "connection", "upgrade", "expect")


@st.composite
def _good(draw: st.DrawFn) -> tuple[bytes, list[Found]]:
    """Good requests one after the other, and what they are."""
    sent, found = b"", []
    for _ in range(draw(st.integers(1, 3))):
        method, target = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE"])), "/" + draw(_target)
        names = draw(st.lists(_token.filter(lambda name: name.lower() not in _framing), max_size=4))
        headers = {"host": "a"}
        lines = ["Host: a"]
        for name in names:
            value = draw(_value)
            headers.setdefault(name.lower(), value.strip(" \t"))
            lines.append(f"{name}:{draw(st.sampled_from(['', ' ', '  ', chr(9)]))}{value}")
        body = draw(st.binary(max_size=20))
        parts = cut(body, draw(st.lists(st.integers(0, 20), max_size=3)))
        if draw(st.booleans()):
            headers["transfer-encoding"] = "chunked"
            lines.append("Transfer-Encoding: chunked")
            content = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        else:
            headers["content-length"] = str(len(body))
            lines.append(f"Content-Length: {len(body)}")
            content = body
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])
        sent += head.encode("latin-1") + content
        found.append(Found(method, target, tuple(headers.items()), body))
    return sent, found


_cuts = st.lists(st.integers(0, 2_000), max_size=6)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join) | _changed() | st.binary(max_size=60), _cuts)
def test_whatever_comes_is_read_alike_in_any_pieces_and_as_h11_reads_it(data: bytes, places: list[int]) -> None:
    read = by_us([data])
    assert by_us(cut(data, places)) == read
    assert by_us(cut(data, range(len(data)))) == read
    if read.refused is not None:
        assert 400 <= read.refused[0] < 600
        return
    theirs = by_h11(data)
    if theirs is None:
        # h11 takes no empty line before a request, and does not hear of HTTP/1.0 being kept open.
        assert data.startswith(b"\r\n") or b"\r\n\r\n\r\n" in data or b"\r\n\r\n" not in data, data
        return
    ours = [normal(request) for request in read.requests]
    assert theirs == ours[: len(theirs)]


@settings(max_examples=EXAMPLES, deadline=None)
@given(_good(), _cuts)
def test_good_requests_are_all_read(made: tuple[bytes, list[Found]], places: list[int]) -> None:
    sent, expected = made
    read = by_us(cut(sent, places))
    assert (list(read.requests), read.refused) == (expected, None)
    assert by_h11(sent) == expected
