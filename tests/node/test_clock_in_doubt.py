"""A clock that was wrong for a second silences nobody: the jump is seen before it becomes a stamp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core import limits
from stigmem.core.audit import AuditRow
from stigmem.core.hlc import parse_stamp, stamp_wall_ms
from stigmem.core.records import CursorRow, DeadLetter, Record
from stigmem.core.wire import CLOCK_HEADER, Response
from stigmem.node.settings import NodeSettings
from stigmem.node.trusted_clock import TrustedClock
from stigmem.testing import ManualClock
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, node_url="http://here.example")
DAY_MS = 86_400_000
DISCOVERY = "/.well-known/stigmem"
CLOCK, CONFIRM = "/v1/admin/clock", "/v1/admin/clock/confirm"


async def write(bench: Bench, text: str) -> Response:
    return await ask(bench, "POST", "/v1/facts", saying(text))


async def refused(bench: Bench, text: str = "in doubt") -> None:
    response = await write(bench, text)
    assert read(response, 503)["code"] == "clock_in_doubt"
    assert response.headers["retry-after"] == "15"


def told(ms: int) -> Response:
    """What a peer answers that shows this time."""
    return Response(200, {CLOCK_HEADER: str(ms)}, b"{}")


def audited(bench: Bench) -> list[tuple[str, Any]]:
    """The audit rows of the clock: event, and how it was settled."""
    rows = [row for row in bench.audit_rows if row.event.startswith("clock_")]
    return [(row.event, read(Response(200, {}, row.detail.encode())).get("how")) for row in rows]


# --- what is refused, and what is not ---


@pytest.mark.parametrize("days", [1, 400])
async def test_a_clock_that_was_days_ahead_for_five_seconds_leaves_no_stamp_there(days: int) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert (await write(bench, "before")).status == 201
        bench.clock.wall_ms += days * DAY_MS
        await refused(bench)
        await bench.clock.advance(5)
        await refused(bench)
        bench.clock.wall_ms -= days * DAY_MS
        written = read(await write(bench, "after"), 201)
        assert stamp_wall_ms(parse_stamp(written["hlc"])) == NOW_MS + 5_000
        assert bench.node.state.stamps_ahead_ms(bench.wall_ms) == 0


async def test_every_way_of_writing_is_refused_in_doubt_and_reads_are_answered() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        fact = read(await write(bench, "one"), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("two", source="agent:other")), 201)
        conflict = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"][0]["conflict_id"]
        bench.clock.wall_ms += DAY_MS
        batch = {"facts": [saying("three"), saying("four")]}
        resolution = {"winning_fact_id": fact["id"]}
        for path, body in (("/v1/facts/batch", batch), (f"/v1/conflicts/{conflict}/resolve", resolution)):
            read(await ask(bench, "POST", path, body), 503)
        assert read(await ask(bench, "GET", f"/v1/facts/{fact['id']}"))["id"] == fact["id"]
        assert (await write(bench, "one")).status in (200, 201)  # held already: no stamp is needed
        assert len(bench.node.state.ledger) == 2


async def test_nothing_expires_by_a_time_that_is_not_believed() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        until = "2026-11-20T09:00:00Z"
        fact = read(await ask(bench, "POST", "/v1/facts", saying("for an hour", valid_until=until)), 201)
        bench.clock.wall_ms += DAY_MS
        found = read(await ask(bench, "GET", "/v1/facts"))["facts"]
        assert [each["id"] for each in found] == [fact["id"]]


async def test_a_machine_that_was_suspended_for_a_week_writes_at_once() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        bench.clock.suspended(7 * DAY_MS)
        written = read(await write(bench, "awake"), 201)
        assert stamp_wall_ms(parse_stamp(written["hlc"])) == NOW_MS + 7 * DAY_MS
        assert audited(bench) == []


async def test_a_clock_that_is_set_back_and_comes_forward_again_is_not_in_doubt() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        bench.clock.wall_ms -= 10 * 60_000
        assert (await write(bench, "behind")).status == 201
        await bench.clock.advance(60)
        bench.clock.wall_ms += 10 * 60_000
        assert (await write(bench, "right")).status == 201


async def test_the_bound_itself_is_believed_and_a_millisecond_more_is_not() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        bench.clock.wall_ms += limits.CLOCK_JUMP_MS
        assert (await write(bench, "at the bound")).status == 201
        bench.clock.wall_ms += 1
        await refused(bench)


async def test_a_clock_without_a_battery_is_in_doubt_when_it_is_set_and_not_before() -> None:
    """It starts in 1970, after the journal's last stamp; then the time daemon sets it an hour after that stamp."""
    first = Bench(NOW_MS)
    bench = first
    async with running(bench, SETTINGS):
        read(await write(bench, "before the power went"), 201)
    later = Bench(1_000_000)
    later.records = first.records
    bench = later
    async with running(bench, SETTINGS):
        assert read(await ask(bench, "GET", CLOCK, by=ADMIN))["start_lead_s"] == (1_000_000 - NOW_MS) / 1_000
        written = read(await write(bench, "still in 1970"), 201)
        assert stamp_wall_ms(parse_stamp(written["hlc"])) == NOW_MS
        bench.clock.wall_ms = NOW_MS + 3_600_000
        await refused(bench)
        await bench.clock.advance(limits.CLOCK_HOLD_S + 16)
        assert (await write(bench, "now")).status == 201


