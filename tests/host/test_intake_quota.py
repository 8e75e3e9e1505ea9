"""A peer that has more than its quota, on real nodes: it is read in portions, to its end, and the operator is told."""

from __future__ import annotations

from pathlib import Path

from tests.host.nodes import assertion, client_of, node_at
from tests.host.test_federation import FEDERATED, introduce, until


async def test_a_peer_is_read_a_quota_at_a_time_and_to_its_end(tmp_path: Path) -> None:
    quota = {"federation_quota_window_s": 1.0, "federation_quota_peer_facts": 10}
    async with (
        node_at(tmp_path / "south", **FEDERATED) as south,
        node_at(tmp_path / "north", **FEDERATED, **quota) as north,
        client_of(south) as writer,
        client_of(north) as reader,
    ):
        for number in range(25):
            assert (await writer.post("/v1/facts", json=assertion(number))).status_code == 201
        await introduce(north, south)
        await introduce(south, north)
        state = north.node.state
        await until(lambda: len(state.ledger) == 25)
        text = (await reader.get("/metrics")).text
    windows: dict[int, int] = {}
    for fact in state.ledger.log:
        mark = state.horizons.at(fact.seq)
        assert mark is not None
        window = mark.horizon_us // 1_000_000
        windows[window] = windows.get(window, 0) + 1
    assert max(windows.values()) <= 10
    assert "stigmem_quota_breach_total{" in text
    assert 'dimension="intake_peer_facts"' in text
