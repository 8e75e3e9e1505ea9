"""A node that does not run, opened by a command: its state and its rules, without its network.

Only the writer works. Requests go through the same door and the same operations as in a running node, so a command
cannot do to a stopped node what it could not do to a running one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from stigmem.core.wire import Request, Response
from stigmem.host.context import HostClock, HostEntropy, HostSignal
from stigmem.host.control import OPERATOR, operator_view
from stigmem.host.identity import settle_identity
from stigmem.host.journal import SqliteJournal
from stigmem.host.settings import HostSettings, node_settings
from stigmem.node.node import Node
from stigmem.node.ports import Context, Unreachable
from stigmem.node.transaction import Command

__all__ = ["StoppedNode", "stopped_node"]

T = TypeVar("T")


class StoppedNode:
    """The node of a data directory, for one command."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def ask(self, request: Request) -> Response:
        """The answer to a request of the operator."""
        own = operator_view(self.node, request)
        if own is not None:
            return own
        done = HostSignal()
        answers: list[Response] = []

        def take(response: Response) -> None:
            answers.append(response)
            done.set()

        self.node.offer(request, take, OPERATOR)
        if not answers:
            await done.wait()
        if self.node.bugs:
            raise self.node.bugs[0]
        return answers[0]

    async def submit(self, command: Command[T]) -> T:
        """Have the writer take a command that is no request; its result. Raises NotStored."""
        return await self.node.submit(command)


class _NoTransport:
    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        raise Unreachable("not_running", f"{url} is not asked: this node is not running")


@asynccontextmanager
async def stopped_node(
    settings: HostSettings, progress: Callable[[int, int], None] | None = None
) -> AsyncIterator[StoppedNode]:
    """Open the data directory, load the node, and close it again.

    Raises DataDirectoryBusy, DataDirectoryUnusable, JournalCorrupt or BadSettings.
    """
    journal = SqliteJournal(settings.data_dir)
    try:
        identity = settle_identity(settings, journal)
        chosen = node_settings(settings, seed=identity.seed, node_id=identity.node_id, port=settings.port)
        count = journal.count()
        async with trio.open_nursery() as actors:
            clock = HostClock(actors)
            node = Node(chosen, Context(clock, HostEntropy(), _NoTransport(), journal))
            await node.load(None if progress is None else lambda loaded: progress(loaded, count))
            node.start_writer()
            yield StoppedNode(node)
            actors.cancel_scope.cancel()
    finally:
        journal.close()
