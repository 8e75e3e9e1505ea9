"""A simulated subscriber: an address that takes webhooks, and remembers what it was told.

What it answers is decided by whoever makes it; it has no clock and no disk, since what a subscriber does with what it
was told is no concern of the node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sim.world.rpc import Reply, Wire
from stigmem.core.wire import Request, Response, decode_request, encode

__all__ = ["Subscriber"]

TAKEN = Response(204)


class Subscriber:
    """Somebody at an address of the simulated network who is not a node."""

    def __init__(self, name: str, wire: Wire, answer: Callable[[Request], Response | None] = lambda _: TAKEN) -> None:
        """`answer`: what it says to a request; None to say nothing at all."""
        self.name = name
        self.url = f"http://{name}.sim"
        self.answer = answer
        self.requests: list[Request] = []
        wire.directory[self.url] = self

    @property
    def events(self) -> list[dict[str, Any]]:
        """The bodies of every delivery that came, also of those that were refused, in the order in which they came."""
        return [msgspec.json.decode(request.body) for request in self.requests]

    def receive(self, asker: str, data: bytes, reply: Reply, refuse: Callable[[], None]) -> None:
        """Bytes of a request came in."""
        try:
            request = decode_request(data)
        except ValueError:
            refuse()
            return
        self.requests.append(request)
        answer = self.answer(request)
        if answer is not None:
            reply(encode(answer))
