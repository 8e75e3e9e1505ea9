"""Values on the command line that are more than a text: how each is written, and what is said of one that is not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cyclopts import Token

__all__ = ["to_count", "to_seconds", "to_seed", "to_shard"]


def to_seed(_: type, tokens: Sequence[Token]) -> int:
    """A seed is written in digits: 1.5 or 1e3 would be rounded or read by whoever takes numbers in general."""
    from sim.scenario.seeds import parse_seed

    return parse_seed(tokens[0].value)


def to_shard(_: type, tokens: Sequence[Token]) -> tuple[int, int]:
    """`3/8` is the third of eight."""
    found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", tokens[0].value)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError("a shard is written as its number and how many there are, such as 3/8")
    return int(found[1]), int(found[2])


def to_count(_: type, tokens: Sequence[Token]) -> int:
    """How many seeds or workers: from 1, in digits."""
    if not re.fullmatch(r"[1-9]\d{0,5}", tokens[0].value):
        raise ValueError("a count is a whole number from 1, in digits")
    return int(tokens[0].value)


def to_seconds(_: type, tokens: Sequence[Token]) -> float:
    """How long: a duration such as 10m, and not none at all, in which nothing would be run and all be well."""
    from sim.units import parse_duration

    found = parse_duration(tokens[0].value)
    if found <= 0:
        raise ValueError("a budget is longer than no time at all, such as 10m")
    return found / 1e9
