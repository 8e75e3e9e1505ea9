"""New connections from a listener, also where this process may open no more files.

A listener whose connections cannot be accepted stays ready, and whoever comes waits for nothing. So a few descriptors
are kept in reserve: when there are no others, a connection is closed to make room, and if that cannot be, the reserve
is used for a health check.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

import trio

__all__ = ["Acceptor", "Reserve"]

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_FILES: Final = 4
_PAUSE_S: Final = 0.05
"""Between two tries where nothing could be done."""
_CLOSING_S: Final = 0.002
"""Between closing a connection and accepting another one in its place."""


class Reserve:
    """Descriptors held for nothing but to be let go of."""

    def __init__(self) -> None:
        self._files: list[int] = []
        self.refill()

    def refill(self) -> None:
        """Take back what was let go of, as far as there is any to take."""
        with suppress(OSError):
            while len(self._files) < _FILES:
                self._files.append(os.open(os.devnull, os.O_RDONLY))

    def let_go(self) -> bool:
        """Free one; False when there is none left."""
        if not self._files:
            return False
        os.close(self._files.pop())
        return True

    def close(self) -> None:
        """Free all."""
        while self.let_go():
            pass


class Acceptor:
    """Accepts from one listener."""

    def __init__(
        self,
        listener: trio.SocketListener,
        *,
        accepted: Callable[[socket.socket, bool], None],
        make_room: Callable[[], bool],
        reserve: Reserve,
    ) -> None:
        """`accepted` gets a new connection and whether it is for health checks only; `make_room` is called when this
        process has no files left, and says whether it closed a connection."""
        self._listener = listener
        self._accepted = accepted
        self._make_room = make_room
        self._reserve = reserve

    async def run(self) -> NoReturn:
        """Accept until cancelled. What keeps a connection from being accepted keeps no other one."""
        is_for_health = False
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                is_for_health = await self._find_a_file(error)
                continue
            # Out of trio's hands: plain connections go on without its stream.
            raw = socket.socket(fileno=stream.socket.detach())
            raw.setblocking(False)
            self._accepted(raw, is_for_health)
            is_for_health = False

    async def _find_a_file(self, error: OSError) -> bool:
        """Do what can be done so that the next try succeeds; whether it uses the reserve."""
        if error.errno in _EXHAUSTED:
            if self._make_room():
                await trio.sleep(_CLOSING_S)  # the connection that goes closes meanwhile
                return False
            if self._reserve.let_go():
                return True
        await trio.sleep(_PAUSE_S)
        return False
