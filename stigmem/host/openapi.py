"""The OpenAPI 3.1 document, made from the node's table of operations.

There is no second list of routes: paths, parameters, bodies, statuses and permissions are read off ROUTER; only the
routes of this process (readiness, metrics, documents) are named here.
"""

from __future__ import annotations

import re
from types import UnionType
from typing import Any, Final, get_args, get_origin

import msgspec

import stigmem
from stigmem.node.api.routing import Operation

__all__ = ["document"]

_REF: Final = "#/components/schemas/{name}"
_PARAMETERS: Final = {
    "fact": "Id or content id (sha256:...) of a fact",
    "conflict": "Id of a conflict",
    "peer": "Id of a peer row",
    "node": "Node id or entity URI, raw or percent-encoded",
    "key": "Id of an API key",
    "entity": "Entity URI, raw or percent-encoded",
    "scope": "local, team, company or public",
    "job": "Id of a job",
    "subscription": "Id of a subscription",
    "garden": "Id or slug of a garden",
    "origin": "Node id of an origin, raw or percent-encoded",
    "member": "Entity URI of a member, raw or percent-encoded",
}
_PHRASES: Final = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "Done; nothing to return",
    400: "The request cannot be read as meant",
    401: "No valid credential",
    403: "The credential does not allow this",
    404: "There is no such thing",
    405: "The address does not take this method",
    408: "The body did not arrive in time",
    409: "It does not fit what is there",
    413: "Too large",
    415: "Not JSON",
    421: "Not over this connection",
    422: "A member or parameter is not valid",
    429: "Too many requests; Retry-After says when to come back",
    501: "This node does not do that (yet)",
    503: "Not now; Retry-After says when to come back",
    507: "The disk takes no writes; nothing was stored, reads go on",
}
_EVERYWHERE: Final = (400, 408, 413, 503)
"""Statuses that a request may meet before any operation sees it."""


class ErrorItem(msgspec.Struct):
    """One member or parameter that is not valid, and where it stands. `input` is what was sent there."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class Error(msgspec.Struct):
    """The body of a refusal: a sentence for people, a stable code for programs, and what belongs to the code."""

    detail: str
    code: str
    field: str | msgspec.UnsetType = msgspec.UNSET
    errors: list[ErrorItem] | msgspec.UnsetType = msgspec.UNSET
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Members of the body that no operation reads."""


class TooMany(msgspec.Struct):
    """The body of a refusal for rate."""

    detail: str
    code: str
    error: str
    dimension: str | msgspec.UnsetType = msgspec.UNSET
    principal: str | msgspec.UnsetType = msgspec.UNSET
    retry_after: float | msgspec.UnsetType = msgspec.UNSET


class Status(msgspec.Struct):
    """How the process is."""

    status: str


def document(operations: tuple[Operation, ...], server_url: str) -> dict[str, Any]:
    """The whole document, for a node at `server_url`."""
    given = [t for o in operations for t in (o.query, o.body, o.answer, *get_args(o.answer))]
    types = [t for t in given if _is_struct(t)]
    _, components = msgspec.json.schema_components([*dict.fromkeys(types), Error, TooMany, Status], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, components)
    for path, described in _process_routes().items():
        paths[path] = {"get": described}
    queries = {o.query.__name__ for o in operations if o.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stigmem node",
            "version": stigmem.__version__,
            "summary": "Facts, their contradictions and their exchange between nodes",
            "description": "Permissions of API keys do not imply each other; each operation names the one it needs. "
            "Members of a body that no operation knows are ignored and named in the member `warnings` of the answer; "
            "parameters of a query that it does not know are refused.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server_url}],
        "tags": [{"name": tag} for tag in dict.fromkeys(t for o in operations for t in o.tags)],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key of this node"},
                "peerToken": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A single-use token signed by an approved peer",
                },
            },
        },
    }  # fmt: skip


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _operation(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {
            "name": name, "in": "path", "required": True, "description": _PARAMETERS.get(name, name),
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]  # fmt: skip
    if operation.query is not None:
        parameters += _query(components[operation.query.__name__])
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _permission(operation.permission),
        "tags": list(operation.tags),
        "parameters": parameters,
        "security": _security(operation.permission),
        "responses": _responses(operation),
        "x-permission": operation.permission,
    }
    if operation.body is not None:
        described["requestBody"] = {"required": not operation.body_optional, "content": _json(_schema(operation.body))}
    return described


def _query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(member)}
        for name, member in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """In a query string an absent parameter is the only null."""
    kept = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        return dict(choices[0]) | kept
    return kept | ({"anyOf": choices} if choices else {})


def _permission(permission: str) -> str:
    return {
        "open": "Open to everyone.",
        "any": "Needs any valid API key.",
        "peer": "For approved peers: needs a peer token.",
        "peer|read": "Needs a peer token, or an API key with `read`.",
    }.get(permission, f"Needs an API key with `{permission}`.")


def _security(permission: str) -> list[dict[str, list[str]]]:
    if permission == "open":
        return []
    peer: list[dict[str, list[str]]] = [{"peerToken": []}] if "peer" in permission.split("|") else []
    return peer + ([] if permission == "peer" else [{"apiKey": []}])


def _responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {str(operation.status): {"description": _PHRASES[operation.status]}}
    if operation.answer is not None:
        found[str(operation.status)]["content"] = {operation.media: {"schema": _schema(operation.answer)}}
    for status in sorted({*operation.refusals, *_EVERYWHERE}):
        kind = TooMany if status == 429 else Error
        schema = _schema(kind) if status != 503 else {"anyOf": [_schema(Error), _schema(TooMany)]}
        found[str(status)] = {"description": _PHRASES.get(status, "Refused"), "content": _json(schema)}
    return found


def _schema(kind: Any) -> dict[str, Any]:
    if _is_struct(kind):
        return {"$ref": _REF.format(name=kind.__name__)}
    if get_origin(kind) is UnionType:
        return {"anyOf": [_schema(each) for each in get_args(kind)]}
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return dict(schema)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _process_routes() -> dict[str, dict[str, Any]]:
    def get(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
        return {
            "operationId": name, "summary": summary, "tags": ["node"], "security": [], "parameters": [],
            "responses": responses, "x-permission": "open",
        }  # fmt: skip

    def text(kind: str) -> dict[str, Any]:
        return {"200": {"description": "OK", "content": {kind: {"schema": {"type": "string"}}}}}

    ready = {
        str(status): {"description": phrase, "content": _json(_schema(Status))}
        for status, phrase in ((200, "The journal is loaded and requests are answered"), (503, "Loading or stopping"))
    }
    return {
        "/readyz": get("ready", "Whether requests will be answered", ready),
        "/metrics": get("metrics", "Counters and gauges in the Prometheus text format", text("text/plain")),
        "/docs": get("docs", "This document as a page to try it on", text("text/html")),
        "/openapi.json": get(
            "openapi", "This document", {"200": {"description": "OK", "content": _json({"type": "object"})}}
        ),
    }
