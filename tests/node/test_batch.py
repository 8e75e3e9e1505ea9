"""Batches: what is staged, what of it is durable before anybody is told, and who is told what in which order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from stigmem.core import limits
from stigmem.core.audit import AuditRow
from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import StigmemError
from stigmem.core.fact import Fact
from stigmem.core.records import ClockMark, CursorRow, DeadLetter, HorizonMark, PeerRow, Record
from stigmem.core.wire import Request, Response
from stigmem.node.callers import Caller
from stigmem.node.events import NodeEvents
from stigmem.node.mailbox import Delivered, Mailbox, NotStored
from stigmem.node.node import Node
from stigmem.node.ports import Context, JournalFull
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.transaction import (
    DeadlineAdded,
    FactsAdded,
    PeerChanged,
    RetryNextBatch,
    Submission,
    Transaction,
    stage_batch,
)
from stigmem.node.trusted_clock import TrustedClock
from stigmem.node.writer import Writer
from stigmem.testing import ScriptedTransport
from tests.builders import T0_MS, OneSalt, fact
from tests.node.api import SEED, WRITER, saying

FULL = JournalFull("disk_full", "no space is left")
SETTINGS = NodeSettings(seed=SEED)


class Signal:
    """A signal without a time limit."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout_ns: int | None = None) -> bool:
        await self._event.wait()
        self._event = trio.Event()
        return True


class Clock:
    """A clock that stands still."""

    def __init__(self, nursery: trio.Nursery | None = None) -> None:
        self._nursery = nursery

    def wall_ns(self) -> int:
        return T0_MS * 1_000_000

    def monotonic_ns(self) -> int:
        return 5

    def elapsed_ns(self) -> int:
        return 5

    def signal(self) -> Signal:
        return Signal()

    async def sleep(self, ns: int) -> None:
        raise AssertionError("nobody sleeps here")

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        assert self._nursery is not None, "nobody starts tasks here"
        self._nursery.start_soon(body, name=name)


class Say:
    """A submission that does what `body` says, and notes in `seen` what becomes of it."""

    def __init__(
        self, name: str, body: Callable[[Transaction], Any], seen: list[str], *, leans_on_records: bool = True
    ) -> None:
        self.name = name
        self.body = body
        self.seen = seen
        self.leans_on_records = leans_on_records

    def stage(self, txn: Transaction) -> None:
        self.seen.append(f"{self.name} staged")
        self.body(txn)

    def release(self) -> None:
        self.seen.append(f"{self.name} released")

    def fail(self, error: StigmemError) -> None:
        self.seen.append(f"{self.name} failed: {error.code}")


class Loud(NodeEvents):
    """Bugs fail the test; commits are noted."""

    def bug(self, error: Exception) -> None:
        raise AssertionError(error)


def state() -> NodeState:
    return NodeState(SETTINGS, Clock())


def transaction(held: NodeState | None = None) -> Transaction:
    return Transaction(held or state(), SETTINGS, T0_MS * 1_000_000, 5, salts=OneSalt())


def no_bugs(bug: Exception) -> None:
    raise AssertionError(bug)


def peer(number: int) -> PeerRow:
    return PeerRow(f"peer-{number}", f"stigmem:node:{number}", "http://p.example", "key", ("public",), ACTIVE, "2.1+")


# --- staging, without an event loop ---


def test_records_are_in_the_order_of_submission_and_notices_tell_of_peers_then_deadlines_then_facts() -> None:
    seen: list[str] = []
    soon = fact(1, valid_until="2040-01-01T00:00:00Z")
    batch, again = stage_batch(
        transaction(),
        [
            Say("a", lambda txn: txn.store(soon), seen),
            Say("b", lambda txn: txn.add(peer(2)), seen),
            Say("c", lambda txn: txn.add(peer(1)), seen),
            Say("d", lambda txn: txn.store(fact(2)), seen),
        ],
        no_bugs,
    )
    assert [type(record) for record in batch.records] == [Fact, PeerRow, PeerRow, Fact, HorizonMark]
    assert batch.notices == (PeerChanged(peer(2)), PeerChanged(peer(1)), DeadlineAdded(), FactsAdded(5))
    assert [reply.name for reply in batch.replies] == ["a", "b", "c", "d"]  # type: ignore[attr-defined]
    assert again == []