# --- how a doubt ends ---


async def test_a_jump_that_nobody_contradicts_is_believed_after_some_minutes() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        await bench.clock.advance(limits.CLOCK_HOLD_S - 1)
        await refused(bench)
        await bench.clock.advance(17)
        written = read(await write(bench, "held"), 201)
        assert stamp_wall_ms(parse_stamp(written["hlc"])) == NOW_MS + DAY_MS + (limits.CLOCK_HOLD_S + 16) * 1_000
        assert audited(bench) == [("clock_doubted", None), ("clock_doubt_ended", "held")]


async def test_a_jump_that_moves_on_begins_to_be_held_anew() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        await bench.clock.advance(limits.CLOCK_HOLD_S - 20)
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        await bench.clock.advance(60)
        await refused(bench)


@pytest.mark.parametrize(
    ("clocks", "is_believed"),
    [
        ((DAY_MS,), True),
        ((DAY_MS, 0), False),
        ((DAY_MS, DAY_MS, 0), True),
        ((DAY_MS + 2 * limits.CLOCK_JUMP_MS,), False),
        ((DAY_MS, None), False),
    ],
)
async def test_more_than_half_of_the_approved_peers_confirm_a_jump(
    clocks: tuple[int | None, ...], *, is_believed: bool
) -> None:
    """`clocks`: by how much each peer's clock is ahead of ours before the jump; None does not answer."""
    there = Bench(NOW_MS)
    for number, ahead_ms in enumerate(clocks, 1):
        peer = Peer(there, number)
        if ahead_ms is not None:
            there.answers[f"http://{peer.peer_id}.example", DISCOVERY] = told(NOW_MS + ahead_ms)
    bench = there
    async with running(bench, SETTINGS):
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        await bench.clock.advance(20)
        if is_believed:
            assert (await write(bench, "confirmed")).status == 201
            assert audited(bench)[-1] == ("clock_doubt_ended", "peers")
        else:
            await refused(bench)


async def test_a_jump_that_a_peer_contradicts_does_not_become_right_by_waiting() -> None:
    there = Bench(NOW_MS)
    Peer(there, 1), Peer(there, 2)
    there.answers["http://peer-1.example", DISCOVERY] = told(NOW_MS)
    bench = there
    async with running(bench, SETTINGS):
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        await bench.clock.advance(3 * limits.CLOCK_HOLD_S)
        await refused(bench)
        shown = read(await ask(bench, "GET", CLOCK, by=ADMIN))
        assert (shown["in_doubt"], shown["peers"], shown["contradicting"], shown["agreeing"]) == (True, 2, 1, 0)
        assert round(shown["lead_s"]) == DAY_MS // 1_000


async def test_the_operator_confirms_a_jump_and_nobody_else_does() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert read(await ask(bench, "POST", CONFIRM, by=ADMIN), 409)["code"] == "clock_not_in_doubt"
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        read(await ask(bench, "POST", CONFIRM), 403)
        assert not read(await ask(bench, "POST", CONFIRM, by=ADMIN))["in_doubt"]
        assert (await write(bench, "confirmed")).status == 201
        await bench.clock.advance(60)
        assert audited(bench) == [("clock_doubted", None), ("clock_doubt_ended", "operator")]


# --- what was found too early by a clock that was wrong ---


def read_before(bench: Bench) -> str:
    """A peer that was read to a cursor, and of which a fact was given up as too early; its id."""
    peer = Peer(bench, 1)
    bench.records += [CursorRow(peer.peer_id, "s:9", 0, True), DeadLetter(peer.peer_id, "far ahead", "hlc_skew")]
    return peer.peer_id


