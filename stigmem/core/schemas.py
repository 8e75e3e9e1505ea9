"""Schemas of relations: what the values of a relation must look like, and how many it holds (spec/facts.md, 6).

A schema is an ordinary fact: entity `stigmem://<authority>/relation/<name>`, relation `rel:schema`, and as its value
the text of a JSON object (`SchemaDocument`). It travels, is superseded and retracted like any other. Which schemas are
*in force* is the operator's decision: only those of the origins that a setting names, by default of this node itself,
so that no peer can declare a conflict away by saying that a relation holds many values, or hide facts by saying that
they do not fit.

What follows from a schema in force is derived, and is derived anew when it changes: nothing that is held is refused or
deleted by it. A fact that does not fit counts for nothing in its slot and is not shown by default; it is stored and
relayed like all others, since another node may go by another schema.

How it works
------------
`SchemaBook` knows the facts that are schemas, by the relation they are for, and which of them is in force: of the live
ones by authorities the one of the authority named first, and of several of that one the best by rank. It is told of
each fact that may change that, and tells which relations mean something else now.

A JSON Schema is checked by a library that would fetch what a remote `$ref` names; here whatever is asked for is
refused, so that a schema with a remote reference is not accepted. Patterns are matched by an engine whose time is
linear in the text, and are small once compiled. A schema is nested only so deep: what reads it recurses. All of it
holds for whoever writes a schema, since those are callers.

Values of type `json` are opt-in: no fact with one fits unless the schema of its relation names that type, because
clients and nodes that do not know the type are kept from it that way.

Warts: names of entities are stored in lower case, so there is no schema for a relation with capital letters. The fixed
vocabulary (`stigmem.core.cardinality`) is stronger than a schema, since nodes must agree on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NoReturn

import jsonschema_rs
import msgspec

from stigmem.core import limits
from stigmem.core.cardinality import MANY_VALUES, cardinality_of
from stigmem.core.contradiction import Cardinality
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact, rank
from stigmem.core.known_facts import KnownFacts
from stigmem.core.ledger import Ledger
from stigmem.core.past import PastFacts, PointOfTime
from stigmem.core.schema_references import REFERENCES_MAX, references_of
from stigmem.core.suggestions import one_of
from stigmem.core.trust import TrustClass
from stigmem.core.values import KINDS, wire_value

__all__ = [
    "SCHEMA_RELATION",
    "SELF",
    "Misfit",
    "RelationSchema",
    "SchemaBook",
    "SchemaDocument",
    "known_at",
    "read_document",
    "relation_of",
]

SCHEMA_RELATION: Final = "rel:schema"
SELF: Final = "self"
"""How a setting names the node itself among the authorities."""
_PLACE: Final = "/relation/"


class SchemaDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a schema says. `value_type`: the types that values may have, None for any. `json_schema`: a JSON Schema
    (draft 2020-12) for the value's `v`. `unit`: of numbers, for readers. `trust_class`: of facts whose author
    states none (`stigmem.core.trust`). `half_life_s`: in which the confidence of a fact is read to halve where no
    policy of the operator's speaks of it (`stigmem.core.decay`). `description`: for people."""

    value_type: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    json_schema: dict[str, Any] | None = None
    cardinality: Literal["one", "many"] = "one"
    unit: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    trust_class: TrustClass | None = None
    half_life_s: Annotated[float, msgspec.Meta(gt=0.0, le=1e10)] | None = None
    description: Annotated[str, msgspec.Meta(max_length=4_096)] | None = None


class Misfit(msgspec.Struct, frozen=True):
    """Why a value does not fit. `path`: where in the request's fact, such as `value.v.name`."""

    path: str
    message: str


def read_document(text: str) -> SchemaDocument:
    """The document that a schema fact holds. Raises Rejection `malformed_schema` with what is wrong."""
    try:
        document = msgspec.json.decode(text.encode(), type=SchemaDocument)
    except RecursionError as error:
        raise _too_deep() from error
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise Rejection("malformed_schema", f"a schema is a JSON object: {error}", field="value.v") from error
    for kind in document.value_type or ():
        if kind not in KINDS:
            raise Rejection("malformed_schema", one_of("value_type", kind, KINDS), field="value.v")
    if document.json_schema is not None:
        if _depth(document.json_schema) > limits.SCHEMA_DEPTH_MAX:
            raise _too_deep()
        if references_of(document.json_schema) > REFERENCES_MAX:
            message = f"a JSON Schema whose references come to more than {REFERENCES_MAX} is not gone through"
            raise Rejection("malformed_schema", message, field="value.v")
        _validator(document.json_schema)
    return document


