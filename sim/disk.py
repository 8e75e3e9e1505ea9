"""A disk that forgets what was not synced: the simulated journal.

A batch is one frame with length and checksum. A crash loses the frame that was on its way, tears it, or (the
cruellest) keeps it although nobody was told; on load a torn frame at the end is cut off and anything wrong
before the end is corruption. Full and slow are switches that faults set (spec/simulation.md, 4).
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Final

import msgspec

from sim.world import Waiter, World
from stigmem.core.audit import AuditRow
from stigmem.core.errors import JournalCorrupt
from stigmem.core.records import Record
from stigmem.node.context import JournalFull

__all__ = ["Disk", "SimJournal"]

_HEADER: Final = 8
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[Record])


def _frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big") + payload


class Disk:
    """What survives a crash: frames that were synced, and perhaps a piece of one that was not."""

    def __init__(self, random: Random, *, sync_ns: int, capacity_bytes: int | None = None) -> None:
        self._random = random
        self.sync_ns = sync_ns
        self.slowdown = 1
        self.full = False
        self.capacity_bytes = capacity_bytes
        self.frames: list[bytes] = []
        self.bytes_used = 0
        self._unsynced: bytes | None = None

    def begin(self, payload: bytes) -> None:
        """Write a batch into the cache of the machine. Raises JournalFull."""
        frame = _frame(payload)
        if self.full or (self.capacity_bytes is not None and self.bytes_used + len(frame) > self.capacity_bytes):
            raise JournalFull("disk_full", "the disk is full; nothing was stored")
        self._unsynced = frame

    def sync(self) -> None:
        """The batch is on the platter."""
        if self._unsynced is not None:
            self.frames.append(self._unsynced)
            self.bytes_used += len(self._unsynced)
            self._unsynced = None

    def crash(self) -> str:
        """Lose power; what became of the batch on its way: `nothing`, `lost`, `torn` or `kept`."""
        frame, self._unsynced = self._unsynced, None
        fate = self._random.choice(("lost", "torn", "kept"))
        if frame is None:
            return "nothing"
        if fate == "torn":
            frame = frame[: self._random.randrange(1, len(frame))]
        if fate != "lost":
            self.frames.append(frame)
            self.bytes_used += len(frame)
        return fate

    def wipe(self) -> None:
        """A new, empty disk."""
        self.frames, self.bytes_used, self._unsynced = [], 0, None

    def batches(self) -> list[list[Record]]:
        """Every batch that survived, in order; a torn last frame is cut off. Raises JournalCorrupt."""
        found: list[list[Record]] = []
        for number, frame in enumerate(self.frames):
            payload = frame[_HEADER:]
            whole = len(frame) >= _HEADER and frame == _frame(payload)
            if not whole and number == len(self.frames) - 1:
                del self.frames[number]
                self.bytes_used -= len(frame)
                break
            if not whole:
                raise JournalCorrupt(f"frame {number + 1} of {len(self.frames)} is damaged")
            found.append(_decoder.decode(payload))
        return found


class SimJournal:
    """The journal seam over a Disk; `observe` sees every batch at the instant it becomes durable."""

    def __init__(self, world: World, disk: Disk, observe: Callable[[Sequence[Record], bytes], None]) -> None:
        self._world = world
        self._disk = disk
        self._observe = observe
        self._waiter = Waiter(world)

    async def commit(self, records: Sequence[Record]) -> None:
        """Write and sync a batch. Raises JournalFull."""
        payload = _encoder.encode(records)
        self._disk.begin(payload)
        delay = self._disk.sync_ns * self._disk.slowdown
        if delay:
            self._world.after(delay, self._waiter.wake)
            await self._waiter.wait()
        self._disk.sync()
        self._observe(records, payload)

    async def load(self) -> AsyncIterator[Sequence[Record]]:
        """Every record, in order."""
        for batch in self._disk.batches():
            yield batch

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        """Audit rows beyond a sequence number."""
        rows = [row for batch in self._disk.batches() for row in batch if isinstance(row, AuditRow)]
        if newest_first:
            rows = [row for row in reversed(rows) if not after or row.seq < after]
        else:
            rows = [row for row in rows if row.seq > after]
        return rows[:limit]
