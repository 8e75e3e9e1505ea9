"""Manifests that an administrator stores: what pins a key, what may replace it, and what is read again then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.keys import ED25519, Signer, encode_base64, key_id
from stigmem.core.manifest import Manifest, RotationEvent, certified_node_id, event_bytes, make_manifest, signed_bytes
from stigmem.core.records import CursorRow, DeadLetter, OriginRow
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, caller, read
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True)
PUT = "/v1/federation/manifest"
DAY_US = 86_400_000_000
FIRST, SECOND, THIRD = (ED25519.signer(bytes([number]) * 32) for number in (101, 102, 103))
NAME = "stigmem://named.example"


def manifest(
    signer: Signer, *names: str, org: str = "https://org.example", days: int = 100, since_days: int = 1, **changes: Any
) -> Manifest:
    issued = NOW_MS * 1_000 - since_days * DAY_US
    made = make_manifest(
        signer, entity_uri=org, entities=names or (NAME,), issued_at=format_us(issued),
        expires_at=format_us(issued + days * DAY_US),
    )  # fmt: skip
    changed = msgspec.structs.replace(made, **changes)
    return msgspec.structs.replace(changed, signature=encode_base64(signer.sign(signed_bytes(changed))))


def rotation(old: Signer, new: Signer, by: Signer | None = None) -> RotationEvent:
    event = RotationEvent(
        previous_key_id=key_id(old.public_key), new_key_id=key_id(new.public_key), new_public_key=new.public_key,
        rotated_at="2026-11-01T00:00:00Z", signature="",
    )  # fmt: skip
    return msgspec.structs.replace(event, signature=encode_base64((by or old).sign(event_bytes(event))))


async def put(bench: Bench, wanted: Manifest, status: int = 200, by: Any = ADMIN) -> Any:
    return read(await ask(bench, "PUT", PUT, msgspec.to_builtins(wanted), by=by), status)


async def test_a_stored_manifest_pins_its_key_and_is_served() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        wanted = manifest(FIRST, NAME, "stigmem://other.example")
        answer = await put(bench, wanted)
        assert answer == {
            "entity_uri": "https://org.example", "key_id": wanted.key_id, "issued_at": wanted.issued_at,
            "expires_at": wanted.expires_at, "pinned": ["https://org.example", NAME, "stigmem://other.example"],
        }  # fmt: skip
        assert node.policy.key_of(NAME) == FIRST.public_key
        for name in answer["pinned"]:
            path = f"{PUT}/{name.replace(':', '%3A').replace('/', '%2F')}"
            assert read(await ask(bench, "GET", path)) == msgspec.to_builtins(wanted)
        assert [row.event for row in bench.audit_rows] == ["origin_key_learned"] * 3
        assert await put(bench, wanted) == answer
        assert len(bench.audit_rows) == 3  # nothing new, nothing to tell
        bench.wall_ms += 100 * 86_400_000
        read(await ask(bench, "GET", path), 404)


@pytest.mark.parametrize(
    "bad",
    [
        manifest(FIRST, since_days=101), manifest(FIRST, since_days=100), manifest(FIRST, days=731),
        manifest(FIRST, days=0),
        manifest(FIRST, issued_at="long ago"), manifest(FIRST, *(f"a:{n}" for n in range(limits.MANIFEST_NAMES_MAX))),
        manifest(FIRST, "x" * 513), manifest(FIRST, ""), manifest(SECOND, public_key=FIRST.public_key),
        manifest(FIRST, rotation_events=[rotation(FIRST, SECOND)] * 101),
    ],
    ids=["expired", "expires-now", "long", "empty-window", "time", "names", "long-name", "no-name", "signature",
    "events"],
)  # fmt: skip
async def test_what_does_not_verify_is_refused_and_not_logged(bad: Manifest) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert (await put(bench, bad, 422))["code"].startswith("manifest_")
        assert bench.records == []


async def test_only_an_administrator_of_federation_stores_manifests() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await put(bench, manifest(FIRST), 403, caller("read", "write", "federate", "admin"))
        read(await ask(bench, "PUT", PUT, {"entity_uri": "x"}, by=ADMIN), 422)
        assert bench.records == []


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], 409), ([rotation(FIRST, SECOND)], 200), ([rotation(FIRST, SECOND, by=SECOND)], 409),
        ([rotation(THIRD, SECOND)], 409), ([rotation(FIRST, THIRD), rotation(THIRD, SECOND)], 200),
        ([rotation(FIRST, THIRD)], 409), ([rotation(FIRST, SECOND), rotation(SECOND, FIRST)], 409),
    ],
)  # fmt: skip
async def test_another_key_needs_a_chain_of_rotations(events: list[RotationEvent], status: int) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        await put(bench, manifest(FIRST))
        answer = await put(bench, manifest(SECOND, rotation_events=events), status)
        if status == 409:
            assert answer["detail"].startswith("manifest update rejected: ")
        assert node.policy.key_of(NAME) == (SECOND if status == 200 else FIRST).public_key


async def test_an_equal_key_id_does_not_make_an_equal_key() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await put(bench, manifest(FIRST))
        await put(bench, manifest(SECOND, key_id=key_id(FIRST.public_key)), 409)


async def test_two_at_the_same_time_are_judged_one_after_the_other() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        answers: list[int] = []
        for signer in (FIRST, SECOND):
            body = msgspec.json.encode(manifest(signer))
            node.offer(Request("PUT", PUT, {}, body), lambda response: answers.append(response.status), ADMIN)
        await bench.settle()
        assert answers == [200, 409]
        assert node.policy.key_of(NAME) == FIRST.public_key


async def test_an_administrators_word_stands_over_a_voucher_and_not_over_an_approved_peer() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    bench.records.append(OriginRow(NAME, SECOND.public_key, "vouched", "somebody", "{}"))
    async with running(bench, SETTINGS) as node:
        await put(bench, manifest(FIRST))
        assert node.state.origins[NAME].how == "pinned"
        assert node.policy.key_of(NAME) == FIRST.public_key
        await put(bench, manifest(FIRST, peer.node_id), 409)
        await put(bench, manifest(peer.signer, peer.node_id), 409)  # it speaks for an organisation that is another's
        await put(bench, manifest(peer.signer, peer.node_id, org=peer.node_id))
        await put(bench, manifest(FIRST, node.node_id), 409)
        certified = certified_node_id(THIRD.public_key)
        await put(bench, manifest(THIRD, certified, org=certified))
        await put(bench, manifest(FIRST, certified), 409)


async def test_peers_that_served_the_origin_in_vain_are_read_again() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    bench.records += [
        CursorRow(peer.peer_id, "s:17", 0, True, 5),
        DeadLetter(peer.peer_id, "some-fact", "origin_unresolvable", NAME.encode()),
    ]
    async with running(bench, SETTINGS) as node:
        await put(bench, manifest(FIRST))
        cursor = node.state.cursors[peer.peer_id]
        assert (cursor.cursor, cursor.drained, cursor.taken) == (None, False, 5)


async def test_an_hour_has_room_for_ten() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for _ in range(limits.MANIFEST_PUTS_PER_HOUR):
            await put(bench, manifest(FIRST))
        refused = await ask(bench, "PUT", PUT, msgspec.to_builtins(manifest(FIRST)), by=ADMIN)
        assert read(refused, 429)["dimension"] == "manifest"
        assert int(refused.headers["retry-after"]) == 360
        bench.monotonic_ms += 360_000
        await put(bench, manifest(FIRST))
