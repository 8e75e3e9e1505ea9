"""stigmem: a node for federated knowledge, written once and run twice.

stigmem.core     pure and synchronous: facts, clock, ledger, contradiction, tokens, ingest
stigmem.node     the actors around it: they await nothing but their Context
stigmem.host     the real world: HTTP, SQLite, files, the wall clock, the command line
stigmem.testing  the ports of a node for tests: time that the test moves, a journal in memory, scripted peers

Imports point up this list only. The simulated world is the other package, `sim`.

The names below are the library: to embed a node, fill the four ports of `Context`, give it and `NodeSettings` to
`Node`, `await node.load()`, `node.start()`, and hand it every `Request` with `node.offer`. Whatever else is in these
packages may change without notice. Errors are `StigmemError`s with a stable `code`: a `Refusal` is the fault of who
asked, a `Rejection` that of a peer; `JournalFull`, `JournalCorrupt` and `Unreachable` are what ports raise.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stigmem.core.conflicts import Conflict
    from stigmem.core.errors import JournalCorrupt, Refusal, Rejection, StigmemError
    from stigmem.core.fact import Fact
    from stigmem.core.ledger import Ledger
    from stigmem.core.wire import Request, Response
    from stigmem.node.node import Node
    from stigmem.node.ports import (
        Clock,
        Context,
        Entropy,
        Journal,
        JournalFull,
        Signal,
        Transport,
        Unreachable,
    )
    from stigmem.node.settings import NodeSettings

__all__ = [
    "Clock",
    "Conflict",
    "Context",
    "Entropy",
    "Fact",
    "Journal",
    "JournalCorrupt",
    "JournalFull",
    "Ledger",
    "Node",
    "NodeSettings",
    "Refusal",
    "Rejection",
    "Request",
    "Response",
    "Signal",
    "StigmemError",
    "Transport",
    "Unreachable",
    "__version__",
]

__version__ = "0.1.0"

_HOMES: Final = {
    "stigmem.core.conflicts": ("Conflict",),
    "stigmem.core.errors": ("JournalCorrupt", "Refusal", "Rejection", "StigmemError"),
    "stigmem.core.fact": ("Fact",),
    "stigmem.core.ledger": ("Ledger",),
    "stigmem.core.wire": ("Request", "Response"),
    "stigmem.node.node": ("Node",),
    "stigmem.node.ports": (
        "Clock", "Context", "Entropy", "Journal", "JournalFull", "Signal", "Transport", "Unreachable",
    ),
    "stigmem.node.settings": ("NodeSettings",),
}  # fmt: skip
"""Module -> public names in it. They are imported when they are asked for: a command that prints its version or its
help must not wait for a node."""


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module 'stigmem' has no attribute {name!r}")