def _depth(value: Any) -> int:
    """How deep objects and arrays are nested, found without recursion: it is not known yet that they are few."""
    depth, inner = 0, [value]
    while inner := [each for each in inner if isinstance(each, (dict, list))]:
        depth += 1
        inner = [part for each in inner for part in (each.values() if isinstance(each, dict) else each)]
    return depth


def _too_deep() -> Rejection:
    message = f"a JSON Schema is nested at most {limits.SCHEMA_DEPTH_MAX} deep"
    return Rejection("malformed_schema", message, field="value.v")


def relation_of(entity: str) -> str | None:
    """The relation that a schema of this entity is for, or None when the entity names no relation."""
    head, found, name = entity.partition(_PLACE)
    return name if found and name and head.startswith("stigmem://") and "/" not in head[len("stigmem://") :] else None


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"a schema stands by itself: {uri} is not fetched")


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    patterns = jsonschema_rs.RegexOptions(size_limit=limits.SCHEMA_PATTERN_BYTES_MAX)
    try:
        return jsonschema_rs.Draft202012Validator(schema, retriever=_refuse, pattern_options=patterns)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        message = str(error).partition("\n")[0]
        raise Rejection("malformed_schema", f"this is no JSON Schema: {message}", field="value.v") from error


def _no_json(relation: str) -> Misfit:
    message = f"{relation} holds no values of type json: a schema in force must name json in its value_type"
    return Misfit("value.type", message)


class RelationSchema:
    """A schema that is held, ready to be asked."""

    def __init__(self, relation: str, fact: Fact, document: SchemaDocument) -> None:
        self.relation = relation
        self.fact = fact
        self.document = document
        self._validator = None if document.json_schema is None else _validator(document.json_schema)

    def misfit(self, kind: str, text: str) -> Misfit | None:
        """Why a value does not fit, or None when it does."""
        kinds = self.document.value_type
        if kinds is None and kind == "json":
            return _no_json(self.relation)
        if kinds is not None and kind not in kinds:
            return Misfit("value.type", f"{self.relation} holds values of type {' or '.join(kinds)}, not {kind}")
        if self._validator is None:
            return None
        try:
            self._validator.validate(wire_value(kind, text, "content")["v"])
        except jsonschema_rs.ValidationError as error:
            path = ".".join(("value.v", *map(str, error.instance_path)))
            return Misfit(path, f"the schema of {self.relation} does not allow this: {error.message}")
        return None


