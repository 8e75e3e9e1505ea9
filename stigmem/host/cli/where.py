"""Whom a command speaks to: a node at a URL, the node that runs on a data directory, or that directory itself.

Every command goes through the same operations, whoever answers: over HTTP with an API key, over the control socket
as the operator, or in this process on a directory that no node has open.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from urllib.parse import urlencode

import msgspec
import trio
from cyclopts import Group, Parameter

from stigmem.core.event_stream import EVENT_STREAM_TYPE, BrokenStream, EventReader, ServerEvent
from stigmem.core.json_values import VALUES_HEADER
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.host.cli.progress import loading
from stigmem.host.cli.speech import Failed, Mistake
from stigmem.host.datadir import DataDirectoryBusy, database_of
from stigmem.host.running import running_settings
from stigmem.host.settings import HostSettings
from stigmem.host.sources import Resolved, overlaid, resolve
from stigmem.host.tls_errors import tls_reason

if TYPE_CHECKING:
    import httpx

    from stigmem.host.stopped import StoppedNode

__all__ = ["Asker", "Disconnected", "Follower", "Place", "Where", "answer", "checked", "running_on", "target_of"]

_GROUP = Group("Which node", sort_key=90)
_TIMEOUT_S = 60.0
_SILENCE_S = 45.0
"""A stream that is silent for three heartbeats is dead."""


class Disconnected(Failed):
    """A node cannot be reached, or went away in the middle."""


class Asker(Protocol):
    """Something that answers requests."""

    async def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Response:
        """The node's answer, whatever its status; raises Failed when there is none."""
        ...


class Follower(Asker, Protocol):
    """Something that runs, so that it can be followed."""

    def events(self, query: dict[str, Any], cursor: str | None) -> AsyncGenerator[ServerEvent, None]:
        """One stream of `GET /v1/events`. Raises Failed, and Disconnected when another try may go well."""
        ...


class _Over:
    """A node over HTTP."""

    def __init__(self, client: httpx.AsyncClient, named: str) -> None:
        self._client = client
        self._named = named

    async def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Response:
        import httpx

        content = None if body is None else msgspec.json.encode(body)
        headers = JSON_TYPE if content is not None else {}
        try:
            found = await self._client.request(method, target_of(path, query), content=content, headers=headers)
        except httpx.HTTPError as error:
            reason = tls_reason(error)
            why = f"TLS failed: {reason}" if reason is not None else str(error) or type(error).__name__
            raise Failed(f"{self._named} does not answer: {why}") from error
        return Response(found.status_code, {k.lower(): v for k, v in found.headers.items()}, found.content)

    async def events(self, query: dict[str, Any], cursor: str | None) -> AsyncGenerator[ServerEvent, None]:
        """What comes over one stream of `GET /v1/events` after a cursor, until it ends. Raises Failed when the node
        refuses, and Disconnected when it cannot be reached or goes away."""
        import httpx

        from stigmem.host.client import parts_of

        headers = {"accept": EVENT_STREAM_TYPE} | ({} if cursor is None else {"last-event-id": cursor})
        reader = EventReader()
        request = self._client.stream("GET", target_of("/v1/events", query), headers=headers, timeout=_SILENCE_S)
        try:
            async with request as found:
                if found.status_code == 503:
                    raise Disconnected(f"{self._named} is busy, or still starting")
                if found.status_code != 200:
                    checked(Response(found.status_code, {}, await found.aread()))
                async with aclosing(parts_of(found)) as parts:
                    async for part in parts:
                        for each in reader.feed(part):
                            yield each
        except (httpx.HTTPError, BrokenStream) as error:
            raise Disconnected(f"{self._named} does not answer: {str(error) or type(error).__name__}") from error


class _Inside:
    """A stopped node in this process."""

    def __init__(self, node: StoppedNode) -> None:
        self._node = node

    async def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Response:
        content = b"" if body is None else msgspec.json.encode(body)
        return await self._node.ask(
            Request(method, target_of(path, query), JSON_TYPE | {VALUES_HEADER: "json"}, content)
        )


def target_of(path: str, query: dict[str, Any] | None) -> str:
    """A path with its query; parameters that are None, False or empty are left out."""
    kept = {
        name: _text(value)
        for name, value in (query or {}).items()
        if not (value is None or value is False or value == ())
    }
    return f"{path}?{urlencode(kept)}" if kept else path


def _text(value: object) -> str:
    return "true" if value is True else str(value)


