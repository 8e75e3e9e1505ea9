"""Slots whose words mean something else now: the node derives them anew in bounded turns, without anybody asking."""

from __future__ import annotations

import pytest

from stigmem.core import limits
from stigmem.core.voiding import read_voiding
from stigmem.node.settings import NodeSettings
from tests.builders import voiding
from tests.node.api import NOW_MS, SEED, ask, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED)


async def test_a_slot_of_more_words_than_one_turn_may_take_is_derived_anew_by_the_nodes_own_timers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TURN_REDERIVED_WORDS_MAX", 2)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        for number in range(6):
            bench.wall_ms += 1
            value = "wrong" if number == 5 else "right"
            read(await ask(bench, "POST", "/v1/facts", saying(value, source=f"agent:{number}")), 201)
        conflicts = read(await ask(bench, "GET", "/v1/conflicts?status=unresolved"))["conflicts"]
        assert len(conflicts) == 1
        record = read_voiding(voiding(900, node.state.ledger.log[-1]))
        assert record is not None
        node.state.ledger.void(record)
        batches = node.writer.batches
        shown = read(await ask(bench, "GET", "/v1/conflicts?status=unresolved"))["conflicts"]
        assert [each["conflict_id"] for each in shown] == [each["conflict_id"] for each in conflicts]
        assert node.state.slots_to_rederive == 1
        await bench.clock.advance(1)
        assert node.state.slots_to_rederive == 0
        assert node.writer.batches > batches + 1
        assert read(await ask(bench, "GET", "/v1/conflicts?status=unresolved"))["conflicts"] == []
        assert len(read(await ask(bench, "GET", "/v1/facts"))["facts"]) == 5
