"""Request and answer over the simulated wire, for anything with an address.

Frames a request, lets the target receive it, and carries its answer back; both ways pass the rules. Who asks
is told once: a Response, or the code of a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from sim.world.network import Network, Packet
from sim.world.streams import MadeStream, read_stream
from sim.world.world import Waiter
from stigmem.core.wire import Request, Response, StreamedResponse, decode_response, encode

__all__ = ["Endpoint", "Reply", "Wire", "send_request"]


class Reply(Protocol):
    """Where an answer goes."""

    def __call__(self, data: bytes, stream: MadeStream | None = None, /) -> None:
        """The bytes of an answer, and its body if that comes piece by piece."""
        ...


class Endpoint(Protocol):
    """Anything with an address: a machine, or a scripted adversary."""

    name: str
    url: str

    def receive(self, asker: str, data: bytes, reply: Reply, refuse: Callable[[], None]) -> None:
        """Bytes of a request came in; `reply` takes the bytes of the answer, `refuse` turns it away."""
        ...


class Wire(NamedTuple):
    """What machines reach each other by."""

    network: Network
    directory: dict[str, Endpoint]
    """Address -> who answers there."""


def send_request(
    wire: Wire,
    asker: str,
    url: str,
    request: Request,
    arrived: Callable[[Response | str], None],
    wake: Callable[[Waiter, bytes | None], bool] = lambda waiter, value: waiter.wake(value),
) -> bool:
    """Send a request; `arrived` gets a Response, `refused` or `broken_answer`, or nothing at all when packets
    are lost. False when nobody has this address. `wake` wakes a task of the asker that reads a stream."""
    network, target = wire.network, wire.directory.get(url)
    if target is None:
        return False

    def back(data: bytes) -> None:
        try:
            arrived(decode_response(data))
        except ValueError:
            arrived("broken_answer")

    def begun(stream: MadeStream, data: bytes) -> None:
        try:
            head = decode_response(data)
        except ValueError:
            arrived("broken_answer")
            return
        pieces = read_stream(network, asker, target.name, stream, wake)
        arrived(StreamedResponse(head.status, head.headers, chunks=pieces))

    def reply(data: bytes, stream: MadeStream | None = None) -> None:
        network.send(Packet(target.name, asker, "response", data, back if stream is None else partial(begun, stream)))

    def refuse() -> None:
        network.send(Packet(target.name, asker, "refused", b"", lambda _: arrived("refused")))

    network.requests += 1
    kind = f"{request.method} {request.target.partition('?')[0]}"
    network.send(
        Packet(asker, target.name, kind, encode(request), lambda data: target.receive(asker, data, reply, refuse))
    )
    return True
