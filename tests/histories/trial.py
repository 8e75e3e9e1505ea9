"""One history, taken in by a ledger and judged by the oracle at every moment at which the ledger is through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from stigmem.core.contradiction import Cardinality
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.voiding import read_voiding
from tests.builders import SLOT, T0_MS, voiding
from tests.core.histories import derived
from tests.histories.draw import History, Step
from tests.histories.oracle import Name, Oracle

__all__ = ["failure", "shrunk"]

_NAMES = ("live facts", "members of the open conflict", "words that ended others", "id of the open conflict")


def failure(history: History, oracle: Callable[..., Oracle] = Oracle) -> str | None:
    """Where the ledger and the oracle part, in a sentence; None when they agree throughout."""
    holds: list[Cardinality] = ["one"]
    ledger = Ledger(resolvers=lambda origin: origin not in history.idle, cardinality=lambda _: holds[-1])
    ledger.advance(T0_MS * 1000)
    heard: list[Fact] = []
    voided: set[Name] = set()
    for number, step in enumerate((*history.steps, Step("rederive", None, 1_000_000))):
        _take(ledger, holds, step, heard, voided)
        if ledger.slots_to_rederive:
            continue
        found: tuple[Any, ...] = derived(ledger)
        judged = oracle(heard, history.idle, voided, ledger.horizon_us, holds[-1] == "many").verdict()
        for name, ours, theirs in zip(_NAMES, found, judged, strict=True):
            if ours != theirs:
                return f"after step {number} ({step.what}) the {name} are {ours} in the ledger and {theirs} by the page"
    return None


def _take(ledger: Ledger, holds: list[Cardinality], step: Step, heard: list[Fact], voided: set[Name]) -> None:
    fact = step.fact
    if step.what == "clock":
        ledger.advance((T0_MS + step.number) * 1000)
    elif step.what == "holds":
        holds.append("one" if step.number == 1 else "many")
        ledger.reinterpret(SLOT[1])
    elif step.what == "rederive":
        while ledger.slots_to_rederive and step.number:
            ledger.rederive(step.number)
            if step.number < 1_000:
                break
    elif fact is not None and step.what == "hear":
        if ledger.held(fact.origin, fact.id) is None:  # a repetition is known by its name, and is no fact
            ledger.add(msgspec.structs.replace(fact, seq=len(ledger) + 1))
            heard.append(fact)
    elif fact is not None:
        record = read_voiding(voiding(900, fact))
        if record is not None and (fact.origin, fact.id) not in voided:
            voided.add((fact.origin, fact.id))
            ledger.void(record)


def shrunk(history: History, oracle: Callable[..., Oracle] = Oracle) -> History:
    """A history that still fails with nothing in it that could be left out."""
    steps = list(history.steps)
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for number in range(len(steps) - 1, 0, -1):
            shorter = steps[:number] + steps[number + 1 :]
            if failure(history._replace(steps=tuple(shorter)), oracle) is not None:
                steps, is_smaller = shorter, True
    return history._replace(steps=tuple(steps))
