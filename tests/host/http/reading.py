"""Requests out of bytes without a connection, by our readers and by h11, so that the two can be compared."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import h11

from stigmem.host.http import BodyBound, limits
from stigmem.host.http.bodies import BodyReader
from stigmem.host.http.heads import HeadReader
from stigmem.host.http.refusals import Refused, incomplete, refusal

__all__ = ["BOUND", "Case", "Found", "Read", "by_h11", "by_us", "corpus", "cut", "normal"]

BOUND = BodyBound(1_000_000, refusal(413, "body_too_large", "too much"))


class Found(NamedTuple):
    """One request."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Read(NamedTuple):
    """What came out of some bytes: requests, and the status and code of the refusal that ended them."""

    requests: tuple[Found, ...]
    refused: tuple[int, str] | None


class Case(NamedTuple):
    """One line of the corpus."""

    name: str
    sent: bytes
    statuses: list[int]


def corpus() -> list[Case]:
    """Every case of corpus.toml."""
    groups = tomllib.loads(Path(__file__).with_name("corpus.toml").read_text())
    return [
        Case(f"{group}: {name}", _written_out(sent), status if isinstance(status, list) else [status])
        for group, cases in groups.items()
        for name, sent, status in cases
    ]


def _written_out(text: str) -> bytes:
    def repeated(found: re.Match[str]) -> str:
        return found[1].replace("|", "\r\n") * int(found[2])

    return re.sub(r"\{([^{}]*)\*(\d+)\}", repeated, text).encode("latin-1")


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The same bytes in pieces."""
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(ends)]


def by_us(pieces: Iterable[bytes]) -> Read:
    """What a connection reads out of these pieces and an end, one after the other."""
    buffer, heads, found = bytearray(), HeadReader(), list[Found]()
    body: BodyReader | None = None
    head: Any = None
    try:
        for piece in [*pieces, b""]:
            buffer += piece
            while True:
                if head is None:
                    head = heads.take(buffer) if buffer else None
                    if head is None:
                        break
                    body = BodyReader(head.length, BOUND)
                assert body is not None
                whole = body.take(buffer)
                if whole is None:
                    break
                request = head.request
                found.append(Found(request.method, request.target, tuple(request.headers.items()), whole))
                keeps, head = head.keep_alive, None
                if not keeps:
                    return Read(tuple(found), None)
        if head is not None:
            raise incomplete("body")
        if buffer:
            raise incomplete("head")
    except Refused as refused:
        return Read(tuple(found), (refused.response.status, refused.kind))
    return Read(tuple(found), None)


def by_h11(data: bytes) -> list[Found] | None:
    """The requests that h11 finds up to where it stops, or None when it finds fault with something."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2 * limits.HEAD_BYTES_MAX)
    connection.receive_data(data)
    connection.receive_data(b"")
    found: list[Found] = []
    request: h11.Request | None = None
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                found.append(_of_h11(request, body))
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return found
                connection.start_next_cycle()
            else:
                return found
    except h11.RemoteProtocolError:
        return None


def normal(request: Found) -> Found:
    """As h11 would have it: the name of a coding in lower case."""
    headers = [(name, text.lower() if name == "transfer-encoding" else text) for name, text in request.headers]
    return request._replace(headers=tuple(headers))


def _of_h11(request: h11.Request, body: bytes) -> Found:
    headers: dict[str, str] = {}
    for name, value in request.headers:
        key, text = name.decode(), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key == "connection" and key in headers else headers.get(key, text)
    return Found(request.method.decode(), request.target.decode(), tuple(headers.items()), body)
