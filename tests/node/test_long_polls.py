"""Pulls that wait for news: who is let go when, in which order, and what a peer may have waiting."""

from __future__ import annotations

from collections.abc import Callable

from stigmem.core import limits
from stigmem.core.errors import StigmemError
from stigmem.core.wire import Response
from stigmem.node.replication.long_polls import LongPolls
from stigmem.node.transaction import Submission, Transaction


class Box:
    """A mailbox that only keeps what is put into it."""

    def __init__(self) -> None:
        self.put_in: list[Submission] = []

    def put(self, submission: Submission) -> None:
        self.put_in.append(submission)


class Pull:
    """A pull of `peer_id` that must be answered at `deadline_ns`."""

    leans_on_records = True

    def __init__(self, peer_id: str, deadline_ns: int, *, news: bool = False) -> None:
        self.peer_id = peer_id
        self.deadline_ns = deadline_ns
        self.news = news
        self.answer: Callable[[Response], None] = lambda _: None

    def has_news(self) -> bool:
        return self.news

    def is_for(self, answer: Callable[[Response], None]) -> bool:
        return self.answer is answer

    def stage(self, txn: Transaction) -> None:
        raise AssertionError("the box stages nothing")

    def release(self) -> None:
        raise AssertionError("the box releases nothing")

    def fail(self, error: StigmemError) -> None:
        raise AssertionError(error)


def polls() -> tuple[LongPolls, Box]:
    box = Box()
    return LongPolls(box), box  # type: ignore[arg-type]


def test_a_pull_whose_time_is_up_is_let_go_and_the_others_wait_on() -> None:
    found, box = polls()
    first, second, third = Pull("a", 30), Pull("b", 10), Pull("c", 20)
    for pull in (first, second, third):
        found.add(pull)
    assert found.next_deadline_ns() == 10
    found.release(20, news=False)
    assert box.put_in == [second, third]
    assert len(found) == 1
    assert found.next_deadline_ns() == 30


def test_news_lets_those_go_whose_page_would_hold_a_fact_in_the_order_in_which_they_came() -> None:
    found, box = polls()
    pulls = [Pull("a", 99, news=True), Pull("b", 99), Pull("c", 99, news=True)]
    for pull in pulls:
        found.add(pull)
    found.release(0, news=False)
    assert box.put_in == []
    found.release(0, news=True)
    assert box.put_in == [pulls[0], pulls[2]]


def test_a_peer_may_have_so_many_waiting_and_no_more_and_others_are_not_its_business() -> None:
    found, _ = polls()
    for _ in range(limits.LONG_POLLS_PER_PEER_MAX):
        assert found.has_room("a")
        found.add(Pull("a", 1))
    assert not found.has_room("a")
    assert found.has_room("b")


def test_whoever_keeps_time_is_told_of_each_that_is_added() -> None:
    found, _ = polls()
    told: list[int] = []
    found.subscribe(lambda: told.append(len(found)))
    found.add(Pull("a", 1))
    found.add(Pull("b", 1))
    assert told == [1, 2]


def test_a_node_that_stops_lets_all_of_them_go() -> None:
    found, box = polls()
    pulls = [Pull("a", 5), Pull("b", 7)]
    for pull in pulls:
        found.add(pull)
    found.release_all()
    assert box.put_in == pulls
    assert (len(found), found.next_deadline_ns()) == (0, None)


def test_a_caller_that_has_gone_gives_its_place_back_and_nobody_elses() -> None:
    found, box = polls()
    gone, stays = Pull("a", 5), Pull("a", 5)
    found.add(gone)
    found.add(stays)
    found.withdraw(gone.answer)
    found.release_all()
    assert box.put_in == [stays]
