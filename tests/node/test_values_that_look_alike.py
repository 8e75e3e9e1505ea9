"""What a caller meets who sends a member twice, a number too long, or text that looks like other text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, ask, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED)


def raw(**replaced: str) -> bytes:
    """A write in which some members are there twice."""
    body = json.dumps(saying())
    return (body[:-1] + "".join(f', "{name}": {text}' for name, text in replaced.items()) + "}").encode()


@pytest.mark.parametrize("body", [raw(scope='"local"'), raw(value='{"type": "string", "v": "no", "v": "yes"}')])
async def test_a_body_that_says_two_things_under_one_name_is_refused_with_the_name(body: bytes) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        answer = read(await ask(bench, "POST", "/v1/facts", body), 422)
        (item,) = answer["errors"]
        assert item["type"] == "json_repeated_member"
        assert item["loc"][-1] in ("scope", "v")


async def test_in_a_batch_a_repeated_member_costs_its_own_fact_or_if_it_is_the_requests_all() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        body = b'{"facts": [' + raw(scope='"local"') + b", " + json.dumps(saying("fine")).encode() + b"]}"
        first, second = read(await ask(bench, "POST", "/v1/facts/batch", body))["results"]
        assert (first["error"]["code"], second["status"]) == ("json_repeated_member", "accepted")
        twice = b'{"facts": [], "facts": [' + json.dumps(saying("other")).encode() + b"]}"
        assert read(await ask(bench, "POST", "/v1/facts/batch", twice), 422)["errors"][0]["loc"] == ["body", "facts"]


async def warnings_of(bench: Bench, **members: Any) -> list[str]:
    found: list[str] = read(await ask(bench, "POST", "/v1/facts", saying(**members)), 201)["warnings"]
    return found


async def test_who_writes_what_is_stored_otherwise_or_looks_like_something_else_is_warned() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert await warnings_of(bench) == []
        (told,) = await warnings_of(bench, value={"type": "number", "v": 2**53 + 1})
        assert "9007199254740992.0" in told
        (told,) = await warnings_of(bench, entity="device:cafe\u0301")
        assert told.startswith("entity is not in Unicode normalization form C")
        (told,) = await warnings_of(bench, value={"type": "string", "v": "pu\u200bmp"})
        assert "zero-width space" in told


async def test_zero_and_negative_zero_of_two_agents_are_no_conflict() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for source, v in (("agent:one", 0), ("agent:two", -0.0)):
            await warnings_of(bench, source=source, value={"type": "number", "v": v})
        assert read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"] == []
        facts = read(await ask(bench, "GET", "/v1/facts"))["facts"]
        assert [str(fact["value"]["v"]) for fact in facts] == ["-0.0", "0.0"]
