"""Schemas of relations: what a document may be, which one is in force, and what fits."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.schemas import SCHEMA_RELATION, SchemaBook, read_document, relation_of
from stigmem.core.timestamps import format_us
from tests.builders import T0_MS, fact, retraction
from tests.core.histories import ORIGINS

US = "stigmem:node:us"
PRICE = ("shop:apple", "shop:price", "public")


def schema(n: int, relation: str = "shop:price", *, origin: str = US, authority: str = "us", **document: Any) -> Fact:
    slot = (f"stigmem://{authority}/relation/{relation}", SCHEMA_RELATION, "public")
    received = None if origin == US else origin
    return fact(n, json.dumps(document), kind="text", slot=slot, origin=origin, received_from=received)


class Shop:
    """A ledger with its book of schemas, as a node's state keeps them."""

    def __init__(self, *authorities: str) -> None:
        self.book = SchemaBook(authorities or ("self",), US)
        self.ledger = Ledger(cardinality=self.book.cardinality, fits=self.book.fits)
        self.ledger.advance(T0_MS * 1000)

    def add(self, *facts: Fact) -> None:
        for each in facts:
            stored = msgspec.structs.replace(each, seq=len(self.ledger) + 1)
            self.ledger.add(stored)
            if stored.relation == SCHEMA_RELATION:
                self._follow(self.book.added(self.ledger, stored))

    def _follow(self, relations: list[str]) -> None:
        for relation in relations:
            self.ledger.reinterpret(relation)
        while self.ledger.slots_to_rederive:
            self.ledger.rederive(2)

    def advance(self, ms: int) -> None:
        self.ledger.advance((T0_MS + ms) * 1000)
        self._follow(self.book.time_passed(self.ledger))

    def shown(self) -> list[str]:
        return [each.text for each in self.ledger.facts_of(PRICE) if self.ledger.live(each)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON", "a schema is a JSON object"),
        ("[]", "a schema is a JSON object"),
        ('{"colour": 1}', "colour"),
        ('{"value_type": ["strin"]}', "string"),
        ('{"value_type": []}', "length"),
        ('{"cardinality": "few"}', "few"),
        ('{"json_schema": {"type": "nonsense"}}', "no JSON Schema"),
        ('{"json_schema": {"pattern": "(?=a)b"}}', "no JSON Schema"),
        ('{"json_schema": {"$ref": "http://elsewhere.example/s.json"}}', "not fetched"),
        ('{"json_schema": {"$ref": "file:///etc/passwd"}}', "not fetched"),
    ],
)
def test_what_is_no_schema_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(Rejection) as refused:
        read_document(text)
    assert refused.value.code == "malformed_schema"
    assert said in refused.value.message


def test_an_entity_names_the_relation_that_its_schema_is_for() -> None:
    assert relation_of("stigmem://lab.example/relation/memory:note") == "memory:note"
    assert relation_of("stigmem://lab.example/relation/a/b") == "a/b"
    for other in (
        "stigmem://lab.example/device/relation/x",
        "user:a",
        "lab/relation/x",
        "stigmem://lab.example/relation/",
    ):
        assert relation_of(other) is None


def test_a_pattern_that_would_keep_other_engines_busy_for_years_is_matched_at_once() -> None:
    shop = Shop()
    shop.add(schema(1, json_schema={"pattern": "^(a+)+$"}))
    assert not shop.book.fits(fact(2, "a" * 50_000 + "b", slot=PRICE))


def test_a_value_of_another_type_does_not_fit_and_the_path_says_where() -> None:
    shop = Shop()
    shop.add(schema(1, value_type=["number"], json_schema={"minimum": 0}))
    assert shop.book.misfit(fact(2, "cheap", slot=PRICE)).path == "value.type"  # type: ignore[union-attr]
    wrong = shop.book.misfit(fact(3, "-1.0", kind="number", slot=PRICE))
    assert wrong is not None
    assert (wrong.path, "-1" in wrong.message) == ("value.v", True)
    assert shop.book.fits(fact(4, "3.5", kind="number", slot=PRICE))
    assert shop.book.fits(retraction(5, slot=PRICE))


def test_what_does_not_fit_counts_for_nothing_whether_it_came_before_the_schema_or_after() -> None:
    good, bad = fact(2, "3.5", kind="number", slot=PRICE), fact(3, "cheap", slot=PRICE, source="agent:b")
    rule = schema(1, value_type=["number"])
    for order in ([good, bad, rule], [rule, good, bad], [bad, rule, good]):
        shop = Shop()
        shop.add(*order)
        assert shop.shown() == ["3.5"]
        assert not shop.ledger.contested
        assert [each.text for each in shop.ledger.facts_of(PRICE)] == ["3.5", "cheap"]


