"""What a peer, and an origin, may bring in a window: what exceeds waits, is told once, and comes in the next window."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core.horizons import Horizons
from stigmem.core.ledger import Ledger
from stigmem.core.records import HorizonMark
from stigmem.core.timestamps import parse_us
from stigmem.node.callers import PERMISSIONS
from stigmem.node.intake_quota import Exceeded, IntakeLimits, IntakeQuota, Tally
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, Peer, ask, caller, read
from tests.node.still import Bench, running
from tests.node.test_api_push import PUSH, entry, fact, push

ADMIN = caller(*PERMISSIONS, entity="user:admin")
WINDOW_MS = 60_000
BEGIN_MS = NOW_MS - NOW_MS % WINDOW_MS
"""Where a window begins."""


def settings(**limits: Any) -> NodeSettings:
    return NodeSettings(
        seed=SEED, federation=True, push=True, intake=IntakeLimits(window_s=WINDOW_MS / 1_000, **limits)
    )


async def test_a_push_beyond_the_quota_is_told_when_to_come_back_and_comes_back() -> None:
    bench = Bench(BEGIN_MS + 15_000)
    peer, other = Peer(bench, 1), Peer(bench, 2)
    facts = [fact(peer, n) for n in range(5)]
    entries = [entry(peer, each) for each in facts]
    async with running(bench, settings(peer_facts=3)) as node:
        answer = await push(peer, *entries)
        assert (answer["accepted"], answer["rejected"]) == (3, 2)
        assert [(each["fact_id"], each["error"]) for each in answer["errors"]] == [
            (each.id, "quota_exceeded") for each in facts[3:]
        ]
        refused = await peer.ask("POST", PUSH, {"facts": entries[3:]})
        assert (refused.status, refused.headers["retry-after"]) == (429, "45")
        assert json.loads(refused.body)["dimension"] == "federation_intake"
        assert (await push(other, *(entry(other, fact(other, n)) for n in range(3))))["accepted"] == 3
        told = [row for row in bench.audit_rows if row.event == "quota_breach"]
        assert [(row.subject, json.loads(row.detail)["dimension"]) for row in told] == [
            (peer.peer_id, "intake_peer_facts")
        ]
        assert not any(node.state.letters.values())
        bench.wall_ms = BEGIN_MS + WINDOW_MS
        assert (await push(peer, *entries))["accepted"] == 5


async def test_a_restart_does_not_begin_a_new_window() -> None:
    bench = Bench(BEGIN_MS)
    peer = Peer(bench, 1)
    async with running(bench, settings(peer_facts=3)):
        await push(peer, *(entry(peer, fact(peer, n)) for n in range(2)))
    bench.wall_ms += 20_000
    async with running(bench, settings(peer_facts=3)):
        assert (await push(peer, *(entry(peer, fact(peer, n)) for n in range(2, 5))))["accepted"] == 1
    bench.wall_ms += 45_000
    async with running(bench, settings(peer_facts=3)):
        assert (await push(peer, *(entry(peer, fact(peer, n)) for n in range(3, 6))))["accepted"] == 3


@pytest.mark.parametrize(
    ("limits", "dimension", "taken"),
    [
        ({"peer_facts": 2}, "intake_peer_facts", 2),
        ({"peer_bytes": 200}, "intake_peer_bytes", 2),
        ({"peer_bytes": 1}, "intake_peer_bytes", 1),
        ({"peer_entities": 3}, "intake_peer_entities", 3),
        ({"origin_facts": 2}, "intake_origin_facts", 2),
        ({"origin_bytes": 200}, "intake_origin_bytes", 2),
    ],
    ids=str,
)
async def test_each_quota_ends_where_it_says(limits: dict[str, int], dimension: str, taken: int) -> None:
    bench = Bench(BEGIN_MS)
    peer = Peer(bench, 1)
    async with running(bench, settings(**limits)) as node:
        answer = await peer.ask("POST", PUSH, {"facts": [entry(peer, fact(peer, n, text="x" * 20)) for n in range(5)]})
        assert answer.status == 202
        assert len(node.state.ledger) == taken
        (row,) = [row for row in bench.audit_rows if row.event == "quota_breach"]
        assert json.loads(row.detail)["dimension"] == dimension


async def test_more_of_what_is_known_is_within_a_quota_of_entities() -> None:
    bench = Bench(BEGIN_MS)
    peer = Peer(bench, 1)
    async with running(bench, settings(peer_entities=2)) as node:
        facts = [fact(peer, n, entity=f"device:{n % 3}") for n in range(6)]
        assert (await push(peer, *(entry(peer, each) for each in facts)))["accepted"] == 4
        assert [held.entity for held in node.state.ledger.log] == ["device:0", "device:1"] * 2


def test_origins_are_counted_by_the_peer_that_brings_them() -> None:
    ledger, horizons = Ledger(), Horizons()
    quota = IntakeQuota(IntakeLimits(window_s=60.0, peer_origins=2), ledger=ledger, horizons=horizons)
    staged = Tally(quota.tally(BEGIN_MS * 1_000))
    peer = Peer(Bench(BEGIN_MS), 1)
    for origin in ("stigmem:node:a", "stigmem:node:b"):
        staged.add(fact(peer, 1, origin=origin, received_from="stigmem:node:relay"))
    third = fact(peer, 2, origin="stigmem:node:c")
    assert quota.exceeded(third, "stigmem:node:relay", staged) == Exceeded("peer", "stigmem:node:relay", "origins", 2)
    assert quota.exceeded(third, "stigmem:node:another", staged) is None
    assert quota.exceeded(fact(peer, 3, origin="stigmem:node:a"), "stigmem:node:relay", staged) is None


def test_a_count_begins_with_what_the_journal_says_was_stored_in_the_window() -> None:
    ledger, horizons = Ledger(), Horizons()
    peer = Peer(Bench(BEGIN_MS), 1)
    for seq in range(1, 7):
        stored = fact(peer, seq, received_from="stigmem:node:relay")
        ledger.add(msgspec.structs.replace(stored, seq=seq))
    for after, seq, at_ms in ((0, 2, -61_000), (2, 4, -1), (4, 5, 0), (5, 6, 30_000)):
        horizons.add(HorizonMark(after, seq, (BEGIN_MS + at_ms) * 1_000, 0))
    quota = IntakeQuota(IntakeLimits(window_s=60.0, peer_facts=10), ledger=ledger, horizons=horizons)
    assert quota.room_facts("stigmem:node:relay", (BEGIN_MS + 40_000) * 1_000) == 8
    assert quota.room_facts("stigmem:node:relay", (BEGIN_MS - 1) * 1_000) == 6, "a clock that went back counts anew"


async def test_the_operator_sees_who_is_over_a_quota_and_until_when() -> None:
    bench = Bench(BEGIN_MS)
    peer = Peer(bench, 1)
    async with running(bench, settings(peer_facts=1)):
        await push(peer, *(entry(peer, fact(peer, n)) for n in range(2)))
        (shown,) = read(await ask(bench, "GET", "/v1/federation/peers", by=ADMIN))["peers"]
        assert shown["exchange"]["over_quota"] == ["peer_facts"]
        until = shown["exchange"]["quota_until"]
        bench.wall_ms += WINDOW_MS
        (shown,) = read(await ask(bench, "GET", "/v1/federation/peers", by=ADMIN))["peers"]
        assert "over_quota" not in shown["exchange"]
        assert parse_us(until) == (BEGIN_MS + WINDOW_MS) * 1_000
