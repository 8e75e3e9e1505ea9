"""What is derived from facts for readers, as of another point of time: what it was then, whatever came since."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from stigmem.core.decay import DecayPolicy
from stigmem.core.timestamps import format_us
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, ask, read, saying
from tests.node.still import Bench, running

FADES = DecayPolicy(id="p", relation="memory:role", mode="confidence", half_life_s=3_600.0)
SETTINGS = NodeSettings(seed=SEED, decay_policies=(FADES,))
READINGS = (
    ("GET", "/v1/cards/user:ada?scope=public", None),
    ("GET", "/v1/graph/neighbors?entity=user:ada&scope=public&depth=2", None),
    ("GET", "/v1/scopes/public/synthesize?include_expired=true", None),
    ("POST", "/v1/synthesis", {"scope": "public", "include_expired": True}),
    ("POST", "/v1/lint", {"scope": "public", "stale_lookahead_s": 100}),
    ("GET", "/v1/facts?scope=public&include_contradicted=true&include_expired=true", None),
)
_OF_THE_ANSWER = ("refreshed_at", "synthesized_at", "checked_at", "point_of_time", "recall_id", "cursor")
"""What says when an answer was made, and how it is named."""


async def said(bench: Bench, text: str, **members: Any) -> Any:
    bench.wall_ms += 1
    return read(await ask(bench, "POST", "/v1/facts", saying(text, scope="public") | members), 201)


async def told(bench: Bench, method: str, path: str, body: Any, as_of: str | None = None) -> Any:
    if as_of is not None and body is None:
        path += ("&" if "?" in path else "?") + f"as_of={quote(as_of)}"
    elif as_of is not None:
        body = body | {"as_of": as_of}
    answer = await ask(bench, method, path, body)
    found = read(answer) if answer.status == 200 else {"status": answer.status}
    if as_of is not None and answer.status == 200:
        assert found["point_of_time"]["as_of"] == as_of
    return {name: value for name, value in found.items() if name not in _OF_THE_ANSWER}


async def live_a_little(bench: Bench, number: int) -> None:
    """Words, a change of mind, an expiry, a reference and its end, a contradiction and its settlement."""
    ends = format_us((bench.wall_ms + 40_000) * 1000)
    await said(bench, f"role {number}", entity="user:ada", relation="memory:role")
    await said(bench, f"plan {number}", entity="user:ada", relation="memory:plan", valid_until=ends)
    ref = {"type": "ref", "v": f"project:p{number % 2}"}
    await said(bench, "", entity="user:ada", relation="memory:works_on", value=ref)
    await said(bench, "up" if number % 2 else "down", entity=f"project:p{number % 2}", relation="state")
    if number == 1:
        await said(bench, "analyst", entity="user:ada", relation="memory:role", source="agent:other")
    if number == 2:
        (found,) = read(await ask(bench, "GET", "/v1/conflicts?status=unresolved"))["conflicts"]
        body = {"winning_fact_id": found["members"][0]}
        read(await ask(bench, "POST", f"/v1/conflicts/{found['conflict_id']}/resolve", body))
    if number == 3:
        await said(bench, "retracted", entity="project:p1", relation="state", confidence=0.0)


async def test_every_reading_as_of_an_instant_is_what_it_was_then() -> None:
    bench = Bench(NOW_MS)
    recorded: list[tuple[str, list[Any], list[str]]] = []
    question = {"query": "what is the role of ada", "scope": "public"}
    async with running(bench, SETTINGS):
        for number in range(5):
            await live_a_little(bench, number)
            now = format_us(bench.wall_ms * 1000)
            recalled = await told(bench, "POST", "/v1/recall", question)
            shown = [each["fact"]["id"] for each in recalled["facts"]]
            recorded.append((now, [await told(bench, *reading) for reading in READINGS], shown))
            bench.wall_ms += 30_000
        bench.wall_ms += 3_600_000
        for then, answered, shown in recorded:
            for reading, expected in zip(READINGS, answered, strict=True):
                assert await told(bench, *reading, as_of=then) == expected, (then, reading)
            recalled = await told(bench, "POST", "/v1/recall", question, as_of=then)
            assert {each["fact"]["id"] for each in recalled["facts"]} == set(shown), then
        assert len({str(answered) for _, answered, _ in recorded}) == 5, "each moment must differ from the others"


@pytest.mark.parametrize("reading", READINGS, ids=str)
async def test_a_reading_as_of_no_instant_or_of_a_later_one_is_refused(reading: tuple[str, str, Any]) -> None:
    bench = Bench(NOW_MS)
    method, path, body = reading
    async with running(bench, SETTINGS):
        await said(bench, "role", entity="user:ada")
        for text, code in (("yesterday", "as_of_invalid_timestamp"), ("2999-01-01", "as_of_future")):
            if body is None:
                answer = await ask(bench, method, f"{path}&as_of={text}")
            else:
                answer = await ask(bench, method, path, body | {"as_of": text})
            assert read(answer, 400)["code"] == code


async def test_pages_of_neighbours_as_of_one_point_are_no_pages_of_another() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number in range(3):
            ref = {"type": "ref", "v": f"project:p{number}"}
            await said(bench, "", entity="user:ada", relation=f"memory:works_on_{number}", value=ref)
        then = quote(format_us(bench.wall_ms * 1000))
        path = "/v1/graph/neighbors?entity=user:ada&scope=public&page_size=2"
        cursor = read(await ask(bench, "GET", f"{path}&as_of={then}"))["next_cursor"]
        (last,) = read(await ask(bench, "GET", f"{path}&as_of={then}&cursor={cursor}"))["neighbors"]
        assert last["entity"] == "project:p2"
        assert read(await ask(bench, "GET", f"{path}&cursor={cursor}"), 400)["code"] == "invalid_cursor"


async def test_a_garden_is_read_as_of_an_instant_too() -> None:
    bench = Bench(NOW_MS)
    garden = "stigmem://testnode/garden/crew"
    async with running(bench, SETTINGS):
        read(await ask(bench, "POST", "/v1/gardens", {"slug": "crew", "name": "Crew", "scope": "public"}), 201)
        await said(bench, "pilot", entity="user:ada", relation="memory:role", garden_id=garden)
        instant = format_us(bench.wall_ms * 1000)
        then = quote(instant)
        await said(bench, "painter", entity="user:ada", relation="memory:role", garden_id=garden)
        card = f"/v1/cards/user:ada?garden_id={garden}"
        assert "painter" in read(await ask(bench, "GET", card))["summary"]
        assert "pilot" in read(await ask(bench, "GET", f"{card}&as_of={then}"))["summary"]
        body = {"scope": "public", "garden_id": garden}
        recalled = read(await ask(bench, "GET", f"/v1/recall?query=role&garden_id={garden}&as_of={then}"))
        assert [each["fact"]["value"]["v"] for each in recalled["facts"]] == ["pilot"]
        summary = read(await ask(bench, "POST", "/v1/synthesis", body | {"as_of": instant}))
        assert [each["value"]["v"] for each in summary["summary"]] == ["pilot"]
