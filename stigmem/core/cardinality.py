"""How many values a relation holds: one, or many.

Where a relation holds many, an author's words about different values do not meet (spec/contradiction.md, 7): twenty
notes are twenty notes. The vocabulary here is fixed, because nodes that disagreed on it would show different conflicts
for the same facts. Everything that is not in it holds one value.
"""

from __future__ import annotations

from typing import Final

from stigmem.core.contradiction import Cardinality

__all__ = ["MANY_VALUES", "cardinality_of"]

MANY_VALUES: Final = (
    "intent:act",
    "intent:artifact",
    "intent:constraint",
    "intent:context_ref",
    "intent:deference",
    "intent:preference",
    "intent:to",
    "memory:note",
    "memory:tag",
)
"""Those of the contract that clients repeat (http-api 7: whom an intent is for and what it lists), what is done about
an intent (spec/intents.md), and what agents gather."""


def cardinality_of(relation: str) -> Cardinality:
    """How many values a relation holds."""
    return "many" if relation in MANY_VALUES else "one"