@pytest.mark.parametrize(("sets_it_back", "cursor"), [(True, "s:9"), (False, None)])
async def test_who_brought_what_was_too_early_is_read_again_once_a_jump_was_right(
    *, sets_it_back: bool, cursor: str | None
) -> None:
    there = Bench(NOW_MS)
    peer_id = read_before(there)
    bench = there
    async with running(bench, SETTINGS):
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        if sets_it_back:
            bench.clock.wall_ms -= DAY_MS
        await bench.clock.advance(limits.CLOCK_HOLD_S + 40)
        assert (await write(bench, "settled")).status == 201
        assert bench.node.state.cursors[peer_id].cursor == cursor


async def test_who_brought_what_was_too_early_is_read_again_when_the_clock_has_come_back_from_the_past() -> None:
    there = Bench(NOW_MS)
    peer_id = read_before(there)
    bench = there
    async with running(bench, SETTINGS):
        bench.clock.wall_ms -= 2 * DAY_MS
        await bench.clock.advance(130)
        assert bench.node.state.cursors[peer_id].cursor == "s:9"
        bench.clock.wall_ms += 2 * DAY_MS
        await bench.clock.advance(130)
        assert bench.node.state.cursors[peer_id].cursor is None
        assert audited(bench) == []


async def test_peers_are_shown_the_clock_of_the_machine_also_in_doubt() -> None:
    """A federation that was suspended as a whole agrees on the time, although each node doubts its own clock."""
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert CLOCK_HEADER not in (await ask(bench, "GET", DISCOVERY)).headers
        asking = {CLOCK_HEADER: "0"}
        assert (await ask(bench, "GET", DISCOVERY, headers=asking)).headers[CLOCK_HEADER] == str(NOW_MS)
        bench.clock.wall_ms += DAY_MS
        shown = (await ask(bench, "GET", DISCOVERY, headers=asking)).headers[CLOCK_HEADER]
        assert shown == str(NOW_MS + DAY_MS)


async def test_stamps_that_are_ahead_are_told_of() -> None:
    first = Bench(NOW_MS + DAY_MS)
    bench = first
    async with running(bench, SETTINGS):
        read(await write(bench, "a day ahead"), 201)
    right = Bench(NOW_MS)
    right.records = first.records
    bench = right
    async with running(bench, SETTINGS):
        shown = read(await ask(bench, "GET", CLOCK, by=ADMIN))
        assert (shown["own_stamps_ahead_s"], shown["start_lead_s"]) == (DAY_MS / 1_000, -DAY_MS / 1_000)


async def test_a_jump_that_comes_while_the_end_of_the_last_one_is_stored_is_seen_to_as_well() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        bench.clock.wall_ms -= DAY_MS
        commit = bench.journal.commit

        async def jumping(records: Sequence[Record]) -> None:
            if any(isinstance(record, AuditRow) and record.event == "clock_doubt_ended" for record in records):
                bench.journal.commit = commit  # type: ignore[method-assign]
                bench.clock.wall_ms += DAY_MS
                bench.node.clock.wall_ns()
            await commit(records)

        bench.journal.commit = jumping  # type: ignore[method-assign]
        await bench.clock.advance(limits.CLOCK_HOLD_S + 40)
        assert (await write(bench, "held")).status == 201
        assert audited(bench) == [
            ("clock_doubted", None), ("clock_doubt_ended", "gone"),
            ("clock_doubted", None), ("clock_doubt_ended", "held"),
        ]  # fmt: skip


async def test_a_doubt_survives_a_restart_and_ends_like_any_other() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert (await write(bench, "before")).status == 201
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        await bench.clock.advance(40)
    again = Bench(NOW_MS + DAY_MS + 60_000)
    again.records = bench.records
    async with running(again, SETTINGS) as node:
        await refused(again)
        doubted_ms = node.clock.wall_ns() // 1_000_000
        assert NOW_MS + 30_000 <= doubted_ms <= NOW_MS + 60_000, "the line goes on from where it stood last"
        again.clock.wall_ms -= DAY_MS
        await again.clock.advance(limits.CLOCK_HOLD_S + 20)
        assert (await write(again, "after")).status == 201
    assert again.node.state.doubted_line_ms == 0
    third = Bench(again.wall_ms + DAY_MS)
    third.records = again.records
    async with running(third, SETTINGS):
        assert (await write(third, "a doubt that ended is over")).status == 201


