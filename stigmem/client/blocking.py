"""The client that blocks: every operation of `stigmem.client.operations` as a method, over httpx.

A method is the operation of the same name, bound by `_calls`, `_flows` or `_paged` with its types; only what waits is
written here, and again in `stigmem.client.awaiting` for programs that await.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from stigmem.client import operations
from stigmem.client.binding import bound
from stigmem.client.calls import Attempts, Call, Flow, Pages, answered
from stigmem.client.following import SILENCE_S, Follow, ScopePoll
from stigmem.client.models import Fact, FactScope
from stigmem.core.json_values import VALUES_HEADER

__all__ = ["Following", "StigmemClient"]

P = ParamSpec("P")
Q = TypeVar("Q")
T = TypeVar("T")


def _calls(build: Callable[P, Call[T]]) -> Callable[Concatenate[StigmemClient, P], T]:
    def method(self: StigmemClient, /, *args: P.args, **named: P.kwargs) -> T:
        return self._call(build(*args, **named))

    return bound(build, method)


def _flows(build: Callable[P, Flow[T]]) -> Callable[Concatenate[StigmemClient, P], T]:
    def method(self: StigmemClient, /, *args: P.args, **named: P.kwargs) -> T:
        return self._flow(build(*args, **named))

    return bound(build, method)


def _paged(build: Callable[P, Pages[Q, T]]) -> Callable[Concatenate[StigmemClient, P], Iterator[T]]:
    def method(self: StigmemClient, /, *args: P.args, **named: P.kwargs) -> Iterator[T]:
        return self._pages(build(*args, **named))

    return bound(build, method)


class StigmemClient:
    """A node, spoken to over HTTP. Raises StigmemHTTPError and its kinds when the node refuses, and errors of httpx
    when no answer comes."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: float = 10.0,
        *,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`timeout`: seconds for each step of a request. `retries`: how often a request is sent again when that cannot
        do harm. `transport`: another one of httpx, for tests."""
        headers = {"accept": "application/json", VALUES_HEADER: "json"}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._retries = retries
        self._http = httpx.Client(headers=headers, timeout=timeout, transport=transport)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

    def _call(self, call: Call[T]) -> T:
        attempts = Attempts(self._retries)
        while True:
            try:
                response = self._http.request(
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
            time.sleep(rest_s)

    def _flow(self, flow: Flow[T]) -> T:
        try:
            call = next(flow)
            while True:
                try:
                    result = self._call(call)
                except Exception as error:  # the flow decides what an error means
                    call = flow.throw(error)
                else:
                    call = flow.send(result)
        except StopIteration as end:
            found: T = end.value
            return found

    def _pages(self, pages: Pages[Q, T]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self._call(pages.page(cursor))
            yield from pages.items(page)
            cursor = pages.cursor(page)
            if cursor is None:
                return

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
    ) -> Following:
        """Facts as the node stores them, without end: from now on, from the beginning (`replay`), from an instant
        (`after`) or from where another following was (`cursor`). It connects again by itself."""
        wanted = {
            "entity": entity, "relation": relation, "source": source, "scope": scope,
            "min_confidence": min_confidence, "after": after, "replay": replay,
        }  # fmt: skip
        state = Follow(wanted, cursor)
        timeout = httpx.Timeout(self._timeout, read=SILENCE_S)
        return Following(state, self._http, self._url + state.target, timeout)

    def subscribe_scope(
        self,
        scope: FactScope,
        callback: Callable[[list[Fact]], None],
        *,
        interval_s: float = 30.0,
        stop_event: threading.Event | None = None,
    ) -> None:
        """Call `callback` with the newest facts of a scope, and every `interval_s` seconds with those that are new,
        until `stop_event` is set. `follow` tells of each fact at once."""
        stop, poll = stop_event or threading.Event(), ScopePoll(scope)
        while not stop.is_set():
            batch = self._flow(poll.step())
            if batch:
                callback(batch)
            stop.wait(interval_s)


class Following:
    """Facts that come as a node stores them: iterate over it. `cursor` is the place after the fact that came last."""

    def __init__(self, state: Follow, http: httpx.Client, url: str, timeout: httpx.Timeout) -> None:
        self._state = state
        self._http = http
        self._url = url
        self._timeout = timeout
        self._facts = self._follow()

    @property
    def cursor(self) -> str | None:
        """Where to begin another following; None before anything was heard from the node."""
        return self._state.cursor

    def __iter__(self) -> Iterator[Fact]:
        return self

    def __next__(self) -> Fact:
        return next(self._facts)

    def close(self) -> None:
        """End it."""
        self._facts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self) -> Generator[Fact, None, None]:
        state = self._state
        has_begun = False
        while True:
            try:
                with self._http.stream("GET", self._url, headers=state.begin(), timeout=self._timeout) as response:
                    if response.status_code != httpx.codes.OK:
                        state.refused(response.status_code, response.read())
                    else:
                        has_begun = True
                        for part in response.iter_raw():
                            for followed in state.feed(part):
                                state.took(followed)
                                if followed.fact is not None:
                                    yield followed.fact
            except httpx.TransportError:
                if not has_begun:
                    raise  # nobody was ever there
            time.sleep(state.rest_s())
