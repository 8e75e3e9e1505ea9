"""A disk that forgets what was not synced (spec/simulation.md, 4): fates of a batch, damage, full, slow, wiped."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from sim.world.disk import Disk, Fate, SimJournal
from sim.world.world import World, simulate
from stigmem.core.errors import JournalCorrupt
from stigmem.core.hlc import Stamp
from stigmem.core.records import ClockMark, Record
from stigmem.node.ports import JournalFull

MS = 1_000_000


def make_disk(capacity: int | None = None) -> Disk:
    return Disk(Random(1), sync_ns=MS, capacity_bytes=capacity)


def mark(number: int) -> list[Record]:
    return [ClockMark(Stamp(number))]


def store(disk: Disk, *batches: Sequence[Record], crash: Fate | None = None) -> list[tuple[int, Sequence[Record]]]:
    """Commit batches; the last one is struck by a crash when a fate is given. What became durable, and when."""
    world = World()
    seen: list[tuple[int, Sequence[Record]]] = []
    journal = SimJournal(world, disk, lambda records, _: seen.append((world.now, records)))

    async def main() -> None:
        for number, batch in enumerate(batches, 1):
            if crash is not None and number == len(batches):
                world.after(disk.sync_ns // 2, lambda _: (disk.crash(crash), world.finish()))
            await journal.commit(batch)
        world.finish()

    async def run() -> None:
        import trio

        async with trio.open_nursery() as nursery:
            world.start_task(nursery, main, "writer")
            await world.run()
            nursery.cancel_scope.cancel()

    simulate(world, run)
    return seen


def test_a_batch_is_durable_after_one_sync_and_is_read_back() -> None:
    disk = make_disk()
    seen = store(disk, mark(1), mark(2))
    assert [at for at, _ in seen] == [MS, 2 * MS]
    assert disk.batches() == [mark(1), mark(2)]


@pytest.mark.parametrize(("fate", "left"), [("lost", [1]), ("torn", [1]), ("kept", [1, 2])])
def test_a_crash_decides_the_fate_of_the_batch_on_its_way_and_of_no_other(fate: Fate, left: list[int]) -> None:
    disk = make_disk()
    seen = store(disk, mark(1), mark(2), crash=fate)
    assert [records for _, records in seen] == [mark(1)], "nobody is told of a batch that was struck"
    assert disk.batches() == [mark(number) for number in left]


def test_a_torn_frame_is_cut_off_once_and_the_disk_goes_on() -> None:
    disk = make_disk()
    store(disk, mark(1), mark(2), crash="torn")
    used = disk.bytes_used
    disk.batches()
    assert disk.bytes_used < used
    store(disk, mark(3))
    assert disk.batches() == [mark(1), mark(3)]


def test_every_fate_is_drawn_and_a_fixed_one_costs_the_same_draw() -> None:
    drawn = {make_fate(seed, None) for seed in range(30)}
    assert drawn == {"lost", "torn", "kept"}
    random, other = Random(5), Random(5)
    Disk(random, sync_ns=1).crash()
    Disk(other, sync_ns=1).crash("lost")
    assert random.random() == other.random()


def make_fate(seed: int, fate: Fate | None) -> str:
    disk = Disk(Random(seed), sync_ns=1)
    disk.begin(b"payload")
    return disk.crash(fate)


def test_a_crash_with_nothing_on_its_way_loses_nothing() -> None:
    disk = make_disk()
    store(disk, mark(1))
    assert disk.crash() == "nothing"
    assert disk.batches() == [mark(1)]


def test_a_sync_of_before_the_crash_does_not_make_a_later_batch_durable() -> None:
    disk = make_disk()
    first = disk.begin(b"first")
    disk.crash("lost")
    second = disk.begin(b"second")
    assert not disk.sync(first)
    assert disk.busy
    assert disk.sync(second)


def test_damage_before_the_end_is_corruption() -> None:
    disk = make_disk()
    store(disk, mark(1), mark(2))
    disk.frames[0] = disk.frames[0][:-1] + bytes([disk.frames[0][-1] ^ 1])
    with pytest.raises(JournalCorrupt, match="frame 1 of 2"):
        disk.batches()


def test_a_full_disk_takes_nothing_and_keeps_what_it_has() -> None:
    disk = make_disk()
    store(disk, mark(1))
    disk.fill("one")
    disk.fill("other")
    disk.free("one")
    with pytest.raises(JournalFull):
        disk.begin(b"x")
    disk.free("other")
    store(disk, mark(2))
    assert disk.batches() == [mark(1), mark(2)]


def test_a_disk_holds_as_many_bytes_as_it_has() -> None:
    disk = make_disk(capacity=20)
    disk.sync(disk.begin(b"twelve bytes"))
    assert disk.bytes_used == 20
    with pytest.raises(JournalFull):
        disk.begin(b"")


def test_slow_disks_multiply_and_return_to_what_they_were() -> None:
    disk = make_disk()
    disk.slow_down("one", 10)
    disk.slow_down("other", 5)
    assert disk.sync_ns == 50 * MS
    assert store(disk, mark(1))[0][0] == 50 * MS
    disk.speed_up("one")
    disk.speed_up("other")
    assert disk.sync_ns == MS


def test_a_wiped_disk_is_empty() -> None:
    disk = make_disk()
    store(disk, mark(1))
    disk.wipe()
    assert (disk.batches(), disk.bytes_used, disk.busy) == ([], 0, False)


def test_a_compaction_and_a_commit_do_not_wake_each_other() -> None:
    world, disk = World(), make_disk()
    seen: list[tuple[str, int]] = []
    journal = SimJournal(world, disk, lambda records, _: seen.append(("durable", world.now)))

    async def commit() -> None:
        await journal.commit(mark(1))
        seen.append(("told", world.now))

    async def run() -> None:
        import trio

        async def compact() -> None:
            await journal.compact()
            seen.append(("compact", world.now))

        async with trio.open_nursery() as nursery:
            disk.slow_down("test", 2)
            world.start_task(nursery, commit, "writer")
            world.at(MS // 2, lambda _: (disk.speed_up("test"), world.start_task(nursery, compact, "eraser")))
            world.at(5 * MS, lambda _: world.finish())
            await world.run()
            nursery.cancel_scope.cancel()

    simulate(world, run)
    assert seen == [("compact", 3 * MS // 2), ("durable", 2 * MS), ("told", 2 * MS)]
