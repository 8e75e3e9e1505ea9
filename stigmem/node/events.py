"""What a node tells whoever built it: the host for its metrics and logs, the simulator to stop at the first bug.

Told and not asked: nothing that a listener does changes what the node does. It is called in the middle of the writer's
turn, so it must be quick and cannot wait; what it raises is a bug that the node notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stigmem.core.errors import StigmemError
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response
from stigmem.node.callers import Caller

__all__ = ["NodeEvents"]

_BUGS_KEPT: Final = 100


class NodeEvents:
    """Override what you want to hear of; the base class only remembers bugs."""

    def __init__(self) -> None:
        self.bugs: list[Exception] = []
        """Bugs of the node's own, each of which cost one answer or one fact; the last 100, the oldest first."""

    def served(self, request: Request, caller: Caller, response: Response, facts: int) -> None:
        """A request is being answered. `caller` is the anonymous principal where nobody was let in; `facts` is how many
        facts a page to a peer holds, 0 for every other answer. Not called for what a full mailbox turns away."""

    def committed(self, records: Sequence[Record]) -> None:
        """A batch became durable and was applied."""

    def meaning_failed(self, error: StigmemError) -> None:
        """A question was answered by words alone, since texts could not be given vectors. `code` and `message` say
        why."""

    def bug(self, error: Exception) -> None:
        """The node met a bug of its own and goes on. An override calls this one too."""
        self.bugs.append(error)
        del self.bugs[:-_BUGS_KEPT]
