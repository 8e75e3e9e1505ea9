"""The client that awaits, under trio and asyncio: every operation of `stigmem.client.operations` as a method.

As `stigmem.client.blocking`, with what waits written for programs that await.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

import anyio
import httpx

from stigmem.client import operations
from stigmem.client.binding import bound
from stigmem.client.calls import Attempts, Call, Flow, Pages, answered
from stigmem.client.following import SILENCE_S, Follow, Followed, ScopePoll
from stigmem.client.models import Fact, FactScope
from stigmem.core.json_values import VALUES_HEADER

__all__ = ["AsyncFollowing", "AsyncStigmemClient"]

P = ParamSpec("P")
Q = TypeVar("Q")
T = TypeVar("T")


class StopEvent(Protocol):
    """An event of asyncio, trio or anyio."""

    def is_set(self) -> bool: ...

    def wait(self) -> Awaitable[Any]: ...


def _calls(build: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncStigmemClient, P], Awaitable[T]]:
    async def method(self: AsyncStigmemClient, /, *args: P.args, **named: P.kwargs) -> T:
        return await self._call(build(*args, **named))

    return bound(build, method)


def _flows(build: Callable[P, Flow[T]]) -> Callable[Concatenate[AsyncStigmemClient, P], Awaitable[T]]:
    async def method(self: AsyncStigmemClient, /, *args: P.args, **named: P.kwargs) -> T:
        return await self._flow(build(*args, **named))

    return bound(build, method)


def _paged(build: Callable[P, Pages[Q, T]]) -> Callable[Concatenate[AsyncStigmemClient, P], AsyncIterator[T]]:
    def method(self: AsyncStigmemClient, /, *args: P.args, **named: P.kwargs) -> AsyncIterator[T]:
        return _Paging(self, build(*args, **named))

    return bound(build, method)


class AsyncStigmemClient:
    """A node, spoken to over HTTP. Raises StigmemHTTPError and its kinds when the node refuses, and errors of httpx
    when no answer comes."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: float = 10.0,
        *,
        retries: int = 2,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`timeout`: seconds for each step of a request. `retries`: how often a request is sent again when that cannot
        do harm. `transport`: another one of httpx, for tests."""
        headers = {"accept": "application/json", VALUES_HEADER: "json"}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._retries = retries
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout, transport=transport)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    node_info = _calls(operations.node_info)
    federation_status = _calls(operations.federation_status)
    assert_fact = _calls(operations.assert_fact)
    assert_batch = _calls(operations.assert_batch)
    retract = _calls(operations.retract)
    get = _calls(operations.get)
    query = _calls(operations.query)
    iter_facts = _paged(operations.iter_facts)
    iter_history = _paged(operations.iter_history)
    history = _flows(operations.history)
    list_conflicts = _calls(operations.list_conflicts)
    iter_conflicts = _paged(operations.iter_conflicts)
    resolve_conflict = _calls(operations.resolve_conflict)
    recall = _calls(operations.recall)
    get_card = _calls(operations.get_card)
    neighbors = _calls(operations.neighbors)
    lint = _calls(operations.lint)
    synthesize = _calls(operations.synthesize)
    send_intent = _calls(operations.send_intent)
    get_intent = _calls(operations.get_intent)
    act_on_intent = _calls(operations.act_on_intent)
    iter_intents = _paged(operations.iter_intents)
    subscribe = _calls(operations.subscribe)
    list_subscriptions = _calls(operations.list_subscriptions)
    delete_subscription = _calls(operations.delete_subscription)

    # --- what all methods do ---

    async def _call(self, call: Call[T]) -> T:
        attempts = Attempts(self._retries)
        while True:
            try:
                response = await self._http.request(
                    call.method, self._url + call.target, content=call.body, headers=dict(call.headers)
                )
            except httpx.TransportError as error:
                rest_s = attempts.after_silence(call, error)
                if rest_s is None:
                    raise
            else:
                rest_s = attempts.after_answer(call, response)
                if rest_s is None:
                    return answered(call, response)
            await anyio.sleep(rest_s)

    async def _flow(self, flow: Flow[T]) -> T:
        try:
            call = next(flow)
            while True:
                try:
                    result = await self._call(call)
                except Exception as error:  # the flow decides what an error means
                    call = flow.throw(error)
                else:
                    call = flow.send(result)
        except StopIteration as end:
            found: T = end.value
            return found

    # --- following ---

    def follow(
        self,
        *,
        entity: str | None = None,
        relation: str | None = None,
        source: str | None = None,
        scope: FactScope | None = None,
        min_confidence: float | None = None,
        after: str | None = None,
        replay: bool = False,
        cursor: str | None = None,
    ) -> AsyncFollowing:
        """Facts as the node stores them, without end: from now on, from the beginning (`replay`), from an instant
        (`after`) or from where another following was (`cursor`). It connects again by itself. Use it in `async with`,
        so that the connection is closed when you have had enough."""
        wanted = {
            "entity": entity, "relation": relation, "source": source, "scope": scope,
            "min_confidence": min_confidence, "after": after, "replay": replay,
        }  # fmt: skip
        state = Follow(wanted, cursor)
        timeout = httpx.Timeout(self._timeout, read=SILENCE_S)
        return AsyncFollowing(state, self._http, self._url + state.target, timeout)

    async def subscribe_scope(
        self,
        scope: FactScope,
        callback: Callable[[list[Fact]], None],
        *,
        interval_s: float = 30.0,
        stop_event: StopEvent | None = None,
    ) -> AsyncGenerator[list[Fact], None]:
        """Call `callback` with the newest facts of a scope, and every `interval_s` seconds with those that are new,
        until `stop_event` is set; each batch is yielded too. `follow` tells of each fact at once."""
        poll = ScopePoll(scope)
        while stop_event is None or not stop_event.is_set():
            batch = await self._flow(poll.step())
            if batch:
                callback(batch)
                yield batch
            with anyio.move_on_after(interval_s):
                await (anyio.sleep_forever() if stop_event is None else stop_event.wait())


class _Paging(AsyncIterator[T]):
    """Items of pages, each page asked for when its first item is wanted."""

    def __init__(self, client: AsyncStigmemClient, pages: Pages[Any, T]) -> None:
        self._client = client
        self._pages = pages
        self._items: list[T] = []
        self._cursor: str | None = None
        self._is_last = False

    async def __anext__(self) -> T:
        while not self._items:
            if self._is_last:
                raise StopAsyncIteration
            page = await self._client._call(self._pages.page(self._cursor))  # noqa: SLF001 - part of the client
            self._items = self._pages.items(page)[::-1]
            self._cursor = self._pages.cursor(page)
            self._is_last = self._cursor is None
        return self._items.pop()


class AsyncFollowing(AsyncIterator[Fact]):
    """Facts that come as a node stores them: iterate over it, inside `async with`. `cursor` is the place after the fact
    that came last. No generator, so that an event loop is left nothing to close."""

    def __init__(self, state: Follow, http: httpx.AsyncClient, url: str, timeout: httpx.Timeout) -> None:
        self._state = state
        self._http = http
        self._url = url
        self._timeout = timeout
        self._stream = AsyncExitStack()
        self._response: httpx.Response | None = None
        self._parts: AsyncIterator[bytes] | None = None
        self._come: list[Followed] = []
        self._has_begun = False

    @property
    def cursor(self) -> str | None:
        """Where to begin another following; None before anything was heard from the node."""
        return self._state.cursor

    async def __anext__(self) -> Fact:
        while True:
            while self._come:
                followed = self._come.pop(0)
                self._state.took(followed)
                if followed.fact is not None:
                    return followed.fact
            try:
                self._come = await self._next_part()
            except httpx.TransportError:
                await self._close_stream()
                if not self._has_begun:
                    raise  # nobody was ever there
                await anyio.sleep(self._state.rest_s())

    async def aclose(self) -> None:
        """End it."""
        await self._close_stream()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _next_part(self) -> list[Followed]:
        """What the next piece of the stream holds; nothing when it ended, was not there or has just begun."""
        if self._parts is None:
            request = self._http.stream("GET", self._url, headers=self._state.begin(), timeout=self._timeout)
            self._response = await self._stream.enter_async_context(request)
            if self._response.status_code != httpx.codes.OK:
                status, body = self._response.status_code, await self._response.aread()
                await self._close_stream()
                self._state.refused(status, body)
                await anyio.sleep(self._state.rest_s())
                return []
            self._has_begun = True
            self._parts = self._response.aiter_raw()
        part = await anext(self._parts, None)
        if part is not None:
            return self._state.feed(part)
        await self._close_stream()
        await anyio.sleep(self._state.rest_s())
        return []

    async def _close_stream(self) -> None:
        """Close what is read from and read on: so the generators of httpx under it come to their end by themselves."""
        parts, self._parts = self._parts, None
        response, self._response = self._response, None
        with anyio.CancelScope(shield=True):
            if response is not None and parts is not None:
                with suppress(httpx.HTTPError, httpx.StreamError):
                    await response.aclose()
                    async for _ in parts:
                        pass
            await self._stream.aclose()
