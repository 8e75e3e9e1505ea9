"""A peer that was registered with the wrong dialect: its discovery document is read again, and it only gets richer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stigmem.core.declaration import CERTIFYING
from stigmem.core.records import CursorRow
from stigmem.core.wire import JSON_TYPE, Response
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, read
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True)
EMPTY = {"v": 2, "facts": [], "cursor": None, "has_more": False}
URL = "http://peer-1.example"


def document(peer: Peer, **changes: Any) -> dict[str, Any]:
    return {
        "node_id": peer.node_id, "federation_pubkey": peer.signer.public_key, "federation_version": "2.1",
        "federation_extensions": ["certified-ids", "wait"],
    } | changes  # fmt: skip


def serve(bench: Bench, path: str, body: Any) -> None:
    bench.answers[URL, path] = Response(200, JSON_TYPE, msgspec.json.encode(body))


async def drained(bench: Bench, peer: Peer) -> None:
    """Have the node read the peer once."""
    puller = bench.node.pullers[peer.peer_id]
    puller._wake.set()
    await bench.settle()


async def test_pages_of_a_richer_dialect_have_the_discovery_document_read_again() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, dialect="0.5")
    bench.records.append(CursorRow(peer.peer_id, "s:5", 0, True, 3))
    serve(bench, "/v1/federation/facts", EMPTY)
    serve(bench, "/.well-known/stigmem", document(peer))
    async with running(bench, SETTINGS) as node:
        await drained(bench, peer)
        assert node.state.peers[peer.peer_id].dialect == CERTIFYING
        assert node.state.cursors[peer.peer_id].cursor is None
        assert [row.event for row in bench.audit_rows] == ["page_refused", "peer_dialect_changed"]
        await drained(bench, peer)
        assert node.state.cursors[peer.peer_id].drained
        assert len([row for row in bench.audit_rows if row.event == "page_refused"]) == 1
    async with running(bench, SETTINGS) as node:  # and a restart keeps it
        assert node.state.peers[peer.peer_id].dialect == CERTIFYING


@pytest.mark.parametrize(
    ("dialect", "changes", "page"),
    [
        (CERTIFYING, {"federation_version": "0.5"}, {"facts": [], "cursor": None, "has_more": False}),
        (CERTIFYING, {"federation_version": None}, {"facts": 5}),
        ("2.1", {"federation_extensions": []}, {"facts": []}),
        ("0.5", {"node_id": "n:other"}, EMPTY), ("0.5", {"federation_pubkey": "other"}, EMPTY),
        ("0.5", {"federation_version": "9"}, EMPTY), ("0.5", {"federation_extensions": 5}, EMPTY),
    ],
)  # fmt: skip
async def test_nothing_else_changes_what_a_peer_speaks(dialect: str, changes: dict[str, Any], page: Any) -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, dialect=dialect)
    serve(bench, "/v1/federation/facts", page)
    serve(bench, "/.well-known/stigmem", document(peer, **changes))
    async with running(bench, SETTINGS) as node:
        await drained(bench, peer)
        assert node.state.peers[peer.peer_id].dialect == dialect
        assert [row.event for row in bench.audit_rows] == ["page_refused"]


async def test_an_administrator_may_come_before_the_answer() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1, dialect="0.5")
    async with running(bench, SETTINGS) as node:
        row = node.state.peers[peer.peer_id]
        read(await ask(bench, "POST", f"/v1/federation/peers/{peer.peer_id}/revoke", by=ADMIN))
        serve(bench, "/.well-known/stigmem", document(peer))
        await node.handshakes.ask_dialect(row)
        await bench.settle()
        assert node.state.peers[peer.peer_id].dialect == "0.5"
        assert bench.audit_rows[-1].event == "peer_revoked"