async def test_a_clock_that_was_set_right_while_the_node_was_down_ends_the_doubt_at_the_start() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert (await write(bench, "before")).status == 201
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        await bench.settle()
    again = Bench(NOW_MS + 30_000)
    again.records = bench.records
    async with running(again, SETTINGS):
        assert (await write(again, "after")).status == 201
        await again.settle()
        assert audited(again)[-1] == ("clock_doubt_ended", "gone")
        assert again.node.state.doubted_line_ms == 0


async def test_an_operator_who_confirms_ends_a_doubt_for_the_next_start_too() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        bench.clock.wall_ms += DAY_MS
        await refused(bench)
        await bench.settle()
        assert bench.node.state.doubted_line_ms
        read(await ask(bench, "POST", CONFIRM, by=ADMIN))
        assert bench.node.state.doubted_line_ms == 0


# --- the arithmetic by itself ---


class Machine:
    """The clock of a machine whose two faces a test moves one by one."""

    def __init__(self) -> None:
        self.wall, self.elapsed, self.elapsed_reads = 10**18, 0, 0

    def wall_ns(self) -> int:
        return self.wall

    def elapsed_ns(self) -> int:
        self.elapsed_reads += 1
        return self.elapsed

    def monotonic_ns(self) -> int:
        return self.elapsed

    signal = sleep = checkpoint = spawn = None


S = 1_000_000_000


@given(st.lists(st.tuples(st.integers(0, 600 * S), st.integers(-500 * S, 500 * S))))
def test_what_is_shown_never_outruns_what_elapsed_by_more_than_the_bound_and_a_tenth(
    moves: list[tuple[int, int]],
) -> None:
    machine = Machine()
    clock = TrustedClock(machine)  # type: ignore[arg-type]
    first = machine.wall
    for passed, step in moves:
        machine.elapsed += passed
        machine.wall += passed + step
        shown = clock.wall_ns()
        assert shown <= first + machine.elapsed * 1.1 + limits.CLOCK_JUMP_MS * 1_000_000
        assert shown == machine.wall or clock.doubt is not None


def test_a_clock_that_a_daemon_slews_by_a_twelfth_is_always_believed() -> None:
    machine = Machine()
    clock = TrustedClock(machine)  # type: ignore[arg-type]
    for _ in range(10_000):
        machine.elapsed += S
        machine.wall += S + S // 12
        assert clock.wall_ns() == machine.wall


def test_many_small_jumps_one_after_the_other_are_one_large_one() -> None:
    machine = Machine()
    clock = TrustedClock(machine)  # type: ignore[arg-type]
    doubted = []
    for _ in range(2):
        machine.elapsed += 2 * limits.CLOCK_JUMP_MS * 1_000_000
        machine.wall += 2 * limits.CLOCK_JUMP_MS * 1_000_000 + 900_000 * limits.CLOCK_JUMP_MS
        clock.wall_ns()
        doubted.append(clock.doubt is not None)
    assert doubted == [False, True]


def test_a_clock_that_starts_behind_the_journal_may_be_set_to_where_the_stamps_are() -> None:
    machine = Machine()
    clock = TrustedClock(machine)  # type: ignore[arg-type]
    stamped_ms = machine.wall // 1_000_000 + DAY_MS
    clock.start_from(stamped_ms)
    machine.wall = (stamped_ms + limits.CLOCK_JUMP_MS) * 1_000_000
    assert (clock.wall_ns(), clock.doubt) == (machine.wall, None)
    machine.wall += 1
    assert clock.wall_ns() == stamped_ms * 1_000_000
    assert clock.doubt is not None


def test_the_second_clock_is_read_about_once_a_minute() -> None:
    machine = Machine()
    clock = TrustedClock(machine)  # type: ignore[arg-type]
    machine.elapsed_reads = 0
    for _ in range(60_000):
        machine.elapsed += 10_000_000
        machine.wall += 10_000_000
        clock.wall_ns()
    assert machine.elapsed_reads <= 11


def test_a_manual_clock_that_is_set_jumps_and_one_that_was_suspended_does_not() -> None:
    clock = ManualClock(NOW_MS)
    clock.suspended(1_000)
    assert (clock.wall_ms, clock.elapsed_ns, clock.monotonic_ns) == (NOW_MS + 1_000, 1_000_000_000, 0)
    clock.wall_ms += 5
    assert clock.elapsed_ns == 1_000_000_000
