"""Requests and responses as plain values, and their bytes on the simulated wire.

The two carriers are `stigmem.host` (real HTTP) and `sim.world.network`; node code sees only these structs. Header
names are lower case. A frame is MessagePack of the same members, so that a corrupted one fails to decode or
carries a corrupted body, as on a real wire without checksums.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

__all__ = [
    "CLOCK_HEADER", "BodyBound", "Request", "Response", "StreamedResponse", "decode_request", "decode_response",
    "encode", "json_response", "split_target",
]  # fmt: skip


class Request(msgspec.Struct, array_like=True):
    """One HTTP request. `method` in capitals, `target` path and query as sent (percent-encoded), `headers` by
    lower-case name."""

    method: str
    target: str
    headers: dict[str, str] = {}
    body: bytes = b""


class Response(msgspec.Struct, array_like=True):
    """One HTTP response; `headers` by lower-case name."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""


class StreamedResponse(Response, kw_only=True):
    """A response whose body comes piece by piece, `body` being empty: the carrier asks for a piece when the last one
    was taken, and closes the generator when it was the last or nobody listens any more."""

    chunks: AsyncGenerator[bytes, None]


class BodyBound(NamedTuple):
    """How long the body of a head may be, in bytes, and what is answered to a longer one. Carriers ask the node for it
    before they read a body."""

    bytes_max: int
    above: Response


CLOCK_HEADER: Final = "x-stigmem-now"
"""The answering node's time, in milliseconds since the epoch."""
JSON_TYPE: Final = {"content-type": "application/json"}
_KNOWN_CHARS_MAX: Final = 512
"""The longest target that is remembered taken apart."""
_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(Request)
_responses: Final = msgspec.msgpack.Decoder(Response)


def encode(message: Request | Response) -> bytes:
    """The frame of a message: its MessagePack bytes, as the simulated network carries them."""
    return _encoder.encode(message)


def decode_request(frame: bytes) -> Request:
    """A request from its frame; raises ValueError when the frame is no request."""
    try:
        return _requests.decode(frame)
    except msgspec.MsgspecError as error:
        raise ValueError("not a request frame") from error


def decode_response(frame: bytes) -> Response:
    """A response from its frame; raises ValueError when the frame is no response."""
    try:
        return _responses.decode(frame)
    except msgspec.MsgspecError as error:
        raise ValueError("not a response frame") from error


def json_response(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    """A response whose body is `value` as JSON (anything that msgspec encodes), with its content type."""
    return Response(status, JSON_TYPE | headers if headers else JSON_TYPE, msgspec.json.encode(value))


def split_target(target: str) -> tuple[str, list[tuple[str, str]]]:
    """Percent-decoded path and the query's pairs in order, also those with an empty value. Double slashes in the path
    stay (http-api 3.0)."""
    path, pairs = _split_known(target) if len(target) <= _KNOWN_CHARS_MAX else _split(target)
    return path, list(pairs)


def _split(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    path, _, query = target.partition("?")
    pieces = (piece.partition("=") for piece in query.split("&") if piece)
    pairs = tuple((_unquoted(name), _unquoted(value)) for name, _, value in pieces)
    return (unquote(path) if "%" in path else path), pairs


def _unquoted(text: str) -> str:
    # What peers ask for over and over is a cursor with an escaped colon.
    plain = text.replace("+", " ").replace("%3A", ":")
    return unquote(text.replace("+", " ")) if "%" in plain else plain


# Peers ask for the same targets over and over.
_split_known = lru_cache(maxsize=1_024)(_split)
