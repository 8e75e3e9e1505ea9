"""Which connections may stay: how many there are, who makes room, and how much their bodies may take together.

A new connection at the bound takes the place of, in this order, the one that has been idle for longest, and the slowest
of those that keep us waiting: for a handshake, a head, a body, or the end of an answer. Slow is few bytes a second
since that phase began; what began less than SLOW_AFTER_S ago is not looked at. Connections whose answer we owe keep
their places. Where nobody can go, a few places are left on which only health checks are answered: "full" is an answer,
and silence is not.

Bodies count from their second read to their answer. Above BODIES_BYTES_MAX the slowest of them gives way, with 503.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stigmem.host.http import limits
from stigmem.host.http.connection import Connection
from stigmem.host.http.ports import Phase

__all__ = ["Places"]

_SLOW: tuple[Phase, ...] = (Phase.HANDSHAKE, Phase.HEAD, Phase.BODY, Phase.SENDING, Phase.LINGERING)


class Places:
    """The open connections of one kind of listener."""

    def __init__(self, connections_max: int) -> None:
        self._max = connections_max
        self._open: dict[Connection, None] = {}
        self._for_health: dict[Connection, None] = {}
        self.turned_away = 0
        """Connections closed to make room, or for want of it."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        """Every connection; which ones there are may change meanwhile."""
        return iter([*self._open, *self._for_health])

    def has_room(self, now: float) -> bool:
        """Whether a new connection has a place, perhaps that of another one."""
        return len(self._open) < self._max or self.make_room(now)

    def has_room_for_health(self) -> bool:
        """Whether one of the places for health checks is free."""
        return len(self._for_health) < limits.HEALTH_PLACES

    def add(self, connection: Connection) -> None:
        """Give it its place."""
        (self._for_health if connection.is_for_health else self._open)[connection] = None

    def remove(self, connection: Connection) -> None:
        """It has closed, or was given up; harmless when it has no place any more."""
        (self._for_health if connection.is_for_health else self._open).pop(connection, None)

    def make_room(self, now: float) -> bool:
        """Close one connection; False when every one is owed an answer."""
        idle = (c for c in self._open if c.phase is Phase.IDLE)
        leaving = min(idle, key=lambda c: c.since, default=None) or _slowest(
            (c for c in self._open if c.phase in _SLOW and now - c.since >= limits.SLOW_AFTER_S), now
        )
        if leaving is None:
            return False
        self.turned_away += 1
        self.remove(leaving)  # at once, so that it is not chosen again before its task has ended
        leaving.cut()
        return True

    def slowest_body(self, now: float) -> Connection | None:
        """The connection whose unfinished body comes in most slowly."""
        return _slowest((c for c in self._open if c.phase is Phase.BODY and c.body_bytes and not c.is_leaving), now)


def _slowest(connections: Iterable[Connection], now: float) -> Connection | None:
    return min(connections, key=lambda c: c.moved / max(now - c.since, 1e-3), default=None)