def test_a_fact_that_is_tried_again_has_a_deadline_and_one_that_is_refused_has_none() -> None:
    for letter, notices in (
        (DeadLetter("peer-1", "x", "hlc_skew", b"{}", 7), (DeadlineAdded(),)),
        (DeadLetter("peer-1", "x", "cid_mismatch"), ()),
    ):
        batch, _ = stage_batch(transaction(), [Say("a", lambda txn, row=letter: txn.add(row), [])], no_bugs)  # type: ignore[misc]
        assert batch.notices == notices


def test_staging_changes_no_state() -> None:
    held = state()
    batch, _ = stage_batch(transaction(held), [Say("a", lambda txn: txn.store(fact(1)), [])], no_bugs)
    assert [type(record) for record in batch.records] == [Fact, HorizonMark]
    assert len(held.ledger) == 0


def test_a_clock_that_moved_is_recorded_with_the_batch_and_not_without_one() -> None:
    batch, _ = stage_batch(transaction(), [Say("a", lambda txn: (txn.tick(), txn.add(peer(1))), [])], no_bugs)
    assert [type(record) for record in batch.records] == [PeerRow, ClockMark]
    batch, _ = stage_batch(transaction(), [Say("a", lambda txn: txn.tick(), [])], no_bugs)
    assert batch.records == ()


def test_who_finds_its_subject_reserved_stages_nothing_and_comes_again_in_its_place() -> None:
    def claim(txn: Transaction) -> None:
        txn.add(peer(1))
        txn.reserve("peer", "north")

    submissions: list[Submission] = [Say(name, claim, []) for name in "abc"]
    batch, again = stage_batch(transaction(), submissions, no_bugs)
    assert batch.replies == (submissions[0],)
    assert again == submissions[1:]
    assert batch.records == (peer(1),)


def test_a_full_transaction_leaves_the_rest_for_the_next_one() -> None:
    def fill(txn: Transaction) -> None:
        for _ in range(limits.TURN_RECORDS_MAX):
            txn.add(peer(1))

    submissions: list[Submission] = [Say("a", fill, []), Say("b", lambda txn: txn.add(peer(2)), [])]
    batch, again = stage_batch(transaction(), submissions, no_bugs)
    assert len(batch.records) == limits.TURN_RECORDS_MAX
    assert again == submissions[1:]


def test_a_bug_costs_its_submission_and_leaves_nothing_of_it_behind() -> None:
    seen: list[str] = []
    bugs: list[Exception] = []

    def broken(txn: Transaction) -> None:
        txn.store(fact(1))
        txn.audit("fact_write", "agent:a")
        raise ZeroDivisionError

    batch, again = stage_batch(
        transaction(), [Say("a", broken, seen), Say("b", lambda txn: txn.store(fact(2)), seen)], bugs.append
    )
    assert seen == ["a staged", "a failed: internal_error", "b staged"]
    assert [type(bug) for bug in bugs] == [ZeroDivisionError]
    assert [record.seq for record in batch.records if isinstance(record, Fact)] == [1]
    assert [type(record) for record in batch.records] == [Fact, HorizonMark]
    assert again == []


def test_a_rollback_gives_numbers_and_the_end_of_the_audit_chain_back() -> None:
    txn = transaction()
    first = txn.audit("fact_write", "agent:a")
    savepoint = txn.savepoint()
    txn.store(fact(1))
    txn.audit("fact_write", "agent:b")
    txn.rollback(savepoint)
    assert txn.staged(fact(1).origin, fact(1).id) is None
    assert txn.store(fact(2)).seq == 1
    assert txn.audit("fact_write", "agent:c").previous == first.hash


