"""Bounds of how long and how often: at the bound something holds, and beyond it, or before it, it does not."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest

from stigmem.core import limits
from stigmem.core.declaration import Discovery, declare, verify_declaration
from stigmem.core.errors import Refusal
from stigmem.core.keys import STAND_IN
from stigmem.core.manifest import certified_node_id
from stigmem.core.timestamps import format_us
from stigmem.node.following.webhooks import Webhook
from stigmem.node.quotas import Quotas
from stigmem.node.replication.backoff import PullBackoff
from stigmem.node.replication.lag import LagMonitor
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction
from tests.builders import T0_MS, OneSalt, refused
from tests.core.test_token import check, made
from tests.limits.table import edge
from tests.node.api import NOW_MS, SEED, Peer
from tests.node.still import Bench, running
from tests.node.test_backoff import SECOND_NS, Middle, backoff
from tests.node.test_batch import Clock

SETTINGS = NodeSettings(seed=SEED, node_url="http://here.example", federation=True)


@edge("BACKOFF_S_MIN", "BACKOFF_S_MAX", "UNREACHABLE_S_MAX", "APPROVAL_S_MAX")
def test_rests_double_from_the_shortest_to_the_longest_and_no_further() -> None:
    impatient = backoff(interval_s=0.0)
    unreachable = [impatient.after_silence() / SECOND_NS for _ in range(8)]
    assert unreachable == [1, 2, 4, 8, 16, 32, 60, 60]
    assert unreachable[0] == limits.BACKOFF_S_MIN
    assert unreachable[-1] == limits.UNREACHABLE_S_MAX
    assert backoff(interval_s=0.0).after_refusal(None) == limits.BACKOFF_S_MIN * SECOND_NS
    patient = backoff(interval_s=0.0)
    assert [patient.after_refusal(None) for _ in range(11)][-3:] == [
        256 * SECOND_NS, limits.BACKOFF_S_MAX * SECOND_NS, limits.BACKOFF_S_MAX * SECOND_NS,
    ]  # fmt: skip
    waiting = backoff()
    approvals = [waiting.until_approved() / SECOND_NS for _ in range(7)]
    assert approvals == [1, 2, 4, 8, 16, limits.APPROVAL_S_MAX, limits.APPROVAL_S_MAX]


def test_pages_that_are_mostly_bad_earn_a_longer_rest_each_time_and_a_good_one_ends_it() -> None:
    found = backoff(interval_s=5.0)
    rests = []
    for _ in range(8):
        assert not found.page(10, peer_errors=6)
        rests.append(found.after_success() / SECOND_NS)
    assert rests == [5, 10, 20, 40, 80, 160, limits.BACKOFF_S_MAX, limits.BACKOFF_S_MAX]
    assert found.page(10, peer_errors=5)
    assert found.after_success() == 5 * SECOND_NS


@pytest.mark.parametrize("advice_s", [0.0, limits.BACKOFF_S_MIN, 7.5, limits.BACKOFF_S_MAX, limits.BACKOFF_S_MAX + 1])
def test_a_peers_advice_counts_between_the_shortest_rest_and_the_longest(advice_s: float) -> None:
    rest_s = backoff(interval_s=0.0).after_refusal(advice_s) / SECOND_NS
    assert rest_s == min(max(advice_s, limits.BACKOFF_S_MIN), limits.BACKOFF_S_MAX)


@edge("PULL_LIMIT_MIN")
def test_pages_are_halved_to_the_smallest_and_no_further() -> None:
    found = backoff(limit=100)
    limits_seen = []
    for _ in range(6):
        found.shrink()
        limits_seen.append(found.limit)
    assert limits_seen == [50, 25, 12, limits.PULL_LIMIT_MIN, limits.PULL_LIMIT_MIN, limits.PULL_LIMIT_MIN]


@edge("PULL_BUCKET_BURST", "PULL_BUCKET_PER_S")
async def test_a_peer_may_pull_so_often_at_once_and_then_so_often_a_second() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        statuses = [(await peer.ask("GET", "/v1/federation/facts")).status for _ in range(31)]
        assert statuses == [200] * int(limits.PULL_BUCKET_BURST) + [429]
        bench.monotonic_ms += int(1_000 / limits.PULL_BUCKET_PER_S) - 1
        assert (await peer.ask("GET", "/v1/federation/facts")).status == 429
        bench.monotonic_ms += 1
        assert (await peer.ask("GET", "/v1/federation/facts")).status == 200
        assert (await peer.ask("GET", "/v1/federation/facts")).status == 429


@edge("REGISTRATIONS_PER_S", "KEYS_MINTED_PER_S")
@pytest.mark.parametrize("per_s", [limits.REGISTRATIONS_PER_S, limits.KEYS_MINTED_PER_S])
def test_what_was_used_up_comes_again_at_its_rate(per_s: float) -> None:
    quotas = Quotas()
    assert quotas.wait_s("x", "who", 1.0, per_s, 0) == 0.0
    assert quotas.wait_s("x", "who", 1.0, per_s, int(1e9 / per_s) - 1_000) > 0.0
    assert quotas.wait_s("x", "who", 1.0, per_s, int(1e9 / per_s) + 1_000) == 0.0


@edge("LAG_HARD_MS")
def test_a_node_that_lags_behind_every_peer_turns_them_away_beyond_the_hard_bound_and_not_at_it() -> None:
    for ms, turned_away in ((limits.LAG_HARD_MS, False), (limits.LAG_HARD_MS + 1, True)):
        monitor = LagMonitor()
        for name in ("a", "b"):
            monitor.watch(name).behind_since_ns = 0
        txn = Transaction(NodeState(SETTINGS, Clock()), SETTINGS, 0, ms * 1_000_000, salts=OneSalt())
        if turned_away:
            with pytest.raises(Refusal, match="this node lags"):
                monitor.refuse_if_stale(txn, "a")
        else:
            monitor.refuse_if_stale(txn, "a")


@edge("LAG_WARNING_MS")
async def test_answers_to_peers_tell_of_a_lag_beyond_the_warning_and_not_at_it() -> None:
    for ms, told in ((limits.LAG_WARNING_MS, None), (limits.LAG_WARNING_MS + 1, str(limits.LAG_WARNING_MS + 1))):
        bench = Bench(NOW_MS)
        peer = Peer(bench, 1)
        async with running(bench, SETTINGS) as node:
            progress = node.lag.of("peer-1") or node.lag.watch("peer-1")
            progress.behind_since_ns = bench.clock.monotonic_ns - ms * 1_000_000
            answer = await peer.ask("GET", "/v1/federation/facts")
            headers = {name.lower(): text for name, text in answer.headers.items()}
            assert headers.get("x-stigmem-replication-lag") == told, ms


@edge("WEBHOOK_BACKOFF_S_MAX")
def test_a_webhook_that_fails_is_tried_again_after_twice_as_long_each_time_up_to_the_bound() -> None:
    state = SimpleNamespace(deliveries={}, subscriptions={"s": SimpleNamespace(begins_after=0)})
    webhook = Webhook("s", SimpleNamespace(entropy=Middle(), clock=SimpleNamespace(signal=lambda: None), state=state))  # type: ignore[arg-type]
    rests = []
    for failures in range(1, 12):
        webhook.failures = failures
        rests.append(webhook._rest_ns(None) / SECOND_NS)
    assert rests == [2, 4, 8, 16, 32, 64, 128, 256, *[limits.WEBHOOK_BACKOFF_S_MAX] * 3]


@edge("PULL_TIMEOUT_S", "DISCOVERY_TIMEOUT_S", "MAILBOX_MESSAGES_MAX")
def test_what_an_operator_may_set_begins_with_the_bound_of_the_house() -> None:
    chosen = NodeSettings(seed=SEED)
    assert (chosen.pull_timeout_s, chosen.discovery_timeout_s) == (limits.PULL_TIMEOUT_S, limits.DISCOVERY_TIMEOUT_S)
    assert chosen.mailbox_messages_max == limits.MAILBOX_MESSAGES_MAX
    assert PullBackoff(chosen, Middle()).limit == limits.PULL_LIMIT_DEFAULT


@edge("DECLARATION_AGE_MS_MAX")
def test_a_declaration_may_be_so_old_beside_the_skew_and_no_older() -> None:
    signer = STAND_IN.signer(SEED)
    node_id, url = certified_node_id(signer.public_key), "http://peer.example"
    made = declare(signer, node_id=node_id, node_url=url, scopes=("public",), signed_at=format_us(NOW_MS * 1_000))
    discovery = Discovery(node_id=node_id, federation_pubkey=signer.public_key)
    bound = limits.DECLARATION_AGE_MS_MAX + limits.SKEW_FUTURE_MS
    for off_ms, code in (
        (bound, None),
        (-bound, None),
        (bound + 1, "declaration_stale"),
        (-bound - 1, "declaration_stale"),
    ):
        found = refused(partial(verify_declaration, made, discovery, STAND_IN, now_ms=NOW_MS + off_ms, fresh=True))
        assert found == code, off_ms


@edge("TOKEN_IAT_AGE_MS_MAX", "TOKEN_LIFE_MS")
def test_a_token_may_be_so_old_and_live_so_long_beside_the_leeway() -> None:
    life_ms, oldest = limits.TOKEN_LIFE_MS + limits.TOKEN_LEEWAY_MS, T0_MS - limits.TOKEN_IAT_AGE_MS_MAX
    for issued, expiry, code in (
        (T0_MS, T0_MS + life_ms, None),
        (T0_MS, T0_MS + life_ms + 1, "token_lifetime_exceeded"),
        (oldest, T0_MS, "token_lifetime_exceeded"),
        (oldest - 1, T0_MS, "iat_too_old"),
    ):
        assert refused(partial(check, made(iat=issued, exp=expiry))) == code, (issued, expiry)
