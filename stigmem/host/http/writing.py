"""Writing responses: values to bytes. No I/O.

Head and body of an answer go out in one piece. Whether a connection stays open, how a stream is framed and what HEAD
leaves out is decided here; nothing else is added to what the application answers, but the date.
"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from stigmem.core.wire import Response

__all__ = ["CONTINUE", "LAST_CHUNK", "chunk", "date_line", "whole", "with_head"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_FRAMING: Final = ("content-length", "transfer-encoding", "connection", "date")
"""Headers that are ours to write, whatever the application says."""


def date_line(wall_s: float) -> str:
    """The Date header at a wall time in seconds since 1970; made once a second, for all answers."""
    return f"date: {formatdate(wall_s, usegmt=True)}\r\n"


def whole(response: Response, *, is_head: bool, connection: str, date: str) -> bytes:
    """The bytes of an answer. `connection`: a line about the connection, or nothing; `is_head`: without the body."""
    body = response.body
    bare = response.status == 204 or response.status == 304
    length = "" if bare else f"content-length: {len(body)}\r\n"
    head = with_head(response, length, connection, date)
    return head if is_head or bare or not body else head + body


def with_head(response: Response, framing: str, connection: str, date: str) -> bytes:
    """The head of an answer. Raises ValueError for a header that would end early, or is no text of HTTP."""
    lines = [f"{name}: {value}\r\n" for name, value in response.headers.items() if name not in _FRAMING]
    text = "".join((_status_line(response.status), *lines, framing, date, connection, "\r\n"))
    expected = len(lines) + 2 + bool(framing) + bool(date) + bool(connection)
    if text.count("\n") != expected or text.count("\r") != expected:
        raise ValueError("a header of an answer holds a line end")
    return text.encode("latin-1")


def _status_line(status: int) -> str:
    known = _STATUS_LINES.get(status)
    return f"HTTP/1.1 {status} \r\n" if known is None else known


def chunk(part: bytes) -> bytes:
    """One chunk of a stream; `part` is not empty, since an empty one would end it."""
    return b"%x\r\n%b\r\n" % (len(part), part)
