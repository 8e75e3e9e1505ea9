"""Server-sent events as text: writing and reading the format `text/event-stream` (WHATWG HTML, 9.2). No I/O.

A stream is blocks of lines, each ended by an empty line. A block with `data` is an event; one that only has an `id`
moves the place at which a reader would go on, and one that only has a comment keeps the connection alive. A reader that
lost its connection sends the last id back in the header `Last-Event-ID`.

    id: 7
    event: fact
    data: {"entity": "user:ada"}

Our data is JSON in one line; the reader also puts together data of several lines, and takes the three kinds of line end
that the format has, since it may be pointed at anything.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["EVENT_STREAM_TYPE", "BrokenStream", "EventReader", "ServerEvent", "block"]

EVENT_STREAM_TYPE: Final = "text/event-stream"
_PENDING_CHARS_MAX: Final = 4 * 1_048_576
"""A line or event longer than this is none of ours: a fact has at most 256 KiB."""


class BrokenStream(ValueError):
    """What comes is no stream of events, or one without end of line."""


class ServerEvent(NamedTuple):
    """One block. `data` is None in a block without data, which is no event and may carry an `id` all the same."""

    data: str | None
    event: str = "message"
    id: str | None = None
    """The place after this event; None when the block names none."""
    retry_ms: int | None = None
    """How long to wait before connecting again, where the block says so."""


def block(data: str | None = None, *, event: str = "", place: str = "", comment: str = "", retry_ms: int = 0) -> bytes:
    """The bytes of one block. `data` and the others are of one line; what is empty is left out."""
    lines = []
    if comment:
        lines.append(f": {comment}")
    if retry_ms:
        lines.append(f"retry: {retry_ms}")
    if place:
        lines.append(f"id: {place}")
    if event:
        lines.append(f"event: {event}")
    if data is not None:
        lines.append(f"data: {data}")
    return "\n".join([*lines, "", ""]).encode()


class EventReader:
    """Reads blocks from bytes that come in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_first = True
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None
        self._retry_ms: int | None = None
        self._size = 0

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The blocks that are complete now. Raises BrokenStream; then the reader is of no further use."""
        text = self._rest + data
        lines = text.split(b"\n") if b"\r" not in text else _lines(text)
        self._rest = lines.pop()
        if len(self._rest) > _PENDING_CHARS_MAX or self._size > _PENDING_CHARS_MAX:
            raise BrokenStream(f"an event has more than {_PENDING_CHARS_MAX} characters")
        found = []
        for line in lines:
            try:
                done = self._line(line.decode())
            except UnicodeDecodeError as error:
                raise BrokenStream("what comes is no UTF-8") from error
            if done is not None:
                found.append(done)
        return found

    def _line(self, line: str) -> ServerEvent | None:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix("\ufeff")
        if not line:
            return self._block()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        self._size += len(line)
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) < 10:
            self._retry_ms = int(value)
        return None

    def _block(self) -> ServerEvent | None:
        has_something = self._data or self._id is not None or self._retry_ms is not None
        data = "\n".join(self._data) if self._data else None
        made = ServerEvent(data, self._event or "message", self._id, self._retry_ms) if has_something else None
        self._forget()
        return made

    def _forget(self) -> None:
        self._data, self._event, self._id, self._retry_ms, self._size = [], "", None, None, 0


def _lines(text: bytes) -> list[bytes]:
    """As split at line ends of any kind. A carriage return at the very end may be half of one and is kept back."""
    held = b"\r" if text.endswith(b"\r") else b""
    body = text.removesuffix(b"\r") if held else text
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [*lines[:-1], lines[-1] + held]
