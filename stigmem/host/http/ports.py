"""What a connection needs of others: the application that answers, and the service that it is a connection of."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol

from stigmem.core.wire import BodyBound, Request, Response

__all__ = ["HEALTH_PATHS", "Application", "Caller", "Phase", "Service"]

HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""What is still answered where no place is left for anything else."""


class Caller(NamedTuple):
    """What a connection tells about who is on the other end."""

    is_secure: bool = False
    uris: tuple[str, ...] | None = None
    """URIs in its certificate, empty without one; None where certificates are not asked for."""


class Application(Protocol):
    """What answers requests."""

    def admit(self, request: Request) -> BodyBound:
        """How long the body of this head may be. Called before a body is read; changes nothing."""
        ...

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The answer to a request. Cancelled when it takes too long or nobody waits for it any more."""
        ...


class Phase(Enum):
    """What a connection is at."""

    HANDSHAKE = "handshake"
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    ANSWERING = "answering"
    STREAMING = "streaming"
    SENDING = "sending"
    LINGERING = "lingering"


class Service(Protocol):
    """The server, as its connections see it."""

    now: float
    """The time of the last look at all connections, at most LOOK_S ago: good enough for bounds of seconds, and a fifth
    of the cost of asking the clock."""
    date: bytes
    """The Date header of this second."""
    is_stopping: bool
    note: Callable[[str], None]
    """Tells that a caller brought something about; one of our words for it."""
    bug: Callable[[Exception], None]
    """Tells of a bug that was met."""

    def bodies_grew(self, size: int) -> None:
        """Unfinished bodies hold so many bytes more than before, or less."""
        ...
