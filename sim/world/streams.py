"""Bodies that come piece by piece over the simulated wire: the reader asks for each piece, and gets one.

Over HTTP a stream flows until the reader's buffers are full; here a piece is made when the reader wants it, which is
the same back-pressure with a buffer of one piece. Each piece is a packet, so that loss, delay and corruption meet it
like any other.

    reader                      maker
    more 1         ---->        makes piece 1
                   <----        piece 1
    more 2         ---->        nothing to tell yet
    more 2 (again) ---->
                   <----        still there
                   <----        piece 2
    done           ---->        closes the generator

Pieces are numbered, because packets are lost and doubled: asking twice for a piece makes it once, and a piece that was
made is sent again when it is asked for again. A reader that hears nothing TRIES times in a row takes the connection for
broken; a maker hears nothing of a reader that is gone, and keeps the generator until its machine stops, as a server
keeps a connection whose other end lost its power.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Final

import trio

from sim.world.network import Network, Packet
from sim.world.world import Waiter, World
from stigmem.node.ports import Signal, Unreachable

__all__ = ["PATIENCE_NS", "TRIES", "MadeStream", "read_stream"]

PATIENCE_NS: Final = 15_000_000_000
"""How long a reader waits before it asks for the same piece again."""
TRIES: Final = 3
_PIECE: Final = b"p"
_END: Final = b"e"
_BROKEN: Final = b"b"
_STILL_THERE: Final = b"s"


class MadeStream:
    """A streamed body at the machine that makes it. One task runs it, which ends with the machine's boot."""

    def __init__(
        self,
        world: World,
        chunks: AsyncGenerator[bytes, None],
        wanted: Signal,
        lives: Callable[[], bool],
        report: Callable[[Exception], None],
    ) -> None:
        """`wanted` wakes the task; `lives` says whether the boot in which the stream began still lasts; `report` is
        told of bugs of whoever makes the body."""
        self._world = world
        self._chunks = chunks
        self._wanted = wanted
        self._lives = lives
        self._report = report
        self._scope = trio.CancelScope()
        self._send: Callable[[bytes], None]
        self._number = 0
        """Pieces asked for so far."""
        self._last: bytes | None = b""
        """The last piece that was made, None while one is being made."""

    async def run(self) -> None:
        """Make pieces as they are asked for, to the end of the body or of the reader's interest."""
        with self._scope:
            async with aclosing(self._chunks) as chunks:
                while self._last not in (_END, _BROKEN):
                    await self._wanted.wait()
                    self._last = await self._next(chunks)
                    self._send(self._last)

    async def _next(self, chunks: AsyncGenerator[bytes, None]) -> bytes:
        try:
            return _PIECE + await anext(chunks)
        except StopAsyncIteration:
            return _END
        except Exception as bug:  # the stream breaks off, as over HTTP
            self._report(bug)
            return _BROKEN

    def more(self, number: int, send: Callable[[bytes], None]) -> None:
        """The reader asks for a piece, perhaps again."""
        if not self._lives():
            return
        if number == self._number + 1 and self._last is not None:
            self._number, self._last, self._send = number, None, send
            self._wanted.set()
        elif number == self._number:
            send(_STILL_THERE if self._last is None else self._last)

    def close(self) -> None:
        """The reader wants no more."""
        self._scope.cancel()
        self._world.left_to_trio()


async def read_stream(
    network: Network, asker: str, target: str, made: MadeStream, wake: Callable[[Waiter, bytes | None], bool]
) -> AsyncGenerator[bytes, None]:
    """The pieces of a stream that `target` makes, at the machine that asked for it. Raises Unreachable."""
    number, tries, has_ended = 0, 0, False
    waiter: Waiter | None = None

    def arrived(asked: int, data: bytes) -> None:
        if asked == number and waiter is not None:
            wake(waiter, data)

    def silent(waited: Waiter, _: object) -> None:
        wake(waited, None)

    def ask(asked: int, _: bytes) -> None:
        made.more(asked, partial(send, asked))

    def send(asked: int, data: bytes) -> None:
        network.send(Packet(target, asker, "piece", data, partial(arrived, asked)))

    try:
        number = 1
        while True:
            waiter = Waiter(network.world)
            network.send(Packet(asker, target, "more", b"", partial(ask, number)))
            network.world.after(PATIENCE_NS, partial(silent, waiter))
            data = await waiter.wait()
            while data == _STILL_THERE:
                tries = 0
                data = await waiter.wait()
            if data is None:
                tries += 1
                if tries >= TRIES:
                    raise Unreachable("timeout", "no piece of the stream came")
                continue
            if data == _END:
                has_ended = True
                return
            if data[:1] != _PIECE:
                has_ended = data == _BROKEN
                raise Unreachable("broken_answer", "the stream broke off")
            tries = 0
            number += 1
            yield data[1:]
    finally:
        if not has_ended:
            network.send(Packet(asker, target, "done", b"", lambda _: made.close()))