def test_what_did_not_fit_is_back_when_the_schema_is_taken_back_replaced_or_expires() -> None:
    word = fact(2, "cheap", slot=PRICE)
    shop = Shop()
    shop.add(word, schema(3, value_type=["number"]))
    assert shop.shown() == []
    shop.add(schema(4, value_type=["number", "string"]))
    assert shop.shown() == ["cheap"]
    shop.add(msgspec.structs.replace(schema(5, value_type=["number"]), valid_until=format_us((T0_MS + 50) * 1000)))
    assert shop.shown() == []
    shop.advance(60)
    assert shop.shown() == ["cheap"]
    shop.add(schema(70, value_type=["number"]), retraction(71, slot=schema(1).slot, origin=US))
    assert shop.shown() == ["cheap"]


def test_a_relation_holds_many_once_its_schema_says_so_and_one_again_when_it_does_not() -> None:
    shop = Shop()
    shop.add(fact(1, "x", slot=PRICE), fact(2, "y", slot=PRICE), fact(3, "z", slot=PRICE, source="agent:b"))
    assert (shop.shown(), len(shop.ledger.contested)) == (["y", "z"], 1)
    shop.add(schema(4, cardinality="many"))
    assert (shop.shown(), len(shop.ledger.contested)) == (["x", "y", "z"], 0)
    shop.add(schema(5))
    assert (shop.shown(), len(shop.ledger.contested)) == (["y", "z"], 1)


def test_no_peer_declares_a_conflict_away_unless_the_operator_names_it() -> None:
    words = [fact(1, "x", slot=PRICE), fact(2, "y", slot=PRICE, source="agent:b")]
    theirs = schema(3, origin=ORIGINS[1], cardinality="many")
    alone, trusting = Shop(), Shop("self", ORIGINS[1])
    for shop in (alone, trusting):
        shop.add(*words, theirs)
    assert len(alone.ledger.contested) == 1
    assert len(trusting.ledger.contested) == 0


def test_of_two_authorities_the_one_named_first_is_followed_whatever_came_when() -> None:
    ours, theirs = schema(9), schema(3, origin=ORIGINS[1], authority="b", cardinality="many")
    for order in ([ours, theirs], [theirs, ours]):
        first, second = Shop("self", ORIGINS[1]), Shop(ORIGINS[1], "self")
        for shop in (first, second):
            shop.add(*order)
        assert first.book.cardinality("shop:price") == "one"
        assert second.book.cardinality("shop:price") == "many"


def test_the_fixed_vocabulary_is_stronger_than_a_schema() -> None:
    shop = Shop()
    shop.add(schema(1, "memory:note"))
    assert shop.book.cardinality("memory:note") == "many"


def doubling(levels: int) -> dict[str, Any]:
    """A schema of which each part names the next one twice."""
    parts: dict[str, Any] = {"p0": {"type": "number"}}
    for level in range(1, levels + 1):
        parts[f"p{level}"] = {"allOf": [{"$ref": f"#/$defs/p{level - 1}"}] * 2}
    return {"$ref": f"#/$defs/p{levels}", "$defs": parts}


@pytest.mark.parametrize(("levels", "taken"), [(3, True), (10, True), (14, False), (60, False)])
def test_a_schema_whose_references_multiply_is_refused_before_a_value_meets_it(levels: int, taken: bool) -> None:
    text = json.dumps({"json_schema": doubling(levels)})
    if taken:
        assert read_document(text).json_schema is not None
    else:
        with pytest.raises(Rejection, match="references come to more than"):
            read_document(text)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": ["object", "null"], "properties": {"next": {"$ref": "#"}, "other": {"$ref": "#"}}},
        {"$defs": {"a": {"$anchor": "here", "type": "number"}}, "anyOf": [{"$ref": "#here"}, {"$ref": "#/$defs/a"}]},
        {"$defs": {"a/b~c": {"type": "number"}}, "$ref": "#/$defs/a~1b~0c"},
    ],
)
def test_a_schema_that_names_itself_or_its_parts_is_taken(schema: dict[str, Any]) -> None:
    assert read_document(json.dumps({"json_schema": schema})).json_schema == schema


@pytest.mark.parametrize("is_backwards", [False, True])
@pytest.mark.parametrize(("levels", "taken"), [(20, True), (150, True), (250, False), (3_000, False)])
def test_references_that_follow_each_other_for_ever_are_refused_in_whatever_order_they_stand(
    levels: int, taken: bool, is_backwards: bool
) -> None:
    """Following one recurses: a long chain ended the counting, and the node with it."""
    parts = [("p0", {"type": "number"}), *((f"p{n}", {"$ref": f"#/$defs/p{n - 1}"}) for n in range(1, levels + 1))]
    schema = {"$ref": f"#/$defs/p{levels}", "$defs": dict(reversed(parts) if is_backwards else parts)}
    if taken:
        assert read_document(json.dumps({"json_schema": schema})).json_schema == schema
    else:
        with pytest.raises(Rejection, match="references come to more than"):
            read_document(json.dumps({"json_schema": schema}))


def test_definitions_that_nothing_names_are_not_counted() -> None:
    unused = {f"d{n}": {"allOf": [{"$ref": "#/$defs/d0"}] * 60} for n in range(1, 200)}
    schema = {"type": "number", "$defs": {"d0": {"type": "number"}} | unused}
    assert read_document(json.dumps({"json_schema": schema})).json_schema == schema
