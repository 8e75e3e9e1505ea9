"""Schemas of relations that are in force on this node (spec/facts.md, 6).

A schema is written, replaced and taken back as a fact, with `POST /v1/facts`; here is what has come of it: which is in
force, and what it asks of values.

Which schemas are in force is policy of the node, like its limits: it decides what every caller's write is answered and
which facts every reader is shown, whatever scopes their keys are for. So every caller is shown what is in force. The
fact that says it is one like all others: its id is named to who may read it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stigmem.core.errors import Refusal
from stigmem.core.schemas import RelationSchema
from stigmem.core.wire import json_response
from stigmem.node.api.reading import Reader
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.visibility import may_read
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "SchemasApi"]


class SchemaRecord(msgspec.Struct):
    """A schema in force. `fact_id`: the fact that says it, null where the caller may not read that; `authority`: the
    node it comes from; `cardinality`: how many values the relation holds, which for the relations of the fixed list is
    not the schema's to say."""

    relation: str
    cardinality: str
    fact_id: str | None
    authority: str
    schema: dict[str, Any]


class SchemasAnswer(msgspec.Struct):
    """Every schema in force, by relation."""

    schemas: list[SchemaRecord]


class SchemasApi:
    """What relations hold."""

    def __init__(self, *, reader: Reader) -> None:
        self._reader = reader

    def get_schemas(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._reader.charge_read(call, txn)
        found = txn.state.schemas.all_in_force()
        return json_response(200, SchemasAnswer([_record(schema, call, txn) for schema in found]))

    def get_schema(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._reader.charge_read(call, txn)
        schema = txn.state.schemas.in_force(call.params["relation"])
        if schema is None:
            raise Refusal(404, "schema_not_found", "no schema of this relation is in force here")
        return json_response(200, _record(schema, call, txn))


def _record(schema: RelationSchema, call: ApiRequest, txn: Transaction) -> SchemaRecord:
    fact = schema.fact
    return SchemaRecord(
        relation=schema.relation,
        cardinality=txn.state.schemas.cardinality(schema.relation),
        fact_id=fact.id if may_read(call.principal, fact) else None,
        authority=fact.origin,
        schema=msgspec.to_builtins(schema.document),
    )


_REFUSALS: Final = (401, 403, 422, 429, 503)

OPERATIONS = (
    Operation(
        "list_schemas", "GET", "/v1/schemas", "read", SchemasApi.get_schemas, "Schemas of relations that are in force",
        answer=SchemasAnswer, refusals=_REFUSALS, tags=("facts",),
    ),
    Operation(
        "get_schema", "GET", "/v1/schemas/{relation}", "read", SchemasApi.get_schema,
        "What a relation holds", answer=SchemaRecord, refusals=(*_REFUSALS, 404), tags=("facts",),
    ),
)  # fmt: skip
