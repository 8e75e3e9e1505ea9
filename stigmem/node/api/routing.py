"""The table of operations: every route once, with what it needs, takes and answers.

The dispatcher, the OpenAPI document and the HTTP binding all read this table; there is no second list of routes. It
needs no node: an operation names its handler as a method of a class, and `bind` gives it the instance of a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from types import MethodType
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote

import msgspec
from msgspec import inspect

from stigmem.core import limits
from stigmem.core.errors import Refusal, invalid
from stigmem.core.json_members import repeated_member
from stigmem.core.wire import JSON_TYPE, Response
from stigmem.node.api.input_errors import errors_in, types_of, unknown_parameters, unreadable
from stigmem.node.api.request import ApiRequest
from stigmem.node.callers import Permission
from stigmem.node.transaction import Transaction

__all__ = [
    "Access", "AfterCommit", "Answer", "BoundHandler", "Handler", "InBackground", "Now", "Operation", "Outcome",
    "Router", "bind", "lenient", "read_body", "read_query",
]  # fmt: skip

Answer = Callable[[Response], None]
"""Takes the response to one request, once."""


class AfterCommit(msgspec.Struct, frozen=True):
    """The response shows what the handler staged: `make` is called once that is durable and applied. It may raise
    Refusal; it is not called when the journal refuses the batch."""

    make: Callable[[], Response]


class InBackground(msgspec.Struct, frozen=True):
    """The response is not made in the turn: `begin` is called with the request's answer once what the handler staged
    is durable, and hands it to a task, a long poll or a command. It may raise Refusal, before it hands it on."""

    begin: Callable[[Answer], None]


Now = Response
"""The response is known while the handler runs, from committed state. It is returned as it is: a wrapper for every
read would be one object more for each of the requests that come most often."""
Outcome = Now | AfterCommit | InBackground
"""What a handler returns."""
Handler = Callable[[Any, ApiRequest, Transaction], Outcome]
"""A method that takes its object, the request and the transaction. Raises Refusal and RetryNextBatch."""
BoundHandler = Callable[[ApiRequest, Transaction], Outcome]
Access = Permission | Literal["any", "open", "peer", "peer|read"]
"""What an operation asks of who calls it: a permission of http-api 4.2, `any` key, nothing (`open`), a peer's token
(`peer`), or either that or the permission to read."""

_BOOLEANS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route.

    `path` may hold a `{name}`, which takes whatever stands there with its slashes, since names are often URIs; of two,
    the first takes none.
    `query` and `body` are the msgspec types that parameters are read into. `before` refuses what is refused whoever
    asks, before anybody is asked who it is. `media`: the content type of a success. `reads_once`: whether a body with a
    member that is there twice is refused; not for the bodies of peers, nor where the handler looks at each part by
    itself. `takes_any_query`: whether parameters that it does not know are ignored.
    `body_optional`: whether it may be asked without a body, or with an empty object, and then has none.
    """

    name: str
    method: str
    path: str
    permission: Access
    handler: Handler
    summary: str
    media: str = JSON_TYPE["content-type"]
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    answer: Any = None
    status: int = 200
    refusals: tuple[int, ...] = ()
    tags: tuple[str, ...] = field(default=())
    before: Callable[[ApiRequest, Transaction], None] | None = None
    reads_once: bool = True
    takes_any_query: bool = False
    body_optional: bool = False


def bind(operations: Iterable[Operation], api: object) -> dict[str, BoundHandler]:
    """Operation name -> handler, for operations whose handlers are methods of the class of `api`."""
    return {operation.name: MethodType(operation.handler, api) for operation in operations}