# --- the writer ---


class Journal:
    """Notes commits in `seen`; refuses while `refuses`, and waits for `gate` while there is one."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen
        self.refuses = False
        self.gate: trio.Event | None = None

    async def commit(self, records: Sequence[Record]) -> None:
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.refuses:
            raise FULL
        self.seen.append(f"committed {len(records)}")

    async def load(self) -> AsyncIterator[Sequence[Record]]:
        yield []

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        return []


class Running:
    """A writer that runs on a journal that notes what happens."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.seen: list[str] = []
        clock = TrustedClock(Clock())
        self.mailbox = Mailbox(clock, 10)
        self.state = NodeState(SETTINGS, clock)
        self.journal = Journal(self.seen)
        writer = Writer(
            mailbox=self.mailbox,
            state=self.state,
            begin=lambda: transaction(self.state),
            journal=self.journal,
            events=Loud(),
        )
        writer.subscribe(PeerChanged, lambda notice: self.seen.append(f"told of {notice.row.peer_id}"))
        writer.subscribe(FactsAdded, lambda _: self.seen.append(f"told of facts, of which there are {self.facts}"))
        nursery.start_soon(writer.run)

    @property
    def facts(self) -> int:
        return len(self.state.ledger)


async def test_records_are_durable_and_applied_before_replies_and_replies_come_before_notices(
    nursery: trio.Nursery,
) -> None:
    node = Running(nursery)
    shown: list[int] = []
    write, look = Say("write", lambda txn: txn.store(fact(1)), node.seen), Say("look", lambda txn: None, node.seen)
    write.release = lambda: shown.append(node.facts)  # type: ignore[method-assign]
    for each in (write, Say("row", lambda txn: txn.add(peer(1)), node.seen), look):
        assert node.mailbox.offer(each)
    await trio.testing.wait_all_tasks_blocked()
    assert node.seen == [
        "write staged", "row staged", "look staged", "committed 3", "row released", "look released",
        "told of peer-1", "told of facts, of which there are 1",
    ]  # fmt: skip
    assert shown == [1]


async def test_a_journal_that_refuses_fails_what_leans_on_it_answers_reads_and_tells_nobody(
    nursery: trio.Nursery,
) -> None:
    node = Running(nursery)
    node.journal.refuses = True
    for each in (
        Say("write", lambda txn: txn.store(fact(1)), node.seen),
        Say("repetition", lambda txn: None, node.seen),
        Say("look", lambda txn: None, node.seen, leans_on_records=False),
    ):
        node.mailbox.offer(each)
    await trio.testing.wait_all_tasks_blocked()
    assert node.seen[3:] == ["write failed: disk_full", "repetition failed: disk_full", "look released"]
    assert node.facts == 0


async def test_what_comes_again_keeps_its_place_before_what_came_later(nursery: trio.Nursery) -> None:
    node = Running(nursery)
    node.journal.gate = trio.Event()

    def claim(txn: Transaction) -> None:
        txn.reserve("peer", "north")
        txn.add(peer(1))

    for name in ("first", "second"):
        node.mailbox.offer(Say(name, claim, node.seen))
    await trio.testing.wait_all_tasks_blocked()
    node.mailbox.offer(Say("later", lambda txn: None, node.seen))
    node.journal.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert [each for each in node.seen if "staged" in each] == [
        "first staged", "second staged", "second staged", "later staged",
    ]  # fmt: skip


# --- commands ---


class Store:
    """A command that stores a fact, and returns its number."""

    def stage(self, txn: Transaction) -> int:
        return txn.store(fact(1)).seq


async def test_a_command_gives_its_result_once_it_is_durable(nursery: trio.Nursery) -> None:
    node = Running(nursery)
    assert await node.mailbox.submit(Store()) == 1
    assert node.seen[0] == "committed 2"
    assert node.facts == 1


