"""How a node learns the key of an origin that is no peer, and what a peer can and cannot make it believe."""

from __future__ import annotations

import json

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.keys import ED25519, Signer
from stigmem.core.manifest import certified_node_id, make_manifest
from stigmem.node.node import Node
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, read
from tests.node.still import Bench, running

NAMED = "stigmem://named.example"


def key(number: int) -> Signer:
    return ED25519.signer(number.to_bytes(32, "big"))


def manifest(signer: Signer, origin: str, *more: str) -> bytes:
    made = make_manifest(
        signer, entity_uri="http://origin.example", entities=(origin, *more), issued_at="2026-11-01T00:00:00Z",
        expires_at="2027-11-01T00:00:00Z",
    )  # fmt: skip
    return msgspec.json.encode(made)


async def vouch(node: Node, peer: Peer, signer: Signer, origin: str, *more: str) -> None:
    """The peer serves a manifest when it is asked who an origin is."""
    await node.origin_keys.learn(origin, manifest(signer, origin, *more), node.state.peers[peer.peer_id])


@pytest.mark.parametrize("setting", ["pinned", "vouched"])
async def test_an_id_that_is_the_hash_of_its_key_is_believed_and_a_peers_word_only_if_the_operator_wants_that(
    setting: str,
) -> None:
    bench = Bench(NOW_MS)
    peer, other = Peer(bench, 1), Peer(bench, 2)
    honest, certified = key(7), certified_node_id(key(7).public_key)
    async with running(bench, NodeSettings(seed=SEED, federation=True, origin_keys=setting)) as node:  # type: ignore[arg-type]
        await vouch(node, peer, honest, certified)
        await vouch(node, peer, key(8), NAMED)
        await vouch(node, other, key(9), NAMED)
        await vouch(node, other, key(9), NAMED)
        await vouch(node, other, key(9), peer.node_id)
        await vouch(node, other, key(9), node.node_id)
        held = {name: (row.public_key, row.how, row.vouched_by) for name, row in node.state.origins.items()}
        assert held[certified] == (honest.public_key, "certified", peer.node_id)
        assert held[peer.node_id][:2] == (peer.signer.public_key, "pinned")
        assert node.policy.key_of(node.node_id) == node.signer.public_key
        told = [row.event for row in bench.audit_rows if row.event.startswith("origin_key")]
        if setting == "pinned":
            assert NAMED not in held
            assert told == ["origin_key_learned"]
        else:
            assert held[NAMED] == (key(8).public_key, "vouched", peer.node_id)  # the first key stands
            assert told == ["origin_key_learned", "origin_key_learned", "origin_key_conflict", "origin_key_conflict"]
        details = [json.loads(row.detail) for row in bench.audit_rows if row.event == "origin_key_learned"]
        assert details[0]["how"] == "certified"
        served = read(await ask(bench, "GET", f"/v1/federation/manifest/{certified}", by=ADMIN))
        assert served["public_key"] == honest.public_key


async def test_a_key_that_an_id_certifies_replaces_one_that_was_vouched_for() -> None:
    bench = Bench(NOW_MS)
    liar, peer = Peer(bench, 1), Peer(bench, 2)
    certified = certified_node_id(key(7).public_key)
    async with running(bench, NodeSettings(seed=SEED, federation=True, origin_keys="vouched")) as node:
        await vouch(node, liar, key(9), certified)
        await vouch(node, peer, key(7), certified)
        assert node.state.origins[certified].how == "certified"
        assert node.policy.key_of(certified) == key(7).public_key


async def test_a_peer_with_thousands_of_made_up_nodes_leaves_room_for_those_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "ORIGINS_MAX", 22)
    bench = Bench(NOW_MS)
    hostile, honest = Peer(bench, 1), Peer(bench, 2)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        for number in range(1_000, 1_030):
            await vouch(node, hostile, key(number), certified_node_id(key(number).public_key))
        assert len(node.state.origins) == 12  # two peers, and half of what was left
        for number in range(5):
            await vouch(node, honest, key(number + 7), certified_node_id(key(number + 7).public_key))
        assert len(node.state.origins) == 17


async def test_a_manifest_of_a_stranger_is_short() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    certified = certified_node_id(key(7).public_key)
    async with running(bench, NodeSettings(seed=SEED, federation=True)) as node:
        await vouch(node, peer, key(7), certified, *(f"stigmem://padding.example/{n}" for n in range(500)))
        assert certified not in node.state.origins