class SchemaBook:
    """The schemas of a node's ledger. Only its state changes it, with the ledger."""

    def __init__(self, authorities: tuple[str, ...], node_id: str) -> None:
        """`authorities`: node ids, the most trusted first; `self` is the node itself. `node_id`: its id, or empty."""
        self._authorities = authorities
        self._node_id = node_id
        self._held: dict[str, list[Fact]] = {}
        """Relation -> the facts by authorities that are schemas for it, in order of arrival."""
        self._in_force: dict[str, RelationSchema] = {}
        self._may_expire = False

    def __len__(self) -> int:
        return len(self._in_force)

    # --- asking ---

    def in_force(self, relation: str) -> RelationSchema | None:
        """The schema that a relation has here."""
        return self._in_force.get(relation)

    def all_in_force(self) -> list[RelationSchema]:
        """Every schema in force, by relation."""
        return [self._in_force[relation] for relation in sorted(self._in_force)]

    def cardinality(self, relation: str) -> Cardinality:
        """How many values a relation holds."""
        schema = self._in_force.get(relation) if self._in_force else None
        return cardinality_of(relation) if schema is None or relation in MANY_VALUES else schema.document.cardinality

    def trust_class(self, relation: str) -> TrustClass | None:
        """The class of facts about a relation whose author states none."""
        schema = self._in_force.get(relation) if self._in_force else None
        return None if schema is None else schema.document.trust_class

    def half_life_s(self, relation: str) -> float | None:
        """In how many seconds the confidence of a fact about a relation halves, None for never."""
        schema = self._in_force.get(relation) if self._in_force else None
        return None if schema is None else schema.document.half_life_s

    def misfit(self, fact: Fact) -> Misfit | None:
        """Why a fact does not fit the schema of its relation, or None. A retraction always fits: it takes back what
        may have been said under another schema."""
        schema = self._in_force.get(fact.relation) if self._in_force else None
        if schema is None:
            return _no_json(fact.relation) if fact.kind == "json" and not fact.is_retraction else None
        return None if fact.is_retraction else schema.misfit(fact.kind, fact.text)

    def fits(self, fact: Fact) -> bool:
        """Whether a fact fits the schema of its relation."""
        return self.misfit(fact) is None

    def rank_of(self, fact: Fact) -> int | None:
        """The place of a fact's origin among the authorities, the first the most trusted; None when it is none."""
        ours = fact.received_from is None or (self._node_id != "" and fact.origin == self._node_id)
        places = [place for place, name in enumerate(self._authorities) if name == (SELF if ours else fact.origin)]
        return places[0] if places else None

    # --- keeping ---

    def added(self, ledger: Ledger, fact: Fact) -> list[str]:
        """A fact of relation `rel:schema` was added, a resolution among them; the relations that mean something else
        now."""
        relation = relation_of(fact.entity)
        if relation is None:
            return self.refresh(ledger) if fact.is_system else []
        if self.rank_of(fact) is not None:
            self._held.setdefault(relation, []).append(fact)
            self._may_expire = self._may_expire or fact.valid_until is not None
        return self._refresh(ledger, (relation,))

    def erased(self, ledger: Ledger, facts: Sequence[Fact]) -> list[str]:
        """Facts are known no more, schemas or resolutions between some among them perhaps; as `added`."""
        if not self._held:
            return []
        gone = {(fact.origin, fact.id): None for fact in facts}
        for relation, held in self._held.items():
            self._held[relation] = [fact for fact in held if (fact.origin, fact.id) not in gone]
        changed = self.refresh(ledger)
        self._held = {relation: held for relation, held in self._held.items() if held}
        return changed

    def time_passed(self, ledger: Ledger) -> list[str]:
        """The ledger's horizon moved; as `added`."""
        return self.refresh(ledger) if self._may_expire else []

    def refresh(self, ledger: Ledger) -> list[str]:
        """Anything may have changed that decides which schemas are in force; as `added`."""
        return self._refresh(ledger, tuple(self._held))

    def _refresh(self, ledger: Ledger, relations: tuple[str, ...]) -> list[str]:
        changed: list[str] = []
        for relation in relations:
            before = self._in_force.get(relation)
            now = self._choose(ledger, relation, before)
            if now is None:
                self._in_force.pop(relation, None)
            else:
                self._in_force[relation] = now
            if (None if before is None else before.document) != (None if now is None else now.document):
                changed.append(relation)
        return changed

    def of_then(self, known: KnownFacts) -> SchemaBook:
        """The book as it was at another point of time, by the facts that were known then."""
        book = SchemaBook(self._authorities, self._node_id)
        for relation, held in self._held.items():
            book._held[relation] = [fact for fact in held if known.holds(fact)]
            chosen = book._choose(known, relation, self._in_force.get(relation))
            if chosen is not None:
                book._in_force[relation] = chosen
        return book

    def _choose(self, known: KnownFacts, relation: str, ready: RelationSchema | None) -> RelationSchema | None:
        """The schema that a relation has by what is known. `ready`: one that need not be made ready again, which costs
        a millisecond."""
        live = [fact for fact in self._held.get(relation, ()) if known.live(fact)]
        ranked = sorted(live, key=rank, reverse=True)
        for fact in sorted(ranked, key=lambda each: self.rank_of(each) or 0):
            if ready is not None and ready.fact.seq == fact.seq:
                return ready
            try:
                return RelationSchema(relation, fact, read_document(fact.text))
            except Rejection:
                continue  # an authority of another version may say what this one does not understand
        return None


def known_at(ledger: Ledger, point: PointOfTime, schemas: SchemaBook) -> PastFacts:
    """The facts of a ledger at a point of time: what this node had stored up to a number is judged by the schemas that
    were in force then, and facts as of an instant by those of today."""
    past = PastFacts(ledger, point)
    return past if point.stamp is not None else PastFacts(ledger, point, schemas.of_then(past))
