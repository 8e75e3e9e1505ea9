"""Whose node answers: the one that runs on a data directory, or one in this process, and what happens when it ends.

Several editors on one machine start a `stigmem mcp` each, on one data directory that one process can have open. The
first takes it and runs the node, as `stigmem serve` does on a free port of this machine; the others find its control
socket and ask there. When the owner ends, in whatever way, those that are left try again: the lock of the directory
decides which of them is the next owner, and the others find its socket. A request that finds nobody waits for that and
is then sent again; what was acknowledged is in the journal, which the next owner reads.

    looking  ->  somebody answers at the socket       ->  asking     ->  it does not answer  ->  looking
             ->  the directory is free: run the node  ->  owning
             ->  it is taken, and nobody answers yet  ->  wait a moment, look again
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, Final, Protocol

import msgspec
import trio

from stigmem.core.json_values import VALUES_HEADER
from stigmem.core.wire import JSON_TYPE, Request, Response, StreamedResponse
from stigmem.host.cli.speech import Failed
from stigmem.host.cli.where import Asker, running_on, target_of
from stigmem.host.datadir import DataDirectoryBusy
from stigmem.host.run import Deployed, deployed
from stigmem.host.settings import HostSettings

__all__ = ["Memory", "SharedDirectory", "collected"]

_PATIENCE_S: Final = 30.0
"""How long a request waits for a node: reading the journal of a million facts takes about twenty seconds."""
_MOMENT_S: Final = 0.1


class Memory(Protocol):
    """Something that answers requests, whoever does."""

    async def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Response:
        """The node's answer, whatever its status; raises Failed when there is none."""
        ...


async def collected(response: Response) -> Response:
    """An answer as a whole, also one that comes in pieces; only for those that come to an end by themselves."""
    if not isinstance(response, StreamedResponse):
        return response
    async with aclosing(response.chunks) as chunks:
        body = b"".join([chunk async for chunk in chunks])
    return Response(response.status, response.headers, body)


class _Own:
    """The node in this process, asked as its operator."""

    def __init__(self, node: Deployed) -> None:
        self._node = node

    async def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Response:
        content = b"" if body is None else msgspec.json.encode(body)
        request = Request(method, target_of(path, query), JSON_TYPE | {VALUES_HEADER: "json"}, content)
        return await collected(await self._node.control.exchange(request))


class SharedDirectory:
    """The node of a data directory, of whichever process."""

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._asker: Asker | None = None
        self._changed = trio.Event()
        self.owns = False
        """Whether the node runs in this process."""

    async def run(self) -> None:
        """Find a node or be one, for as long as this is not cancelled. Raises what keeps a node from starting."""
        directory = self._settings.data_dir
        while True:
            async with running_on(directory) as found:
                if found is not None:
                    await self._serve(found)
            try:
                async with deployed(self._settings) as node:
                    self.owns = True
                    await self._serve(_Own(node))
            except DataDirectoryBusy:
                await trio.sleep(_MOMENT_S)  # somebody has it and does not answer yet
            finally:
                self.owns = False

    async def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Response:
        """The answer of whoever has the directory; raises Failed when for a long time nobody does."""
        with trio.move_on_after(_PATIENCE_S):
            while True:
                while self._asker is None:
                    await self._changed.wait()
                asker = self._asker
                try:
                    answer = await asker.ask(method, path, query, body)
                except Failed:
                    self._lose(asker)
                    continue
                if answer.status != 503:
                    return answer
                await trio.sleep(_MOMENT_S)  # it is reading its journal, or busy
        raise Failed(f"no node answers on {self._settings.data_dir}")

    async def _serve(self, asker: Asker) -> None:
        """Have requests go there until one is not answered."""
        self._asker = asker
        self._tell()
        try:
            while self._asker is asker:
                await self._changed.wait()
        finally:
            self._asker = None

    def _lose(self, asker: Asker) -> None:
        if self._asker is asker:
            self._asker = None
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
