"""Aliases and the resolver of names (http-api 3.14): an entity is found by its name, an alias, or a name like it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Refusal
from stigmem.core.lookup import Candidate, similar_entities
from stigmem.core.records import AliasRow
from stigmem.core.scopes import ordered
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise, normalise_filter
from stigmem.core.wire import Response, json_response
from stigmem.node.api.names import is_known, is_shown
from stigmem.node.api.reading import Reader
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import AfterCommit, Operation, Outcome
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "AliasesApi"]

_Uri = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]


class AliasRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/aliases`: facts about `raw_uri` are about `canonical_uri` from now on."""

    raw_uri: _Uri
    canonical_uri: _Uri


class AliasRecord(msgspec.Struct):
    """An alias."""

    raw_uri: str
    canonical_uri: str
    kind: Literal["user"]
    created_at: str


class AliasParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/aliases`. Of kind `migration` this node has none."""

    kind: Literal["user", "migration"] | None = None
    canonical_uri: str | None = None


class ResolveParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/entities/resolve`."""

    uri: _Uri
    top_k: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    threshold: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.5


class ResolvedName(msgspec.Struct):
    """What a name means. `canonical`: the name in its stored form; `best`: the entity meant, None when nothing is like
    it; `resolution_layer`: 1 a known entity, 2 an alias, 3 a name like it."""

    query: str
    canonical: str
    best: str | None
    resolution_layer: Literal[1, 2, 3] | None
    layer1_match: bool
    layer2_match: str | None
    layer3_candidates: list[Candidate]


class AliasesApi:
    """Other names of entities."""

    def __init__(self, *, reader: Reader) -> None:
        self._reader = reader

    def post_alias(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: AliasRequest = call.body
        self._reader.charge_write(call, txn)
        raw, canonical = normalise(given.raw_uri), normalise(given.canonical_uri)
        if raw == canonical:
            raise Refusal(400, "alias_of_itself", "both names are the same", field="canonical_uri")
        txn.reserve("alias", raw)
        held = txn.state.aliases.get(raw)
        if held is not None and not is_shown(txn.state, call.principal, held):
            raise Refusal(409, "alias_taken", "this name is taken", field="raw_uri")
        if held is None and len(txn.state.aliases) >= limits.ALIASES_MAX:
            raise Refusal(409, "too_many_aliases", f"a node keeps at most {limits.ALIASES_MAX} aliases")
        row = AliasRow(raw, canonical, call.principal.entity_uri, ordered(call.principal.scopes), txn.now_us)
        txn.add(row)
        txn.audit("alias_created", call.principal.entity_uri, raw=raw, canonical=canonical)
        return AfterCommit(lambda: json_response(201, _record(row)))

    def get_aliases(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: AliasParameters = call.query
        self._reader.charge_read(call, txn)
        wanted = None if given.canonical_uri is None else normalise_filter(given.canonical_uri)
        if given.kind == "migration":
            return json_response(200, [])
        rows = [
            _record(row)
            for row in reversed(txn.state.aliases.values())
            if wanted in (None, row.canonical) and is_shown(txn.state, call.principal, row)
        ]
        return json_response(200, rows)

    def delete_alias(self, call: ApiRequest, txn: Transaction) -> Outcome:
        self._reader.charge_write(call, txn)
        raw = normalise_filter(call.params["uri"])
        row = txn.state.aliases.get(raw)
        if row is None or not is_shown(txn.state, call.principal, row):
            raise Refusal(404, "alias_not_found", "there is no such alias")
        txn.reserve("alias", raw)
        txn.add(msgspec.structs.replace(row, canonical=""))
        txn.audit("alias_deleted", call.principal.entity_uri, raw=raw)
        return AfterCommit(lambda: Response(204))

    def get_resolved(self, call: ApiRequest, txn: Transaction) -> Outcome:
        given: ResolveParameters = call.query
        self._reader.charge_read(call, txn)
        uri, principal, ledger = normalise_filter(given.uri), call.principal, self._reader.ledger
        row = txn.state.aliases.get(uri)
        alias = row.canonical if row is not None and is_shown(txn.state, principal, row) else None
        known = is_known(ledger, principal, uri)

        async def make() -> Response:
            candidates = await self._reader.indexes.in_slices(
                similar_entities(
                    ledger, uri, top=given.top_k, threshold=given.threshold,
                    is_known=lambda entity: is_known(ledger, principal, entity),
                )
            )  # fmt: skip
            found = ResolvedName(given.uri, uri, None, None, known, alias, candidates)
            if known:
                found.best, found.resolution_layer = uri, 1
            elif alias is not None:
                found.best, found.resolution_layer = alias, 2
            elif candidates:
                found.best, found.resolution_layer = candidates[0].uri, 3
            return json_response(200, found)

        return self._reader.answer("names", make)


def _record(row: AliasRow) -> AliasRecord:
    return AliasRecord(row.raw, row.canonical, "user", format_us(row.created_us))


_REFUSALS: Final = (400, 401, 403, 422, 429, 503)

OPERATIONS = (
    Operation(
        "create_alias", "POST", "/v1/aliases", "write", AliasesApi.post_alias, "Give an entity another name",
        body=AliasRequest, answer=AliasRecord, status=201, refusals=(*_REFUSALS, 409, 507), tags=("names",),
    ),
    Operation(
        "list_aliases", "GET", "/v1/aliases", "read", AliasesApi.get_aliases, "Other names of entities, newest first",
        query=AliasParameters, answer=list[AliasRecord], refusals=_REFUSALS, tags=("names",),
    ),
    Operation(
        "delete_alias", "DELETE", "/v1/aliases/{uri}", "write", AliasesApi.delete_alias, "Take another name away",
        status=204, refusals=(401, 403, 404, 422, 429, 503, 507), tags=("names",),
    ),
    Operation(
        "resolve_entity", "GET", "/v1/entities/resolve", "read", AliasesApi.get_resolved,
        "Which entity a name means",
        query=ResolveParameters, answer=ResolvedName, refusals=_REFUSALS, tags=("names",),
    ),
)  # fmt: skip