async def test_a_command_that_could_not_be_stored_raises_and_says_what_it_would_have_come_to(
    nursery: trio.Nursery,
) -> None:
    node = Running(nursery)
    node.journal.refuses = True
    with pytest.raises(NotStored) as refused:
        await node.mailbox.submit(Store())
    assert (refused.value.code, refused.value.staged) == ("disk_full", 1)
    assert node.facts == 0


async def test_the_command_of_a_task_that_was_cancelled_is_committed_all_the_same(nursery: trio.Nursery) -> None:
    node = Running(nursery)
    node.journal.gate = trio.Event()
    with trio.move_on_after(0) as scope:
        await node.mailbox.submit(Store())
    assert scope.cancelled_caught
    await trio.testing.wait_all_tasks_blocked()
    node.journal.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert node.facts == 1


async def test_a_command_whose_result_is_delivered_is_told_of_in_the_order_of_the_batch(nursery: trio.Nursery) -> None:
    node = Running(nursery)
    node.mailbox.put(Say("before", lambda txn: None, node.seen))
    node.mailbox.put(Delivered(Store(), lambda seq: node.seen.append(f"delivered {seq}")))
    node.mailbox.put(Say("after", lambda txn: None, node.seen))
    await trio.testing.wait_all_tasks_blocked()
    assert node.seen[2:] == [
        "committed 2",
        "before released",
        "delivered 1",
        "after released",
        "told of facts, of which there are 1",
    ]


async def test_a_command_is_staged_again_after_it_had_to_wait(nursery: trio.Nursery) -> None:
    node = Running(nursery)
    times: list[int] = []

    class Twice:
        def stage(self, txn: Transaction) -> str:
            times.append(1)
            if len(times) == 1:
                raise RetryNextBatch
            txn.add(CursorRow("peer-1", None, 0, False, 0, 0))
            return "stored"

    assert await node.mailbox.submit(Twice()) == "stored"
    assert len(times) == 2


# --- listeners ---


class Broken(NodeEvents):
    """A listener that raises whatever it is told."""

    def committed(self, records: Sequence[Record]) -> None:
        raise ZeroDivisionError

    def served(self, request: Request, caller: Caller, response: Response, facts: int) -> None:
        raise ZeroDivisionError


async def test_a_listener_that_raises_keeps_nobody_from_an_answer(nursery: trio.Nursery) -> None:
    events, answers = Broken(), []
    node = Node(SETTINGS, Context(Clock(nursery), OneSalt(), ScriptedTransport(), Journal([])), events)
    node.start_writer()
    body = msgspec.json.encode(saying())
    node.offer(Request("POST", "/v1/facts", {}, body), lambda response: answers.append(response.status), WRITER)
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [201]
    assert [type(bug) for bug in events.bugs] == [ZeroDivisionError, ZeroDivisionError]


async def test_a_listener_is_told_of_commits_and_of_who_was_answered_what(nursery: trio.Nursery) -> None:
    told: list[object] = []

    class Listener(NodeEvents):
        def committed(self, records: Sequence[Record]) -> None:
            told.append([type(record) for record in records])

        def served(self, request: Request, caller: Caller, response: Response, facts: int) -> None:
            told.append((request.method, caller, response.status, facts))

    node = Node(SETTINGS, Context(Clock(nursery), OneSalt(), ScriptedTransport(), Journal([])), Listener())
    node.start_writer()
    body = msgspec.json.encode(saying())
    for request in (Request("POST", "/v1/facts", {}, body), Request("GET", "/v1/facts")):
        node.offer(request, lambda _: None, WRITER)
        await trio.testing.wait_all_tasks_blocked()
    assert told == [[Fact, AuditRow, HorizonMark, ClockMark], ("POST", WRITER, 201, 0), ("GET", WRITER, 200, 0)]
