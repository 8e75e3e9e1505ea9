"""What serving a long history costs a node: its cache of encoded entries has a size, whatever peers wrote."""

from __future__ import annotations

import msgspec
import pytest

from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.keys import STAND_IN
from stigmem.core.ledger import Ledger
from stigmem.core.records import PeerRow
from stigmem.node.replication import page_server as exchange_module
from stigmem.node.replication.page_server import PageServer
from tests.builders import T0_MS, fact

SEED = bytes(32)
PEER = PeerRow("p", "stigmem:node:peer", "http://peer.sim", "key", ("public",), ACTIVE, CERTIFYING)


def test_long_values_fill_the_cache_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "_CACHED_BYTES_MAX", 100_000)
    ledger = Ledger()
    for seq in range(1, 41):
        each = fact(seq, f"{seq} " + "x" * 10_000, origin="stigmem:node:a")
        ledger.add(msgspec.structs.replace(each, seq=seq))
    exchange = PageServer(ledger, "stigmem:node:a", "http://a.sim", STAND_IN.signer(SEED), SEED)
    first, again = (exchange.page(PEER, ("public",), None, 100, T0_MS).body for _ in range(2))
    assert first == again
    assert len(msgspec.json.decode(first)["facts"]) == 40
    held = sum(map(len, exchange._cache.values()))
    assert 0 < held <= 100_000
    assert held == exchange._cached_bytes
