"""How far a node lags behind its peers, and whom it turns away because of that."""

from __future__ import annotations

import pytest

from stigmem.core.errors import Refusal
from stigmem.node.replication.lag import LagMonitor
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction
from tests.builders import OneSalt
from tests.node.api import SEED
from tests.node.test_batch import Clock

SECOND_NS = 1_000_000_000
SETTINGS = NodeSettings(seed=SEED, lag_hard_ms=60_000)


def at(seconds: int) -> Transaction:
    """A transaction that begins when the monotonic clock shows so many seconds."""
    return Transaction(NodeState(SETTINGS, Clock()), SETTINGS, 0, seconds * SECOND_NS, salts=OneSalt())


def behind(*since_s: int | None) -> LagMonitor:
    """A monitor of peers `a`, `b`, ... that are known to have more since these seconds; None is up to date."""
    monitor = LagMonitor()
    for name, seconds in zip("abcdef", since_s, strict=False):
        monitor.watch(name).behind_since_ns = None if seconds is None else seconds * SECOND_NS
    return monitor


def test_the_lag_is_that_behind_the_worst_peer() -> None:
    assert behind(None, 10, 30).worst_ms(40 * SECOND_NS) == 30_000
    assert behind(None, None).worst_ms(40 * SECOND_NS) == 0
    assert LagMonitor().worst_ms(40 * SECOND_NS) == 0


def test_each_peer_has_a_lag_of_its_own() -> None:
    assert behind(None, 10).by_peer_ns(40 * SECOND_NS) == {"a": 0, "b": 30 * SECOND_NS}


def test_who_is_behind_every_peer_turns_a_puller_away_and_not_twice_in_a_row() -> None:
    monitor = behind(0, 10)
    with pytest.raises(Refusal) as refused:
        monitor.refuse_if_stale(at(100), "p")
    assert (refused.value.status, refused.value.code) == (503, "relay_lag_exceeded")
    assert refused.value.extra["lag_ms"] == 100_000
    monitor.refuse_if_stale(at(100), "p")
    with pytest.raises(Refusal):
        monitor.refuse_if_stale(at(100), "p")


@pytest.mark.parametrize("since_s", [(0,), (0, None), (0, 99)], ids=["one peer", "one up to date", "one just behind"])
def test_one_peer_that_pours_out_facts_does_not_silence_a_node(since_s: tuple[int | None, ...]) -> None:
    behind(*since_s).refuse_if_stale(at(100), "p")


def test_what_a_puller_that_was_replaced_reports_counts_for_nobody() -> None:
    monitor = LagMonitor()
    old = monitor.watch("a")
    monitor.forget("a")
    new = monitor.watch("a")
    old.behind_since_ns = 0
    assert monitor.worst_ms(SECOND_NS) == 0
    new.behind_since_ns = 0
    assert monitor.worst_ms(SECOND_NS) == 1_000
