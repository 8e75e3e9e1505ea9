"""What is wrong, as values: a scenario that does not fit together, and a property that does not hold."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Misfit", "Violation"]


class Misfit(Exception):
    """A part of a scenario that does not fit the rest: the key that is wrong and a sentence."""

    def __init__(self, key: str, sentence: str, *, given: str | None = None, known: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.key = key
        self.sentence = sentence
        self.given = given
        self.known = known
        """Names that would have been right, for a suggestion."""


class Violation(NamedTuple):
    """A property that does not hold: whose, where, when, and one sentence."""

    checker: str
    node: str
    at_ns: int
    sentence: str
