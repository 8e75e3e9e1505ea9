"""What of a ranked list fits a budget of tokens.

While everything fits, everything is taken. Else facts are chosen one at a time by maximal marginal relevance (J.
Carbonell, J. Goldstein, SIGIR 1998): the next is the one with the best `RELEVANCE * score - (1 - RELEVANCE) * likeness`
to the one chosen before that it is most like, both from 0 to 1; so five ways to say one thing do not crowd out the
second thing. One that does not fit is skipped, not a reason to stop. What was chosen is shown by score, best first.

A token is taken for four characters of what an agent would be shown, as the contract estimates it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Final, NamedTuple

from stigmem.core.fact import Fact

__all__ = ["Packed", "pack", "token_estimate"]

RELEVANCE: Final = 0.8


class Packed(NamedTuple):
    """Places of what was chosen, ascending; how many tokens it takes, and whether anything was left out."""

    places: list[int]
    tokens: int
    truncated: bool


def token_estimate(fact: Fact) -> int:
    """How many tokens a fact takes in a prompt, at least one (http-api 6.4)."""
    return max(1, len(f"{fact.entity} {fact.relation} {fact.text} {fact.source}") // 4)


def pack(
    costs: Sequence[int], scores: Sequence[float], budget: int, words_of: Callable[[int], frozenset[str]]
) -> Generator[None, None, Packed]:
    """Choose among candidates that are given best first. `words_of`: the words of one, by its place. Yields between
    choices, which cost as much as there are candidates left."""
    if sum(costs) <= budget:
        return Packed(list(range(len(costs))), sum(costs), truncated=False)
    best = max(scores, default=0.0) or 1.0
    words: dict[int, frozenset[str]] = {}
    likest = dict.fromkeys((at for at, cost in enumerate(costs) if cost <= budget), 0.0)
    chosen: list[int] = []
    used = 0
    while likest:
        at = max(likest, key=lambda at: (RELEVANCE * scores[at] / best - (1.0 - RELEVANCE) * likest[at], -at))
        del likest[at]
        if used + costs[at] > budget:
            continue
        chosen.append(at)
        used += costs[at]
        said = words.setdefault(at, words_of(at))
        for other in likest:
            others = words.get(other) or words.setdefault(other, words_of(other))
            shared = len(said & others)
            likest[other] = max(likest[other], shared / (len(said) + len(others) - shared or 1))
        yield
    return Packed(sorted(chosen), used, truncated=True)