class Router:
    """Finds the operation of a method and path."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self.operations = operations
        self._exact: dict[str, dict[str, Operation]] = {}
        self._patterns: list[tuple[_Pattern, Operation]] = []
        for operation in operations:
            if "{" in operation.path:
                self._patterns.append((_Pattern.of(operation.path), operation))
            else:
                self._exact.setdefault(operation.path, {})[operation.method] = operation
        # Longer patterns first: /v1/facts/{id}/provenance before /v1/facts/{id}.
        self._patterns.sort(key=lambda each: -each[1].path.count("/"))

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """The operation and its decoded path parameters; raises Refusal 404 or 405.

        `path` is as it was sent: an escaped slash is part of a name and never divides it from the route, so that a
        proxy before us sees the same route as we do.
        """
        methods = self._exact.get(path)
        if methods is not None:
            if method in methods:
                return methods[method], {}
            raise _wrong_method(sorted(methods))
        allowed: list[str] = []
        for pattern, operation in self._patterns:
            if pattern.fits(path):
                if operation.method == method:
                    return operation, pattern.parameters(path)
                allowed.append(operation.method)
        if allowed:
            raise _wrong_method(sorted(set(allowed)))
        raise Refusal(404, "not_found", "Not Found")


def _wrong_method(allowed: list[str]) -> Refusal:
    return Refusal(405, "method_not_allowed", "Method Not Allowed", headers=(("allow", ", ".join(allowed)),))


class _Pattern(NamedTuple):
    """A path with one or two parameters. The last may contain slashes (raw URIs): what is fixed is matched from both
    ends."""

    head: str
    first: str
    between: str
    """What stands between two parameters; empty when there is one."""
    name: str
    tail: str

    @classmethod
    def of(cls, path: str) -> _Pattern:
        head, _, rest = path.partition("{")
        first, between = "", ""
        name, _, tail = rest.partition("}")
        if "{" in tail:
            first = name
            between, _, rest = tail.partition("{")
            name, _, tail = rest.partition("}")
        return cls(head, first, between, name, tail)

    def fits(self, path: str) -> bool:
        if not (path.startswith(self.head) and path.endswith(self.tail) and len(path) > len(self.head + self.tail)):
            return False
        if not self.first:
            return True
        first, found, rest = self._values(path)
        return bool(first and found and rest) and "/" not in first

    def parameters(self, path: str) -> dict[str, str]:
        if not self.first:
            return {self.name: unquote(path[len(self.head) : len(path) - len(self.tail)])}
        first, _, rest = self._values(path)
        return {self.first: unquote(first), self.name: unquote(rest)}

    def _values(self, path: str) -> tuple[str, str, str]:
        return path[len(self.head) : len(path) - len(self.tail)].partition(self.between)


def read_query(operation: Operation, pairs: list[tuple[str, str]], *, by_peer: bool = False) -> Any:
    """The query parameters as the operation's type. Raises Refusal 422, also for a parameter that is given twice:
    whoever looked at the request before us may have seen the other one.

    One that the operation does not know is refused, because leaving out a filter widens what is read; but not where
    everybody may ask, nor of a peer, which may be of a newer version. An empty text counts as absent in a read, as the
    contract has it (http-api 3.4), and is refused where something changes: `?dry_run=` of a script whose variable is
    not set would change it in earnest.
    """
    lenient_here = by_peer or operation.takes_any_query or operation.permission == "open"
    if not lenient_here and (unknown := unknown_parameters(operation.query, pairs)):
        raise unreadable("query", unknown)
    if operation.query is None:
        return None
    given: dict[str, str] = {}
    known, changes = operation.query.__struct_encode_fields__, operation.method != "GET"
    for name, value in pairs:
        if changes and not (value or lenient_here) and name in known:
            message = f"{name} is empty; leave it out, or say what is meant"
            raise invalid(name, message, where="query", given=value)
        if value and name in given and name in known:
            raise invalid(name, f"{name} is given twice; give it once", where="query", given=value)
        if value:
            given[name] = value
    for name in _booleans_of(operation.query):
        if name in given:
            given[name] = _BOOLEANS.get(given[name].lower(), given[name])
    try:
        return msgspec.convert(given, operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise unreadable("query", errors_in("query", operation.query, given, error)) from error


@lru_cache
def _booleans_of(query: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(
        name for name, types in types_of(query).items() if any(isinstance(each, inspect.BoolType) for each in types)
    )


def read_body(operation: Operation, body: bytes) -> Any:
    """The JSON body as the operation's type; raises Refusal 422."""
    if operation.body is None or (operation.body_optional and body.strip() in (b"", b"{}")):
        return None
    try:
        found = msgspec.json.decode(body, type=operation.body)
        if operation.reads_once and (name := repeated_member(body)) is not None:
            raise repeated(name)
        return found
    except msgspec.ValidationError as error:
        raise unreadable("body", errors_in("body", operation.body, lenient(body), error)) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        message = (
            f"the body is no valid JSON: {error}" if body else "the body is missing: this operation needs one, as JSON"
        )
        given = body[: limits.URI_CHARS_MAX].decode(errors="replace")
        raise invalid("", message, code="json_invalid", kind="json_invalid", given=given) from error


def repeated(name: str) -> Refusal:
    """How a caller is told that its body says two things under one name."""
    message = f"the member {name!r} is there twice: which of the two is meant?"
    return invalid(name, message, code="json_repeated_member", kind="json_repeated_member")


def lenient(body: bytes | msgspec.Raw) -> Any:
    """A body of ordinary size as plain data, to show what is wrong in it; UNSET when it is more or worse than that."""
    try:
        return msgspec.json.decode(body) if len(bytes(body)) <= limits.STRING_BYTES_MAX else msgspec.UNSET
    except (msgspec.DecodeError, ValueError, RecursionError):
        return msgspec.UNSET
