"""With keys, who may take whose word's place: its author and the admin, and the node's own id the admin alone."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED)
ANN, BOB = (caller("read", "write", entity=f"agent:{name}") for name in ("ann", "bob"))
SECRET = "a secret that is long enough for a key, number "


async def made(bench: Bench, *entities: str) -> None:
    """Keys of these entities."""
    for number, entity in enumerate(entities):
        body = {"entity_uri": entity, "permissions": ["read", "write"], "raw_key": f"{SECRET}{number}"}
        read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)


async def status(bench: Bench, text: str, by: Any, **members: Any) -> int:
    bench.wall_ms += 1
    return (await ask(bench, "POST", "/v1/facts", saying(text, **members), by=by)).status


@pytest.mark.parametrize("second", [{"text": "else"}, {"text": "retracted", "confidence": 0.0}])
async def test_a_key_takes_the_place_of_its_own_word_and_of_nobody_elses(second: dict[str, Any]) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await made(bench, "agent:ann", "agent:bob")
        assert await status(bench, "first", BOB, source="agent:ann") == 201  # first words are free
        assert await status(bench, "first", BOB, source="agent:ann") == 201  # said again, it ends nothing
        assert await status(bench, by=BOB, source="agent:ann", **second) == 403
        assert await status(bench, by=ANN, source="agent:ann", **second) == 201
        assert await status(bench, "last", ADMIN, source="agent:ann") == 201


async def test_a_source_that_no_key_has_belongs_to_nobody() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await made(bench, "agent:ann")
        for text, by in (("one", ANN), ("two", BOB)):
            assert await status(bench, text, by, source="sensor:7") == 201


async def test_the_operators_retraction_is_taken_from_admin_keys_only() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        assert await status(bench, "said", ANN, source="agent:ann") == 201
        retraction = {"text": "retracted", "confidence": 0.0, "source": node.node_id}
        assert await status(bench, by=ANN, **retraction) == 403
        assert await status(bench, by=ADMIN, **retraction) == 201
        assert read(await ask(bench, "GET", "/v1/facts?min_confidence=0.1"))["facts"] == []


async def test_a_key_that_only_writes_does_not_learn_from_a_refusal_whether_somebody_has_said_something() -> None:
    bench, writer = Bench(NOW_MS), caller("write", entity="agent:bob")
    async with running(bench, SETTINGS):
        await made(bench, "agent:ann")
        assert await status(bench, "first", ANN, source="agent:ann") == 201
        for entity in ("stigmem://lab.example/device/pump-7", "user:nobody-spoke-of"):
            for text in ("first", "else"):
                assert await status(bench, text, writer, source="agent:ann", entity=entity) == 403
