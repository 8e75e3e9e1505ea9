"""What a write costs the writer does not depend on what was said before it, in its batch or in all of the past.

Five hundred facts in one batch, each said and taken back in turn, kept everybody waiting for 14 seconds. What is
counted here is the bytecodes that Python executes, never time: equal on every machine, and blind to no loop of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from stigmem.core.timestamps import format_us
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, ask, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED)
BATCH = "/v1/facts/batch"
SIZE = 60


class Counted:
    """Bytecodes executed so far."""

    def __init__(self) -> None:
        self.bytecodes = 0


@contextmanager
def counting() -> Iterator[Counted]:
    counted = Counted()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if event == "call":
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode":
            counted.bytecodes += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield counted
    finally:
        sys.settrace(before)


def until(number: int) -> str:
    return format_us((NOW_MS + 60_000 + number) * 1_000)


def said(text: str = "ok", **members: Any) -> dict[str, Any]:
    return saying(text, scope="local", **members)


HOSTILE: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "the same again": lambda count: [said() for _ in range(count)],
    "said and taken back": lambda count: [said(confidence=float(n % 2 == 0)) for n in range(count)],
    "two values in turn": lambda count: [said("on" if n % 2 else "off") for n in range(count)],
    "heartbeats": lambda count: [said(valid_until=until(n)) for n in range(count)],
    "heartbeats that are over": lambda count: [said(valid_until=until(n - 120_000)) for n in range(count)],
    "as many values": lambda count: [said(f"value {n}") for n in range(count)],
    "as many members of one conflict": lambda count: [said(f"value {n}", source=f"agent:{n}") for n in range(count)],
    "denials by as many": lambda count: [said(confidence=0.0, source=f"agent:{n}") for n in range(count)],
    "different facts": lambda count: [said(entity=f"device:{n}") for n in range(count)],
}


async def cost_of(bench: Bench, facts: list[dict[str, Any]]) -> int:
    bench.wall_ms += 1
    with counting() as counted:
        read(await ask(bench, "POST", BATCH, {"facts": facts}))
    return counted.bytecodes


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_batch_costs_as_much_as_it_has_facts_whatever_they_say(kind: str) -> None:
    costs = []
    for size in (SIZE, 2 * SIZE, 4 * SIZE):
        bench = Bench(NOW_MS)
        async with running(bench, SETTINGS):
            await cost_of(bench, HOSTILE[kind](2))  # what is made once for a slot
            costs.append(await cost_of(bench, HOSTILE[kind](size)))
    small, double, fourfold = costs
    assert fourfold - double < 2.2 * (double - small), f"{kind}: {costs}"


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_write_costs_the_same_however_often_its_slot_was_written_before(kind: str) -> None:
    costs = []
    for size in (SIZE, 8 * SIZE):
        bench = Bench(NOW_MS)
        async with running(bench, SETTINGS):
            for start in range(0, size, SIZE):
                facts = HOSTILE[kind](start + SIZE)[start:]
                await cost_of(bench, facts)
                for fact in facts if kind.startswith("heartbeats that") else ():
                    await cost_of(bench, [fact])  # alone, since a batch repeats what it has staged itself
            await cost_of(bench, [said("once more")])  # what is indexed when it is first asked for
            costs.append(await cost_of(bench, HOSTILE[kind](size)[-2:]))
    assert costs[1] < 1.25 * costs[0] + 200, f"{kind}: {costs}"
