"""What serving a long history costs a node: its cache of encoded entries has a size, whatever peers wrote."""

from __future__ import annotations

import msgspec
import pytest

from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.ledger import Ledger
from stigmem.core.records import PeerRow
from stigmem.node.replication import page_server as page_server_module
from tests.builders import T0_MS, fact
from tests.node.api import page_server

SEED = bytes(32)
PEER = PeerRow("p", "stigmem:node:peer", "http://peer.sim", "key", ("public",), ACTIVE, CERTIFYING)


def test_long_values_fill_the_cache_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server_module, "_CACHED_BYTES_MAX", 100_000)
    ledger = Ledger()
    for seq in range(1, 41):
        each = fact(seq, f"{seq} " + "x" * 10_000, origin="stigmem:node:a")
        ledger.add(msgspec.structs.replace(each, seq=seq))
    server = page_server(ledger, "stigmem:node:a")
    first, again = (server.page(PEER, ("public",), None, 100, T0_MS).body for _ in range(2))
    assert first == again
    assert len(msgspec.json.decode(first)["facts"]) == 40
    held = sum(map(len, server._cache.values()))
    assert 0 < held <= 100_000
    assert held == server._cached_bytes
