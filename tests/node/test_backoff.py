"""How long a puller rests, and how large its pages are."""

from __future__ import annotations

import pytest

from sim.scenario.tables import Federation
from stigmem.core import limits
from stigmem.host.settings import HostSettings
from stigmem.node.replication.backoff import PullBackoff
from stigmem.node.settings import NodeSettings
from tests.node.api import SEED

SECOND_NS = 1_000_000_000


class Draws:
    """Entropy that always draws this number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def token(self, size: int) -> bytes:
        return self.number.to_bytes(size, "big")

    def stream(self, name: str) -> Draws:
        return self


class Middle:
    """Entropy that always draws the middle: no jitter."""

    def token(self, size: int) -> bytes:
        return (1 << 8 * size - 1).to_bytes(size, "big")

    def stream(self, name: str) -> Middle:
        return self


def backoff(interval_s: float = 5.0, limit: int = 100) -> PullBackoff:
    return PullBackoff(NodeSettings(seed=SEED, pull_interval_s=interval_s, pull_limit=limit), Middle())


def test_a_peer_that_was_read_to_its_end_is_asked_again_after_the_interval() -> None:
    assert backoff().after_success() == 5 * SECOND_NS


def test_silence_doubles_the_rest_up_to_a_bound_and_a_page_ends_it() -> None:
    found = backoff()
    rests = [found.after_silence() for _ in range(6)]
    assert rests == [seconds * SECOND_NS for seconds in (5, 10, 20, 40, 60, 60)]
    assert found.waiting_for_peer
    found.page(3)
    assert not found.waiting_for_peer
    assert found.after_silence() == 5 * SECOND_NS


def test_a_peer_that_is_asked_less_often_than_the_bound_is_not_asked_more_often_for_being_silent() -> None:
    assert backoff(interval_s=600).after_silence() == 600 * SECOND_NS


def test_what_is_no_page_is_rested_from_longer_than_silence() -> None:
    found = backoff()
    rests = [found.after_refusal(None) for _ in range(8)]
    assert rests == [seconds * SECOND_NS for seconds in (5, 10, 20, 40, 80, 160, 300, 300)]


@pytest.mark.parametrize(("advice_s", "rest_s"), [(30.0, 30), (0.0, 1), (86_400.0, 300)])
def test_a_peers_advice_is_taken_within_bounds(advice_s: float, rest_s: int) -> None:
    assert backoff().after_refusal(advice_s) == rest_s * SECOND_NS


def test_advice_to_come_back_at_once_again_and_again_is_worth_less_each_time() -> None:
    found = backoff()
    rests = [found.after_refusal(0.0) for _ in range(5)]
    assert rests == [seconds * SECOND_NS for seconds in (1, 2, 4, 5, 5)]


def test_full_clean_pages_double_the_limit_and_trouble_halves_it() -> None:
    found = backoff()
    for _ in range(limits.CLEAN_PAGES_TO_DOUBLE):
        assert found.page(found.limit)
    assert found.limit == 200
    found.shrink()
    assert found.limit == 100


def test_a_page_that_is_not_full_does_not_count_toward_a_larger_one() -> None:
    found = backoff()
    for _ in range(limits.CLEAN_PAGES_TO_DOUBLE):
        found.page(found.limit - 1)
    assert found.limit == 100


def test_mostly_bad_pages_end_a_drain_and_earn_a_longer_rest_each() -> None:
    found = backoff()
    assert not found.page(10, peer_errors=6)
    assert found.after_success() == 5 * SECOND_NS
    assert not found.page(10, peer_errors=6)
    assert found.after_success() == 10 * SECOND_NS
    assert found.page(10, peer_errors=5)
    assert found.after_success() == 5 * SECOND_NS


def test_jitter_spreads_a_rest_either_way_and_no_further() -> None:
    settings = NodeSettings(seed=SEED, pull_interval_s=10.0)
    least = PullBackoff(settings, Draws(0)).after_silence()
    most = PullBackoff(settings, Draws(0xFFFFFFFF)).after_silence()
    assert least == int(10 * SECOND_NS * (1 - limits.BACKOFF_JITTER))
    assert 10 * SECOND_NS < most <= int(10 * SECOND_NS * (1 + limits.BACKOFF_JITTER))


def test_rests_after_a_reading_are_spread_around_the_interval_by_the_jitter_and_by_nothing_without_it() -> None:
    def rest_ns(jitter: float, drawn: int) -> int:
        settings = NodeSettings(seed=SEED, pull_interval_s=10.0, pull_jitter=jitter)
        return PullBackoff(settings, Draws(drawn)).after_success()

    assert rest_ns(0.1, 0) == 9 * SECOND_NS
    assert rest_ns(0.1, 0x80000000) == 10 * SECOND_NS
    assert 10 * SECOND_NS < rest_ns(0.1, 0xFFFFFFFF) <= 11 * SECOND_NS
    assert [rest_ns(0.0, drawn) for drawn in (0, 0xFFFFFFFF)] == [10 * SECOND_NS] * 2


def test_a_deployed_node_and_a_simulated_one_spread_their_rests_by_the_same_small_part_unless_told_otherwise() -> None:
    assert HostSettings().federation_pull_jitter == limits.PULL_JITTER
    assert Federation().pull_jitter == limits.PULL_JITTER
    assert 0 < limits.PULL_JITTER <= 0.1
