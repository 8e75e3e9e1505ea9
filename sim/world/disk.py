"""A disk that forgets what was not synced: the simulated journal.

A batch is one frame with length and checksum. A crash loses the frame that was on its way, tears it, or (the
cruellest) keeps it although nobody was told; on load a torn frame at the end is cut off and anything wrong
before the end is corruption. Full and slow are switches that faults set (spec/simulation.md, 4).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from random import Random
from typing import Final, Literal

import msgspec

from sim.world.world import Waiter, World
from stigmem.core.audit import AuditRow
from stigmem.core.errors import JournalCorrupt
from stigmem.core.records import Record, audit_rows, compacted
from stigmem.node.ports import JournalFull

__all__ = ["Disk", "Fate", "SimJournal"]

Fate = Literal["lost", "torn", "kept"]
"""What becomes of a batch that was being written when the power went."""

_HEADER: Final = 8
_READ_BYTES_PER_SYNC: Final = 1 << 20
"""Loading takes about as long as one sync a mebibyte."""
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[Record])


def _frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big") + payload


class Disk:
    """What survives a crash: frames that were synced, and perhaps a piece of one that was not."""

    def __init__(self, random: Random, *, sync_ns: int, capacity_bytes: int | None = None) -> None:
        self._random = random
        self._sync_ns = sync_ns
        self._slowed: dict[object, int] = {}
        self._filled: dict[object, None] = {}
        self.capacity_bytes = capacity_bytes
        self.frames: list[bytes] = []
        self.bytes_used = 0
        self._unsynced: bytes | None = None

    @property
    def sync_ns(self) -> int:
        """How long a sync takes now."""
        return self._sync_ns * math.prod(self._slowed.values())

    @property
    def load_ns(self) -> int:
        """How long reading everything takes now."""
        return self.sync_ns * (1 + self.bytes_used // _READ_BYTES_PER_SYNC)

    @property
    def busy(self) -> bool:
        """Whether a batch is on its way to the platter."""
        return self._unsynced is not None

    # --- faults: each under the key of whoever makes it ---

    def fill(self, key: object) -> None:
        """Leave no room."""
        self._filled[key] = None

    def free(self, key: object) -> None:
        """Give the room back."""
        self._filled.pop(key, None)

    def slow_down(self, key: object, times: int) -> None:
        """Let a sync take so many times as long."""
        self._slowed[key] = times

    def speed_up(self, key: object) -> None:
        """Let it take its usual time again."""
        self._slowed.pop(key, None)

    # --- writing and losing power ---

    def begin(self, payload: bytes) -> bytes:
        """Write a batch into the cache of the machine; its frame. Raises JournalFull."""
        frame = _frame(payload)
        no_room = self.capacity_bytes is not None and self.bytes_used + len(frame) > self.capacity_bytes
        if self._filled or no_room:
            raise JournalFull("disk_full", "the disk is full; nothing was stored")
        self._unsynced = frame
        return frame

    def sync(self, frame: bytes) -> bool:
        """The batch is on the platter; False when a crash came first."""
        if self._unsynced is not frame:
            return False
        self.frames.append(frame)
        self.bytes_used += len(frame)
        self._unsynced = None
        return True

    def crash(self, fate: Fate | None = None) -> str:
        """Lose power; what became of the batch on its way: `nothing`, or its fate, which is drawn unless given."""
        frame, self._unsynced = self._unsynced, None
        drawn: Fate = self._random.choice(("lost", "torn", "kept"))
        fate = fate or drawn
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

    def copy(self) -> tuple[bytes, ...]:
        """What a backup that is taken now holds: every batch that is durable."""
        return tuple(self.frames)

    def put_back(self, frames: Iterable[bytes]) -> None:
        """What a backup held, and nothing else."""
        self.frames, self._unsynced = list(frames), None
        self.bytes_used = sum(map(len, self.frames))

    def compact(self) -> None:
        """Write every frame anew, without what was erased."""
        self.frames = [_frame(_encoder.encode(batch)) for batch in compacted(self.batches())]
        self.bytes_used = sum(map(len, self.frames))

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
    """The journal port over a Disk.

    `observe` sees every batch at the instant it becomes durable, and `begins` the instant before it is on its
    way. `wake` wakes the task that waits for the disk: the disk works on while its process is paused, and the
    process learns of it afterwards.
    """

    def __init__(
        self,
        world: World,
        disk: Disk,
        observe: Callable[[Sequence[Record], bytes], None],
        *,
        begins: Callable[[], None] | None = None,
        wake: Callable[[Waiter], bool] | None = None,
    ) -> None:
        self._world = world
        self._disk = disk
        self._observe = observe
        self._begins = begins
        self._wake = wake
        self._waiter = Waiter(world)
        self._compacting = Waiter(world)
        """Of its own: batches are committed meanwhile, and neither may wake who waits for the other."""

    async def commit(self, records: Sequence[Record]) -> None:
        """Write and sync a batch. Raises JournalFull."""
        payload = _encoder.encode(records)
        frame = self._disk.begin(payload)
        if self._begins is not None:
            self._begins()
        self._world.after(self._disk.sync_ns, self._synced, (frame, records, payload))
        await self._waiter.wait()

    def _synced(self, what: tuple[bytes, Sequence[Record], bytes]) -> None:
        frame, records, payload = what
        if self._disk.sync(frame):
            self._observe(records, payload)
            self._done(self._waiter)

    def _done(self, waiter: Waiter) -> None:
        if self._wake is not None:
            self._wake(waiter)
        else:
            waiter.wake(None)

    async def load(self) -> AsyncIterator[Sequence[Record]]:
        """Every record, in order."""
        self._world.after(self._disk.load_ns, self._done, self._waiter)
        await self._waiter.wait()
        for batch in self._disk.batches():
            yield batch

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        """Audit rows beyond a sequence number."""
        rows = audit_rows(record for batch in self._disk.batches() for record in batch)
        if newest_first:
            rows = [row for row in reversed(rows) if not after or row.seq < after]
        else:
            rows = [row for row in rows if row.seq > after]
        return rows[:limit]

    async def compact(self) -> None:
        """Rewrite the disk without what was erased; takes as long as reading it."""
        self._world.after(self._disk.load_ns, self._done, self._compacting)
        await self._compacting.wait()
        self._disk.compact()
