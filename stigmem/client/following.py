"""Following a node without waiting for anything: where a stream goes on, and what a poll of a scope brings.

`Follow` is the state of one `follow()`: both clients feed it the bytes of a stream and ask it what to do when that
ended. `ScopePoll` is the state of one `subscribe_scope()`, the published client's way to follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx

from stigmem.client.calls import Call, Flow, error_in
from stigmem.client.exceptions import StigmemHTTPError, StigmemNotFoundError
from stigmem.client.models import Fact, FactScope
from stigmem.client.operations import query, target_of
from stigmem.core.event_stream import EVENT_STREAM_TYPE, BrokenStream, EventReader

__all__ = ["SILENCE_S", "Follow", "Followed", "ScopePoll"]

SILENCE_S: Final = 45.0
"""A stream that is silent for three heartbeats is dead."""
_REST_S_MIN: Final = 0.5
_REST_S_MAX: Final = 30.0
_SEEN_MAX: Final = 10_000
_FIRST_PAGE: Final = 100


class Followed(NamedTuple):
    """A fact of a stream, None where only the place moved, and the place after it."""

    fact: Fact | None
    cursor: str | None


class Follow:
    """One `follow()`: it begins at a place, and goes on there whenever a stream ends."""

    def __init__(self, wanted: Mapping[str, Any], cursor: str | None) -> None:
        """`wanted`: which facts, by the names of the query parameters; None leaves one out. `cursor`: where to begin,
        None for what `wanted` says."""
        self.target = target_of("/v1/events", wanted)
        self.cursor = cursor
        self._rest_s = _REST_S_MIN
        self._reader = EventReader()

    def begin(self) -> dict[str, str]:
        """A stream begins; the headers of its request."""
        self._reader = EventReader()
        headers = {"accept": EVENT_STREAM_TYPE}
        return headers if self.cursor is None else headers | {"last-event-id": self.cursor}

    def feed(self, data: bytes) -> list[Followed]:
        """What some bytes of a stream hold. Raises httpx.RemoteProtocolError when they are no events."""
        try:
            events = self._reader.feed(data)
        except BrokenStream as error:
            raise httpx.RemoteProtocolError(f"what the node sends are no events: {error}") from error
        self._rest_s = _REST_S_MIN
        return [Followed(None if e.data is None else Fact.model_validate_json(e.data), e.id) for e in events]

    def took(self, followed: Followed) -> None:
        """What was handed on need not come again."""
        self.cursor = followed.cursor or self.cursor

    def rest_s(self) -> float:
        """How long to wait before the next stream; longer each time, until one brings something."""
        rest_s, self._rest_s = self._rest_s, min(2 * self._rest_s, _REST_S_MAX)
        return rest_s

    def refused(self, status: int, body: bytes) -> None:
        """The node answered with no stream. Raises a StigmemHTTPError unless another try may go well."""
        if status not in (429, 503):
            raise error_in(status, body)


class ScopePoll:
    """One `subscribe_scope()`: at first the newest facts, then each new one once. A node that offers no events is
    asked for its newest page over and over, as the published client does, and what was seen is left out."""

    def __init__(self, scope: FactScope) -> None:
        self._scope: FactScope = scope
        self._cursor: str | None = None
        self._seen: dict[str, None] = {}
        self._has_events = True
        self._has_begun = False

    def step(self) -> Flow[list[Fact]]:
        """What is new, newest first."""
        found: list[Fact] = []
        if self._has_events:
            try:
                found = yield from self._events()
            except StigmemHTTPError as error:
                if not isinstance(error, StigmemNotFoundError) and error.status_code not in (405, 501):
                    raise
                self._has_events = False
        if not (self._has_events and self._has_begun):
            page = yield query(scope=self._scope, limit=_FIRST_PAGE)
            found = [*found, *page.facts]
            self._has_begun = True
        fresh = [fact for fact in found if fact.id not in self._seen]
        for fact in fresh:
            self._seen[fact.id] = None
        while len(self._seen) > _SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        return fresh

    def _events(self) -> Flow[list[Fact]]:
        headers: Mapping[str, str] = {} if self._cursor is None else {"last-event-id": self._cursor}
        target = target_of("/v1/events", {"scope": self._scope}) + "&wait=false"
        events: list[Followed] = yield Call("GET", target, _events_in, headers=headers)
        for event in events:
            self._cursor = event.cursor or self._cursor
        return [event.fact for event in reversed(events) if event.fact is not None]


def _events_in(body: bytes) -> list[Followed]:
    return Follow({}, None).feed(body)
