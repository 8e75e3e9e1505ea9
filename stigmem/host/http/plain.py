"""A stream over a socket in as few steps as trio allows: what most connections spend their time in.

trio's own stream tries to read before it waits, and gives others a turn after each read and each write. Here a read
waits first and then reads, which is a turn for others, and a write that the socket takes at once is done: three system
calls a request instead of four, and one turn of the scheduler instead of three. Bytes that cannot be sent at once wait
as everywhere.
"""

from __future__ import annotations

import socket

import trio

__all__ = ["PlainStream"]


class PlainStream:
    """A connected, non-blocking socket as a stream. One task reads and writes; who opened the socket closes it."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw

    async def receive_some(self, max_bytes: int) -> bytes:
        """Bytes, or none when the other side has closed its half. Raises BrokenResourceError."""
        while True:
            await trio.lowlevel.wait_readable(self._raw)
            try:
                return self._raw.recv(max_bytes)
            except BlockingIOError:
                continue  # it was ready for nothing
            except OSError as error:
                raise trio.BrokenResourceError from error

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send all of it. Raises BrokenResourceError."""
        sent = self._send(data)
        if sent == len(data):
            return
        left = memoryview(data)[sent:]
        while left:
            await trio.lowlevel.wait_writable(self._raw)
            left = left[self._send(left) :]

    def _send(self, data: bytes | memoryview) -> int:
        try:
            return self._raw.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError from error

    async def send_eof(self) -> None:
        """Close our half. Raises BrokenResourceError."""
        await trio.lowlevel.checkpoint()
        try:
            self._raw.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise trio.BrokenResourceError from error
