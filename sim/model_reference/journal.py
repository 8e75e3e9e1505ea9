"""What survives a power cut: one frame on the simulated disk for each transaction, in the order in which they were
synced. A piece of a frame at the end is what a torn write left, and is cut off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import msgspec

from sim.world.disk import Disk
from sim.world.world import Waiter, World

__all__ = ["ReferenceJournal"]

_HEADER: Final = 8
_encoder: Final = msgspec.msgpack.Encoder()


class _Owner(Protocol):
    """The machine that the journal is on."""

    world: World
    disk: Disk

    def wake(self, waiter: Waiter, value: Any = None) -> bool: ...


class ReferenceJournal:
    """The disk of one life of a node; one transaction at a time."""

    def __init__(self, owner: _Owner, begins: Callable[[], None], durable: Callable[[bytes], None]) -> None:
        """`begins` is called when a transaction is handed to the disk, `durable` when it is on it."""
        self._owner = owner
        self._begins = begins
        self._durable = durable
        self._is_busy = False
        self._queue: deque[Waiter] = deque()

    async def commit(self, transaction: dict[str, Any]) -> None:
        """Write and sync a transaction. Raises JournalFull."""
        owner = self._owner
        while self._is_busy:
            turn = Waiter(owner.world)
            self._queue.append(turn)
            await turn.wait()
        self._is_busy = True
        try:
            payload = _encoder.encode(transaction)
            frame = owner.disk.begin(payload)
            self._begins()
            waiter = Waiter(owner.world)

            def synced(frame: bytes) -> None:
                if owner.disk.sync(frame):
                    self._durable(payload)
                    owner.wake(waiter)

            owner.world.after(owner.disk.sync_ns, synced, frame)
            await waiter.wait()
        finally:
            self._is_busy = False
            if self._queue:
                owner.wake(self._queue.popleft())

    async def load(self) -> Iterator[dict[str, Any]]:
        """Every transaction, in order."""
        owner = self._owner
        waiter = Waiter(owner.world)
        owner.world.after(owner.disk.load_ns, self._loaded, waiter)
        await waiter.wait()
        frames = owner.disk.frames
        if frames and not _is_whole(frames[-1]):
            owner.disk.bytes_used -= len(frames.pop())
        return (msgspec.msgpack.decode(frame[_HEADER:]) for frame in frames)

    def _loaded(self, waiter: Waiter) -> None:
        self._owner.wake(waiter)


def _is_whole(frame: bytes) -> bool:
    return len(frame) >= _HEADER and len(frame) - _HEADER == int.from_bytes(frame[:4], "big")
