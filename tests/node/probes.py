"""Requests to every operation, made from the table of operations: each parameter and member by its name and type.

A new operation is asked too, without a line here. What is asked are texts of a pool, under symbols that a world gives
its own values: the same request may name a fact that is there in one world and is not in the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from stigmem.core.scopes import SCOPES
from stigmem.node.api.input_errors import types_of
from stigmem.node.api.routing import Operation
from tests.node.api import saying

__all__ = ["POOL", "probes"]

FACTS = ("open.id", "open.cid", "secret.id", "secret.cid", "nowhere.id", "nowhere.cid")
ENTITIES = ("user:open", "user:secret", "user:both", "user:nowhere")
CONFLICTS = ("open.conflict", "secret.conflict", "both.conflict")
POOL = (*FACTS, *CONFLICTS, *ENTITIES, *SCOPES, "agent:secret", "user:holder", "peer-1", "word")
"""Symbols; those with a dot stand for something else in each world."""
_BY_NAME = {
    "entity": ENTITIES, "entity_uri": (*ENTITIES, "user:holder"), "source": ("agent:open", "agent:secret"),
    "relation": ("maint:status", "secret:relation"), "scope": SCOPES, "fact_id": FACTS, "fact": FACTS,
    "conflict": CONFLICTS, "winning_fact_id": FACTS, "key": ("nowhere.id", "open.id"), "peer": ("peer-1", "nowhere.id"),
    "query": ("swordfish", "open words"), "target": (*ENTITIES, *SCOPES), "on_change": ("webhook",),
    "delivery_address": ("https://hooks.example/x",), "after": ("2026-11-20T07:55:44.010Z",), "status": ("resolved",),
    "principal": ("user:holder", "agent:shared"), "peer_id": ("peer-1",), "permissions": (["read"],),
    "allowed_scopes": (["public"], ["company"]), "scopes": (["public"],), "idempotency_key": ("k1", "k2"),
    "as_of": ("2026-11-20T07:55:44Z", "2026-11-20T07:55:44.450Z", "2027-01-01T00:00:00Z"),
    "known_at": ("now", "s:3", "s:9"), "node": ("stigmem:node:x", "user:secret"),
}  # fmt: skip
_NEVER = ("cursor", "wait", "raw_key")
"""Cursors are followed where an answer has one; what waits is not waited for."""


def probes(operation: Operation) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """(path, query, body) of requests to an operation, in symbols."""
    for path in _paths(operation.path):
        for query in _members(operation.query, few="{" in operation.path):
            for body in _bodies(operation):
                yield path, query, body


def _paths(path: str) -> Iterator[str]:
    head, brace, rest = path.partition("{")
    if not brace:
        yield path
        return
    name, _, tail = rest.partition("}")
    for value in _BY_NAME.get(name, POOL):
        yield f"{head}{value}{tail}"


def _members(kind: type[msgspec.Struct] | None, *, few: bool) -> Iterator[dict[str, Any]]:
    """What is required, and then each other member beside it, one by one."""
    if kind is None:
        yield {}
        return
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    fields = [member for member in info.fields if member.encode_name not in _NEVER]
    base = {member.encode_name: _values(kind, member)[0] for member in fields if member.required}
    if any(isinstance(each, inspect.BoolType) for each in types_of(kind).get("wait", ())):
        base |= {"wait": "false", "replay": "true"}
    yield base
    for member in fields:
        for value in _values(kind, member)[: 1 if few else None]:
            yield base | {member.encode_name: value}


def _values(kind: type[msgspec.Struct], member: inspect.Field) -> list[Any]:
    named = _BY_NAME.get(member.encode_name)
    if named is not None:
        return list(named)
    found: list[Any] = []
    for each in types_of(kind)[member.encode_name]:
        if isinstance(each, inspect.BoolType):
            found += [True]
        elif isinstance(each, inspect.IntType):
            found += [max(1, each.ge or 1), max(2, each.ge or 2)]
        elif isinstance(each, inspect.FloatType):
            found += [0.5]
        elif isinstance(each, inspect.LiteralType):
            found += list(each.values)
        elif isinstance(each, inspect.StrType):
            found += ["word"]
        elif isinstance(each, inspect.StructType):
            found += (
                [next(_members(each.cls, few=True))]
                if {"type", "v"} - set(each.cls.__struct_encode_fields__)
                else [{"type": "string", "v": "guess"}]
            )
    return found or [None]


def _bodies(operation: Operation) -> Iterator[Any]:
    kind = operation.body
    if kind is None:
        yield {} if "later" in operation.tags else None
    elif operation.name in ("assert_fact", "assert_facts"):
        for body in _writes():
            yield body if operation.name == "assert_fact" else {"facts": [body], "idempotency_key": "k1"}
    else:
        yield from _members(kind, few=False)


def _writes() -> Iterator[dict[str, Any]]:
    """Facts that somebody has said already, in one world, and facts that contradict what somebody has said."""
    for entity in ENTITIES:
        for text in ("guess", "another guess"):
            for source in ("agent:secret", "agent:mine"):
                yield saying(text, entity=entity, source=source, scope="public")
    for scope in SCOPES:
        yield saying("guess", entity="user:both", source="agent:secret", scope=scope)
    yield saying("my sum", entity="user:sum", derived_from=[{"fact_id": "secret.id"}, {"hash": "secret.cid"}])
