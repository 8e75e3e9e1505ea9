"""Requests as values, and what becomes of their answers: the half of a client that waits for nothing.

A `Call` says what to send and how to read the answer. Operations that take several requests are flows: generators that
yield calls, are given their results, and return. Both clients, the one that blocks and the one that awaits, run the
same calls and flows (`stigmem.client.blocking`, `stigmem.client.awaiting`); a method of a client is one of the
functions of `stigmem.client.operations` under the same name, with its types.

When a request is sent again
----------------------------
* Always when the node cannot have done it: the connection could not be made, or the answer is 429 or 503.
* When nobody knows whether it was done (the connection broke, no answer came in time, 502, 504): only what may be done
  twice. That is every read, a fact (a node finds the live fact that says the same) and a batch, which has an
  idempotency key.
* After a rest that doubles, or the one that `Retry-After` asks for; one of more than RETRY_AFTER_S_MAX is the caller's
  business.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

import httpx
from pydantic import BaseModel

from stigmem.client.exceptions import StigmemHTTPError, error_of

__all__ = ["Attempts", "Call", "Flow", "Pages", "answered", "error_in", "model"]

T = TypeVar("T")
P = TypeVar("P")
M = TypeVar("M", bound=BaseModel)

RETRY_AFTER_S_MAX: Final = 30.0
_FIRST_REST_S: Final = 0.2
_REST_S_MAX: Final = 5.0
_NOT_DONE: Final = (429, 503)
_PERHAPS_DONE: Final = (502, 504)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. `target`: path and query. `read`: from the body of a success to the result. `repeats`: whether it
    may be done twice."""

    method: str
    target: str
    read: Callable[[bytes], T]
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeats: bool = True


Flow: TypeAlias = Generator[Call[Any], Any, T]
"""Several calls, one after the other, with a result."""


@dataclass(frozen=True)
class Pages(Generic[P, T]):
    """Something that comes in pages. `first` is the call of a page by its cursor."""

    page: Callable[[str | None], Call[P]]
    items: Callable[[P], list[T]]
    cursor: Callable[[P], str | None]


def model(kind: type[M]) -> Callable[[bytes], M]:
    """Reads a body as a model. What it gives raises pydantic.ValidationError."""
    return kind.model_validate_json


def error_in(status: int, body: bytes) -> StigmemHTTPError:
    """The error of an answer that is none of success."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    detail = found.get("detail", text) if isinstance(found, dict) else text
    return error_of(status, detail)


def answered(call: Call[T], response: httpx.Response) -> T:
    """The result of a call. Raises a StigmemHTTPError."""
    if not response.is_success:
        raise error_in(response.status_code, response.content)
    return call.read(response.content)


class Attempts:
    """How often one call is tried."""

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._rest_s = _FIRST_REST_S

    def after_silence(self, call: Call[Any], error: httpx.TransportError) -> float | None:
        """How long to rest before it is sent again, in seconds; None when it is not."""
        never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
        return self._next(None) if never_sent or call.repeats else None

    def after_answer(self, call: Call[Any], response: httpx.Response) -> float | None:
        """As `after_silence`, after an answer."""
        status = response.status_code
        if status in _NOT_DONE or (status in _PERHAPS_DONE and call.repeats):
            return self._next(_seconds(response.headers.get("retry-after")))
        return None

    def _next(self, advice_s: float | None) -> float | None:
        if not self._left or (advice_s is not None and advice_s > RETRY_AFTER_S_MAX):
            return None
        self._left -= 1
        rest_s, self._rest_s = self._rest_s, min(2 * self._rest_s, _REST_S_MAX)
        # Clients that failed together must not come back together.
        return max(advice_s or 0.0, rest_s * (0.75 + random.random() / 2))


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else None
