"""Names: of nodes as people give them and as they stand in addresses, of sources and of made-up subjects."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

__all__ = ["NODE_NAME", "NodeName", "PartName", "agent", "slug", "topic"]

NODE_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9 ._'-]{0,62}$"
NodeName = Annotated[
    str,
    Meta(
        pattern=NODE_NAME,
        description="a node name of letters, digits, spaces and . _ ' - (at most 63, a letter or digit first)",
    ),
]

PartName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="a name of lower-case letters, digits and hyphens, such as 'first-cut' (at most 63)",
    ),
]
"""Of a fault or a workload of a scenario."""


def slug(name: str) -> str:
    """A node's name as it stands in its address; no two nodes of a federation have the same."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def agent(node: str) -> str:
    """The source of what a node's own people write."""
    return f"agent:{node.lower().replace(' ', '-')}"


def topic(number: int | str) -> str:
    """The entity of a made-up subject."""
    return f"stigmem://sim.example/topic/{number}"
