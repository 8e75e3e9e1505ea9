"""Drawn histories of one slot, and what the definition and the ledger say of them."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence

import msgspec

from stigmem.core.contradiction import Cardinality, evaluate
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import Resolution, conflict_id, read_resolution
from stigmem.core.timestamps import format_us
from tests.builders import SLOT, T0_MS, fact, resolution

ORIGINS = ("stigmem:node:a", "stigmem:node:b", "stigmem:node:c")
SOURCES = ("agent:a", "agent:b")
Histories = Iterator[tuple[random.Random, list[Fact], list[Fact]]]


def drawn_word(draw: random.Random, number: int, span: int = 12) -> Fact:
    origin = draw.choice(ORIGINS)
    confidence = draw.choice((1.0, 1.0, 0.5, 0.0, 0.0))
    expiry = draw.choice((None, None, None, draw.randint(0, 20)))
    return fact(
        number,
        draw.choice(("x", "y", "z")) if confidence else draw.choice(("retracted", "x", "y")),
        at=draw.randint(0, span),
        source=draw.choice((*SOURCES, origin)),
        origin=origin,
        confidence=confidence,
        valid_until=None if expiry is None else format_us((T0_MS + expiry) * 1000),
    )


def drawn_history(draw: random.Random) -> tuple[list[Fact], list[Fact]]:
    """Words of one slot by several sources and nodes, now and then two under one id, and resolutions among them."""
    words = [drawn_word(draw, number) for number in range(draw.randint(1, 10))]
    if len(words) > 3 and draw.random() < 0.05:
        other = next(origin for origin in ORIGINS if origin != words[1].origin)
        words[0] = msgspec.structs.replace(words[0], id=words[1].id, origin=other)
    resolutions: list[Fact] = []
    for number in range(draw.choice((0, 0, 1, 2, 3))):
        covered = draw.sample([*words, fact(900 + number, "never seen", origin=ORIGINS[2])], draw.randint(1, 2))
        covered += [word for word in draw.sample(words, min(2, len(words))) if word not in covered]
        covered = list({word.id: word for word in covered}.values())
        known = draw.choice(["", *(each.id for each in resolutions), "nobody's"])
        resolutions.append(
            resolution(
                100 + number,
                *covered,
                at=draw.randint(0, 20),
                supersedes=tuple(each.id for each in resolutions if draw.random() < 0.4),
                resolves=conflict_id(SLOT, known),
                origin=draw.choice(ORIGINS),
            )
        )
    return words, resolutions


def read(resolutions: Sequence[Fact]) -> list[Resolution]:
    return [found for found in map(read_resolution, resolutions) if found is not None]


def fill(facts: Sequence[Fact], now_us: int = T0_MS * 1000, *, cardinality: Cardinality = "one") -> Ledger:
    ledger = Ledger(cardinality=lambda _: cardinality)
    ledger.advance(now_us)
    for each in facts:
        append(ledger, each)
    return ledger


def append(ledger: Ledger, each: Fact) -> None:
    ledger.add(msgspec.structs.replace(each, seq=len(ledger) + 1))


def derived(ledger: Ledger) -> tuple[object, ...]:
    """What a ledger says of SLOT, in terms that do not depend on local order."""
    conflict_set = ledger.slot(SLOT)
    facts = ledger.facts_of(SLOT)
    live = sorted((f.origin, f.id) for f in facts if ledger.live(f))
    contradicted = sorted((f.origin, f.id) for f in facts if ledger.contradicted(f))
    ended = sorted((f.origin, f.id, by.id) for f in facts if (by := ledger.ended_by(f)) is not None)
    return live, contradicted, ended, (conflict_set.conflict if conflict_set else None)


def expected(
    words: Sequence[Fact],
    resolutions: Sequence[Fact],
    unapplied: Sequence[Fact],
    now_us: int,
    *,
    cardinality: Cardinality = "one",
    voided: Collection[tuple[str, str]] = (),
) -> object:
    """What the definition says, in the terms of `derived`."""
    state = evaluate(
        SLOT,
        words,
        read(resolutions),
        now_us,
        cardinality=cardinality,
        voided=voided,
        unapplied=read(unapplied),
    )
    return (
        sorted((f.origin, f.id) for f in state.live),
        sorted((f.origin, f.id) for f in state.members) if state.conflict else [],
        sorted((*name, by.id) for name, by in state.ended_by.items()),
        state.conflict,
    )
