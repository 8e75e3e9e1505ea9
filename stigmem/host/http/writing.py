"""Writing responses: values to bytes. No I/O.

Head and body of an answer go out in one piece. Whether a connection stays open, how a stream is framed and what HEAD
leaves out is decided here; nothing else is added to what the application answers, but the date.
"""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from stigmem.core.wire import Response

__all__ = ["CONTINUE", "LAST_CHUNK", "chunk", "date_line", "head_of_stream", "whole"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_FRAMING: Final = ("content-length", "transfer-encoding", "connection", "date")
"""Headers that are ours to write, whatever the application says."""


def date_line(wall_s: float) -> bytes:
    """The Date header at a wall time in seconds since 1970; made once a second, for all answers."""
    return f"date: {formatdate(wall_s, usegmt=True)}\r\n".encode("ascii")


def whole(response: Response, *, is_head: bool, connection: bytes, date: bytes) -> bytes:
    """The bytes of an answer. `connection`: a line about the connection, or nothing; `is_head`: without the body.
    Raises ValueError for a header that would end early, or is no text of HTTP."""
    body, status = response.body, response.status
    begin = _beginning(status, tuple(response.headers.items()))
    if status in (204, 304):
        return b"%b%b%b\r\n" % (begin, date, connection)
    return b"%bcontent-length: %d\r\n%b%b\r\n%b" % (begin, len(body), date, connection, b"" if is_head else body)


def head_of_stream(response: Response, *, has_chunks: bool, connection: bytes, date: bytes) -> bytes:
    """The head of an answer whose body follows. Raises ValueError as `whole` does."""
    begin = _beginning(response.status, tuple(response.headers.items()))
    return b"%b%b%b%b\r\n" % (begin, b"transfer-encoding: chunked\r\n" if has_chunks else b"", date, connection)


@lru_cache(maxsize=256)
def _beginning(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Status line and headers; the same few are sent over and over."""
    lines = [f"{name}: {value}\r\n" for name, value in headers if name not in _FRAMING]
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
    text = line + "".join(lines)
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header of an answer holds a line end")
    return text.encode("latin-1")


def chunk(part: bytes) -> bytes:
    """One chunk of a stream; `part` is not empty, since an empty one would end it."""
    return b"%x\r\n%b\r\n" % (len(part), part)