@dataclass(frozen=True, slots=True)
class Place:
    """A connection and what is known of the place."""

    asker: Asker
    kind: str
    """`url`, `control` or `stopped`."""
    settings: HostSettings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which node a command is about."""

    data_dir: Annotated[
        Path | None,
        Parameter(group=_GROUP, help="Data directory of a node on this machine. [STIGMEM_DATA_DIR; stigmem-data]"),
    ] = None
    url: Annotated[str | None, Parameter(group=_GROUP, help="Address of a node that runs anywhere. [STIGMEM_URL]")] = (
        None
    )
    api_key: Annotated[str | None, Parameter(group=_GROUP, help="API key for --url. [STIGMEM_API_KEY]")] = None
    config: Annotated[
        Path | None, Parameter(group=_GROUP, help="Settings file. [STIGMEM_CONFIG; stigmem.toml where it exists]")
    ] = None

    def resolved(self) -> Resolved:
        """The settings of the node on this machine: its own words if it runs, else what environment and file say.
        Raises BadSettings."""
        flags = {"data_dir": None if self.data_dir is None else str(self.data_dir)}
        found = resolve(flags, os.environ, self.config)
        told = running_settings(found.settings.data_dir)
        return found if told is None else overlaid(found, told)

    @property
    def settings(self) -> HostSettings:
        return self.resolved().settings

    @property
    def directory(self) -> Path:
        """The data directory, for commands that are about its files. Raises Mistake when there is no node in it."""
        directory = self.settings.data_dir
        if not database_of(directory).exists():
            raise Mistake(
                f"there is no node in {directory}: start one with `stigmem serve`, or name another with --data-dir"
            )
        return directory

    @asynccontextmanager
    async def connect(self, *, new: bool = False) -> AsyncIterator[Place]:
        """Somebody to ask. `new`: make the data directory when it does not exist. Raises Mistake or Failed."""
        from stigmem.host.stopped import stopped_node

        settings = self.settings
        # A flag on the command line outranks a variable, also a variable of the other kind.
        url = self.url or (os.environ.get("STIGMEM_URL") if self.data_dir is None else None)
        async with AsyncExitStack() as stack:
            if url:
                yield Place(await stack.enter_async_context(self._remote(url, settings)), "url", settings)
                return
            if not new:
                _ = self.directory
            running = await stack.enter_async_context(running_on(settings.data_dir))
            if running is not None:
                yield Place(running, "control", settings)
                return
            try:
                with loading() as progress:
                    node = await stack.enter_async_context(stopped_node(settings, progress))
            except DataDirectoryBusy as busy:
                raise Failed(
                    f"{settings.data_dir} is open in another process that does not answer at its control socket: a "
                    "node that is still starting, or another command; try again, or use --url and --api-key"
                ) from busy
            yield Place(_Inside(node), "stopped", settings)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Follower | None]:
        """The node at the address given, or the one that runs on the data directory; None when it does not run.
        Raises Mistake."""
        url = self.url or (os.environ.get("STIGMEM_URL") if self.data_dir is None else None)
        found = self._remote(url, self.settings) if url else running_on(self.directory)
        async with found as follower:
            yield follower

    @asynccontextmanager
    async def _remote(self, url: str, settings: HostSettings) -> AsyncIterator[Follower]:
        import httpx

        from stigmem.host.tls import client_context

        if not url.startswith(("http://", "https://")):
            raise Mistake(f"--url must be an http or https address, not {url!r}")
        key = self.api_key or os.environ.get("STIGMEM_API_KEY", "")
        headers = {VALUES_HEADER: "json"} | ({"authorization": f"Bearer {key}"} if key else {})
        verify: Any = client_context(settings) if url.startswith("https://") else True
        async with httpx.AsyncClient(
            base_url=url.rstrip("/"), headers=headers, verify=verify, timeout=_TIMEOUT_S, trust_env=False
        ) as client:
            yield _Over(client, url)


@asynccontextmanager
async def running_on(directory: Path) -> AsyncIterator[Follower | None]:
    """The node that runs on a data directory, through its control socket; None when none answers there."""
    if not os.path.isdir(directory):  # noqa: ASYNC240, PTH112 - a look at a local name
        yield None
        return
    import httpx

    from stigmem.host.control import socket_address

    with socket_address(directory) as address:
        try:
            await (await trio.open_unix_socket(address)).aclose()
        except OSError:
            yield None
            return
        transport = httpx.AsyncHTTPTransport(uds=address)
        async with httpx.AsyncClient(base_url="http://node", transport=transport, timeout=_TIMEOUT_S) as client:
            yield _Over(client, f"the node on {directory}")


def checked(response: Response) -> Response:
    """The response if it is a success; raises Failed with what the node said."""
    if response.status < 400:
        return response
    sentence = _sentence(response)
    hint = {
        401: "; give --api-key or STIGMEM_API_KEY",
        507: "; make room on the node's disk",
    }.get(response.status, "")
    raise Failed(f"the node says {response.status}: {sentence}{hint}", 2 if response.status in (400, 413, 422) else 1)


def answer(response: Response) -> Any:
    """The decoded body of a success; raises Failed."""
    body = checked(response).body
    return msgspec.json.decode(body) if body else None


def _sentence(response: Response) -> str:
    try:
        found = msgspec.json.decode(response.body)
    except msgspec.DecodeError:
        return response.body[:200].decode("utf-8", "replace") or "nothing"
    detail = found.get("detail", found) if isinstance(found, dict) else found
    if isinstance(detail, list):
        return "; ".join(_about(".".join(map(str, item.get("loc", [])[1:])), item.get("msg", "")) for item in detail)
    if isinstance(detail, dict):
        return str(detail.get("message") or detail.get("error") or detail)
    return str(detail)


def _about(member: str, message: str) -> str:
    return message if not member or message.startswith(member) else f"{member}: {message}"
