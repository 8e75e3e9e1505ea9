"""One node of ours between two reference nodes of different dialects, linked in both directions.

The two handshakes as operators do them: each side by its own command line, each approved by fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from stigmem.core.keys import fingerprint
from tests.interop.old_facts import OLD_FACTS, fill_with_old_facts
from tests.interop.ours import OurNode
from tests.interop.reference import ReferenceNode

__all__ = ["Federation", "befriend", "federate", "link"]

_OUR_SEED = b"our federation key for interop  "


class Federation(NamedTuple):
    """The nodes of the tests."""

    ours: OurNode
    theirs: dict[str, ReferenceNode]
    old: tuple[str, ...]
    """Ids of facts that ours held long before it knew anybody."""


def link(ours: OurNode, theirs: ReferenceNode, *, manifest: bool) -> None:
    """Both directions of the handshake."""
    if manifest:
        theirs.publish_manifest()
    ours.register_at(theirs.url, theirs.key)
    theirs.approve(ours.node_id, ours.signer.public_key)
    theirs.register_at(ours.url, ours.key)
    ours.approve(theirs.node_id, fingerprint(theirs.signer.public_key))


def befriend(first: OurNode, second: OurNode) -> None:
    """Both directions of the handshake between two nodes of ours."""
    for here, there in ((first, second), (second, first)):
        here.register_at(there.url, there.key)
        there.approve(here.node_id, fingerprint(here.signer.public_key))


@contextmanager
def federate(directory: Path, environments: Mapping[str, Path]) -> Iterator[Federation]:
    """Start and link ours and one reference node of each environment."""
    with ExitStack() as stack:
        ours = OurNode(directory / "ours", seed=_OUR_SEED)
        stack.callback(ours.close)
        old = fill_with_old_facts(ours.data, ours.node_id, OLD_FACTS)
        ours.start()
        theirs = {}
        for name, environment in environments.items():
            node = theirs[name] = ReferenceNode(environment, directory / name, seed=name.encode().ljust(32, b"-"))
            stack.callback(node.close)
            node.start()
            link(ours, node, manifest=name == "a12")
        yield Federation(ours, theirs, old)
