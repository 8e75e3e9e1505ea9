"""A history from a seed: who said what in one slot, what was resolved and voided, and in what order a node hears it."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

import msgspec

from stigmem.core.fact import Fact
from stigmem.core.resolution import conflict_id
from stigmem.core.timestamps import format_us
from tests.builders import SLOT, T0_MS, fact, resolution

__all__ = ["History", "Step", "drawn", "told"]

_ORIGINS = ("stigmem:node:a", "stigmem:node:b", "stigmem:node:c")
_SOURCES = ("agent:a", "agent:b", "agent:c")
_VALUES = (
    ("string", "x"), ("string", "y"), ("string", "z"), ("text", "x"), ("string", "\u00e9"), ("string", "e\u0301"),
    ("number", "0.0"), ("number", "-0.0"), ("number", "1.0"), ("boolean", "true"), ("json", '{"a":1}'),
)  # fmt: skip


class Step(NamedTuple):
    """One thing that happens at a node: it hears a fact (again perhaps), hears that one is voided, its clock is read,
    the relation holds another number of values, or it goes on deriving slots anew."""

    what: Literal["hear", "void", "clock", "holds", "rederive"]
    fact: Fact | None = None
    number: int = 0


class History(NamedTuple):
    """What happens at one node."""

    seed: str
    steps: tuple[Step, ...]
    idle: frozenset[str]
    """Origins whose resolutions have no effect at this node."""


def drawn(seed: str) -> History:
    """The history of a seed: words of a few authors with equal stamps among them, resolutions, voided facts, an
    arrival in any order with repetitions, and instants at which the node's clock is read."""
    draw = random.Random(seed)
    span = draw.choice((2, 6, 14))
    values = draw.sample(_VALUES, draw.choice((2, 3, 5)))
    words = [_word(draw, number, span, values) for number in range(draw.randint(1, draw.choice((4, 8, 14))))]
    if len(words) > 3 and draw.random() < 0.1:  # somebody uses an id that is another origin's
        other = next(origin for origin in _ORIGINS if origin != words[1].origin)
        words[0] = msgspec.structs.replace(words[0], id=words[1].id, origin=other)
    resolutions: list[Fact] = []
    for number in range(draw.choice((0, 0, 1, 2, 4))):
        resolutions.append(_resolution(draw, number, words, resolutions, span))
    everything = [*words, *resolutions]
    steps = [Step("hear", each) for each in everything]
    steps += [Step("hear", each) for each in everything if draw.random() < 0.15]
    steps += [Step("void", draw.choice(everything)) for _ in range(draw.choice((0, 0, 0, 1, 2, 4)))]
    steps += [Step("clock", None, draw.randint(-1, span + 12)) for _ in range(draw.randint(0, 4))]
    steps += [Step("holds", None, draw.randint(1, 2)) for _ in range(draw.choice((0, 0, 1, 3)))]
    steps += [Step("rederive", None, draw.choice((0, 1, 2, 50))) for _ in range(draw.randint(0, 6))]
    draw.shuffle(steps)
    idle = frozenset(origin for origin in _ORIGINS if draw.random() < 0.1)
    return History(seed, (Step("holds", None, draw.randint(1, 2)), *steps), idle)


def _word(draw: random.Random, number: int, span: int, values: list[tuple[str, str]]) -> Fact:
    origin = draw.choice(_ORIGINS)
    confidence = draw.choice((1.0, 1.0, 0.5, 0.0, 0.0))
    kind, text = draw.choice(values)
    if not confidence and draw.random() < 0.5:
        kind, text = draw.choice((("string", "retracted"), ("text", "retracted"), ("null", "null")))
    expiry = draw.choice((None, None, None, draw.randint(0, span + 8)))
    return fact(
        number,
        text,
        kind=kind,
        at=draw.randint(0, span),
        source=draw.choice((*_SOURCES[: draw.randint(1, 3)], origin)),
        origin=origin,
        confidence=confidence,
        valid_until=None if expiry is None else format_us((T0_MS + expiry) * 1000),
    )


def _resolution(draw: random.Random, number: int, words: list[Fact], earlier: list[Fact], span: int) -> Fact:
    unseen = fact(900 + number, "never seen", origin=_ORIGINS[2])
    covered = draw.sample([*words, unseen], min(draw.randint(1, 5), len(words) + 1))
    covered = list({each.id: each for each in covered}.values())
    return resolution(
        100 + number,
        *covered,
        at=draw.randint(0, span + 8),
        supersedes=tuple(each.id for each in earlier if draw.random() < 0.4),
        resolves=conflict_id(SLOT, draw.choice(["", *(each.id for each in earlier), "nobody's"])),
        origin=draw.choice(_ORIGINS),
    )


def told(history: History) -> str:
    """A history in lines for people."""
    lines = [f"history {history.seed}; resolutions of {', '.join(sorted(history.idle)) or 'nobody'} have no effect"]
    for what, each, number in history.steps:
        if each is None:
            lines.append({"clock": f"clock at T0{number:+} ms", "holds": "holds one value" if number == 1 else
                          "holds many values", "rederive": f"derive {number} words anew"}[what])  # fmt: skip
            continue
        until = "" if each.valid_until is None else f" until T0+{(each.expires_us or 0) // 1000 - T0_MS}"
        said = f"{each.kind} {each.text!r} ({each.confidence:g}){until}" + f" {each.derived_from}".rstrip()
        lines.append(f"{what} {each.id[-4:]} of {each.source} at {each.origin}, T0+{each.wall_ms - T0_MS}: {said}")
    return "\n".join(lines)
