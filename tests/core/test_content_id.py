"""Canonical bytes and the ids made of them: what each covers, and what it does not (spec/facts.md, 4 and 5)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.canonical import compact, escaped, sha256_hex
from stigmem.core.content_id import is_cid, uuid_from_hash
from stigmem.core.envelope import TENANT, Origin, entry_json, envelope_bytes, origin_bytes
from stigmem.core.fact import Fact, record_of
from stigmem.core.hlc import stamp
from stigmem.core.keys import ED25519, decode_base64, encode_base64
from stigmem.core.page import decode_entry
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.values import KINDS, parse_value, wire_value
from tests.builders import T0_MS, fact

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
SIGNER = ED25519.signer(bytes(32))


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """Any fact that a node of ours could have written."""
    kind = draw(st.sampled_from(KINDS))
    v: Any = None
    if kind == "number":
        v = draw(st.floats(allow_nan=False, allow_infinity=False))
    elif kind == "boolean":
        v = draw(st.booleans())
    elif kind == "datetime":
        v = format_us(draw(st.integers(0, 2_000_000_000_000_000)))
    elif kind != "null":
        v = draw(texts.filter(bool))
    value = parse_value(kind, v)
    written = fact(draw(st.integers(1, 9)), kind=kind)
    return msgspec.structs.replace(
        written,
        text=value.text,
        interpret_as=draw(st.sampled_from(("content", "instruction"))),
        entity=draw(texts.filter(bool)),
        relation=draw(texts.filter(bool)),
        source=draw(texts.filter(bool)),
        scope=draw(st.sampled_from(("team", "company", "public"))),
        confidence=draw(st.floats(0.0, 1.0)),
        valid_until=draw(st.none() | st.just("2030-01-01T00:00:00Z")),
        derived_from=draw(st.sampled_from(("", '[{"fact_id":"a"}]'))),
    )


# --- canonical bytes ---


@given(plain)
def test_canonical_bytes_read_back_as_the_same_data(value: Any) -> None:
    assert json.loads(compact(value)) == value
    assert json.loads(escaped(value)) == value
    assert escaped(value).isascii()


@given(st.dictionaries(texts, plain, max_size=6), st.randoms(use_true_random=False))
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(value: dict[str, Any], order: Any) -> None:
    items = list(value.items())
    order.shuffle(items)
    assert compact(dict(items)) == compact(value)
    assert escaped(dict(items)) == escaped(value)


@given(st.lists(texts, unique=True, max_size=8))
def test_keys_are_sorted_by_code_point(names: list[str]) -> None:
    body = compact(dict.fromkeys(names, 0)).decode()
    assert list(json.loads(body)) == sorted(names)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_json_has_no_canonical_bytes(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        compact({"v": value})


def test_a_lone_surrogate_has_no_canonical_bytes() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        compact("\ud800")


# --- values ---


@given(facts())
def test_a_stored_value_reads_back_from_its_wire_form(written: Fact) -> None:
    wire = json.loads(json.dumps(wire_value(written.kind, written.text, written.interpret_as)))
    assert parse_value(wire["type"], wire["v"], wire["interpret_as"]) == written.value


@given(st.integers(-(2**200), 2**200))
def test_an_integer_and_its_float_are_one_value(number: int) -> None:
    assert parse_value("number", number) == parse_value("number", float(number))


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_instants_survive_their_text(us: int) -> None:
    text = format_us(us)
    assert parse_us(text) == us
    assert len(text) == 32
    assert text.endswith("+00:00")


# --- content ids ---

COVERED: dict[str, Any] = {
    "entity": "user:other", "relation": "memory:other", "scope": "team", "source": "agent:other", "kind": "text",
    "text": "other", "confidence": 0.5,
}  # fmt: skip
UNCOVERED: dict[str, Any] = {
    "stamp": stamp(T0_MS + 9, 9), "origin": "stigmem:node:other", "id": "other", "timestamp_us": 1,
    "valid_until": "2030-01-01T00:00:00Z", "derived_from": '[{"fact_id":"a"}]', "seq": 7, "received_from": "x",
    "certified": False, "quarantine": "why", "signature": b"s", "entity_uri": "http://x", "grant": "public",
}  # fmt: skip


def test_every_member_of_a_fact_is_named_here() -> None:
    assert {*COVERED, *UNCOVERED, "interpret_as"} == set(Fact.__struct_fields__)


@pytest.mark.parametrize("member", COVERED)
def test_content_ids_cover_what_is_said(member: str) -> None:
    before = fact(1)
    after = msgspec.structs.replace(before, **{member: COVERED[member]})
    assert after.cid != before.cid
    assert after.cid8 != before.cid8


@pytest.mark.parametrize("member", UNCOVERED)
def test_content_ids_leave_out_when_by_which_node_and_until_when(member: str) -> None:
    before = fact(1)
    after = msgspec.structs.replace(before, **{member: UNCOVERED[member]})
    assert (after.cid, after.cid8) == (before.cid, before.cid8)


def test_only_the_eight_field_id_covers_how_a_value_is_meant() -> None:
    before = fact(1)
    after = msgspec.structs.replace(before, interpret_as="instruction")
    assert after.cid == before.cid
    assert after.cid8 != before.cid8


@given(facts())
def test_content_ids_are_hashes_of_the_canonical_form_of_their_members(written: Fact) -> None:
    members = {
        "confidence": written.confidence + 0.0, "entity": written.entity, "relation": written.relation,
        "scope": written.scope, "source": written.source, "value_type": written.kind, "value_v": written.text,
    }  # fmt: skip
    assert written.cid == sha256_hex(compact(members))
    assert written.cid8 == sha256_hex(compact({**members, "interpret_as": written.interpret_as}))
    assert is_cid(written.cid)
    assert not is_cid(written.cid.upper())


# --- ids that commit ---

COMMITTED = {
    "stamp": UNCOVERED["stamp"], "timestamp_us": 1, "valid_until": UNCOVERED["valid_until"],
    "derived_from": UNCOVERED["derived_from"], "origin": UNCOVERED["origin"], "interpret_as": "instruction", **COVERED,
}  # fmt: skip


@pytest.mark.parametrize("member", COMMITTED)
def test_a_certified_id_changes_with_everything_its_origin_says(member: str) -> None:
    before = fact(1)
    after = msgspec.structs.replace(before, **{member: COMMITTED[member]})
    assert after.certified_id() != before.certified_id()


@pytest.mark.parametrize("member", sorted(set(Fact.__struct_fields__) - set(COMMITTED)))
def test_a_certified_id_does_not_depend_on_the_bookkeeping_of_a_node(member: str) -> None:
    before = fact(1)
    after = msgspec.structs.replace(before, **{member: UNCOVERED[member]})
    assert after.certified_id() == before.certified_id()


@given(facts(), facts())
def test_facts_that_differ_in_a_committed_member_have_different_ids(first: Fact, second: Fact) -> None:
    same = all(getattr(first, member) == getattr(second, member) for member in COMMITTED)
    assert (first.certified_id() == second.certified_id()) == same


@given(st.binary(max_size=80))
def test_ids_have_the_layout_of_a_version_4_uuid(data: bytes) -> None:
    text = uuid_from_hash(data)
    parsed = uuid.UUID(text)
    assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)


# --- envelopes ---


@given(facts(), texts)
def test_what_we_sign_is_what_a_receiver_rebuilds(written: Fact, uri: str) -> None:
    origin = Origin(
        tenant=TENANT, node_id=written.origin, allowed_scopes=[written.scope], allowed_tenants=[TENANT], entity_uri=uri
    )
    cid = written.cid8
    assert envelope_bytes(written, cid, uri) == origin_bytes(origin, written.id, cid, written.valid_until)


@given(facts())
def test_an_entry_carries_every_member_and_a_signature_that_holds(written: Fact) -> None:
    raw = entry_json(written, SIGNER, "http://a.example")
    entry = decode_entry(raw, "2.1")
    assert entry.origin is not None
    assert json.loads(raw)["fact"] == json.loads(msgspec.json.encode(record_of(written, written.cid8)))
    message = origin_bytes(entry.origin, str(entry.fact.id), str(entry.fact.cid), entry.fact.valid_until)
    assert ED25519.verify(SIGNER.public_key, message, decode_base64(str(entry.origin_sig)))


@given(st.binary(max_size=64))
def test_base64_reads_both_alphabets_padded_or_not(data: bytes) -> None:
    text = encode_base64(data)
    assert decode_base64(text) == data
    assert decode_base64(text + "=" * (-len(text) % 4)) == data
    assert decode_base64(text.replace("-", "+").replace("_", "/")) == data
    assert "=" not in text


@given(st.text(max_size=20))
def test_what_is_not_base64_is_refused(text: str) -> None:
    try:
        data = decode_base64(text)
    except ValueError:
        return
    assert len(data) == len(text.rstrip("=")) * 3 // 4
