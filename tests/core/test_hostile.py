"""Hostile input: whatever a peer sends, the answer is a candidate or a rejection, and what is taken can be kept.

Entries, pages, tokens, declarations, discovery documents, manifests and resolutions, bent at random (S-12, S-33).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stigmem.core.conflicts import ConflictBook
from stigmem.core.declaration import Declaration, Discovery, declare, verify_declaration
from stigmem.core.envelope import entry_json
from stigmem.core.errors import Rejection
from stigmem.core.fact import record_of
from stigmem.core.ingest import PeerLink, is_repeat
from stigmem.core.keys import ED25519, STAND_IN, encode_base64
from stigmem.core.manifest import make_manifest, parse_manifest, speaks_for, verify_manifest, verify_replacement
from stigmem.core.page import decode_entry, decode_page, entry_name
from stigmem.core.query import FactQuery, run_query
from stigmem.core.records import decode_record, encode_record
from stigmem.core.resolution import read_resolution
from stigmem.core.token import check_token, mint, read_token
from tests.builders import T0_MS, fact, resolution
from tests.core.received import LINK, ORIGIN, OURS, RELAY, SIGNER, Draft, Receiver

ABSENT = "absent"
deep: Any = 1
for _ in range(400):
    deep = [deep]
JUNK: list[Any] = [
    ABSENT, None, True, False, 0, 1, -1, 5, 2**31, 2**53 + 1, 2**64, 10**30, 10**400, -(10**400), 1.5, -0.0, 1e308,
    float("nan"), float("inf"), "", "x", "NaN", "Infinity", "5", "true", "null", " ", "\x00", "\ud800", "é", "😀",
    "a" * 3_000, "a" * 70_000, [], [1], ["x"], [None], [[]], {}, {"a": 1}, {"": None}, {"v": 1}, deep,
    "2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "1.0", "9" * 16,
    "9999999999999999.999999999", "local", "public", "default", "sha256:" + "0" * 64, "stigmem:", "stigmem://",
    "stigmem:resolution:x", "system:x", OURS, ORIGIN, RELAY,
]  # fmt: skip
junk = st.one_of(st.sampled_from(JUNK), st.text(max_size=5), st.integers(), st.floats())


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something in a JSON value can be replaced."""
    found = [prefix] if prefix else []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += paths(inner, (*prefix, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            found += paths(inner, (*prefix, at))
    return found


def bent(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A JSON value with one part replaced or taken away."""
    value = copy.deepcopy(value)
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    if by == ABSENT and isinstance(by, str):
        del inner[path[-1]]
    else:
        inner[path[-1]] = by
    return value


def bend(draw: st.DrawFn, value: Any, most: int = 3) -> Any:
    for _ in range(draw(st.integers(1, most))):
        where = paths(value)
        if where:
            value = bent(value, draw(st.sampled_from(where)), draw(junk))
    return value


def only_rejections(act: Callable[[], Any]) -> Any:
    """What comes of it, or the Rejection; any other exception is a failure of the test."""
    try:
        return act()
    except Rejection as rejection:
        return rejection


# --- entries ---


def keep(receiver: Receiver, raw: bytes, link: PeerLink) -> bool:
    """Take an entry in as a node does; if it is good, do everything with it that a node does with facts."""
    entry_name(raw).encode()
    entry = only_rejections(lambda: decode_entry(raw, link.dialect))
    if isinstance(entry, Rejection):
        return False
    is_repeat(entry, link, receiver.ledger)
    found = only_rejections(lambda: receiver.judge(raw, link))
    if found is None or isinstance(found, Rejection):
        return False
    stored = receiver.store(found)
    assert decode_record(encode_record(stored)) == stored
    assert msgspec.json.decode(msgspec.json.encode(record_of(stored, stored.cid)))["id"] == stored.id
    entry_json(stored, SIGNER, "http://ours.example")
    receiver.ledger.advance(stored.timestamp_us)
    assert len(run_query(receiver.ledger, FactQuery(include_contradicted=True, include_expired=True)).facts) <= 1
    assert is_repeat(entry, link, receiver.ledger) or entry.fact.valid_until != stored.valid_until
    return True


DRAFTS: dict[str, Callable[[], Draft]] = {
    "fact": Draft.of,
    "number": lambda: Draft.of(kind="number", text="5.0"),
    "derived": lambda: Draft.of(derived_from='[{"fact_id":"a","weight":1}]'),
    "resolution": lambda: Draft.of(resolution(3, fact(1, "x"), fact(2, "y"), origin=ORIGIN)),
}
LINKS = [LINK, LINK._replace(dialect="2.1"), LINK._replace(dialect="0.5"), LINK._replace(sender=RELAY)]


@pytest.mark.parametrize("name", DRAFTS)
def test_every_member_of_an_entry_may_hold_anything(name: str) -> None:
    """Each member in turn replaced by each kind of junk, with a signature over the result and without."""
    taken = refused = 0
    for part in ("fact", "origin"):
        for path in paths(getattr(DRAFTS[name](), part)):
            for value in JUNK:
                draft = DRAFTS[name]()
                setattr(draft, part, bent(getattr(draft, part), path, value))
                for link in LINKS:
                    good = keep(Receiver(), draft.raw(link.dialect), link)
                    taken += good
                    refused += not good
    assert taken > 100
    assert refused > 1_000


@settings(max_examples=300)
@given(st.data())
def test_an_entry_bent_in_several_places_is_a_candidate_or_a_rejection(data: st.DataObject) -> None:
    draft = DRAFTS[data.draw(st.sampled_from(sorted(DRAFTS)))]()
    link = data.draw(st.sampled_from(LINKS))

    @st.composite
    def bending(draw: st.DrawFn) -> None:
        draft.fact = bend(draw, draft.fact)
        if draw(st.booleans()):
            draft.origin = bend(draw, draft.origin, 2)
        draft.cid = draw(st.sampled_from(("ours", "ours", None, "sha256:" + "0" * 64)))
        draft.signature = draw(st.sampled_from(("ours", "ours", "ours", "absent", "AAAA", 5, "é", "")))

    data.draw(bending())
    keep(Receiver(), draft.raw(link.dialect), link)


@settings(max_examples=300)
@given(st.data())
def test_an_entry_that_is_any_json_at_all_is_a_candidate_or_a_rejection(data: st.DataObject) -> None:
    link = data.draw(st.sampled_from(LINKS))

    @st.composite
    def bending(draw: st.DrawFn) -> Any:
        return bend(draw, Draft.of().entry(link.dialect), 5)

    keep(Receiver(), json.dumps(data.draw(bending())).encode(), link)


@given(st.binary(max_size=60), st.sampled_from(LINKS))
def test_bytes_that_are_no_entry_are_rejected(raw: bytes, link: PeerLink) -> None:
    assert not keep(Receiver(), raw, link)


@given(st.data(), st.sampled_from(["0.5", "2.1", "2.1+"]))
def test_a_page_is_a_page_or_a_rejection(data: st.DataObject, dialect: str) -> None:
    @st.composite
    def bending(draw: st.DrawFn) -> Any:
        return bend(draw, {"v": 2, "facts": [{"fact": {}}, 5], "cursor": "s:1", "has_more": True})

    body = json.dumps(data.draw(bending())).encode()
    body = data.draw(st.sampled_from((body, body[:-1], body + b"}", b"\xff" + body)))
    page = only_rejections(lambda: decode_page(body, dialect, 1))
    assert isinstance(page, Rejection) or len(page.entries) <= 1


# --- resolutions ---


@settings(max_examples=300)
@given(st.data())
def test_a_resolution_says_something_or_is_rejected_or_is_inert(data: st.DataObject) -> None:
    made = resolution(3, fact(1, "x"), fact(2, "y", source="agent:b"))

    @st.composite
    def bending(draw: st.DrawFn) -> Any:
        return bend(draw, json.loads(made.derived_from))

    text = json.dumps(data.draw(bending()), allow_nan=True)
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError):
        return  # no JSON: never the provenance of a fact
    odd = msgspec.structs.replace(made, derived_from=text)
    found = only_rejections(lambda: read_resolution(odd))
    receiver = Receiver()
    for each in (fact(1, "x"), fact(2, "y", source="agent:b"), odd):
        receiver.store(each)
    listed = ConflictBook(receiver.ledger).all()
    assert listed or not (found is None or isinstance(found, Rejection))


# --- tokens ---

CLAIMS = ("iss", "sub", "iat", "exp", "nbf", "nonce", "scopes")
ED = ED25519.signer(bytes(32))


def token_of(header: Any, payload: Any) -> str:
    signed = ".".join(encode_base64(json.dumps(part).encode()) for part in (header, payload))
    return f"{signed}.{encode_base64(ED.sign(signed.encode()))}"


def payload_of() -> dict[str, Any]:
    text = mint(ED, issuer=ORIGIN, audience=OURS, scopes=("public",), nonce="n", now_ms=T0_MS)
    return read_token(text).payload


def present(text: str) -> Any:
    def judge() -> Any:
        token = read_token(text)
        token.issuer.encode()
        return check_token(token, ED25519, ED.public_key, issuer=ORIGIN, audience=OURS, now_ms=T0_MS)

    return only_rejections(judge)


def test_our_own_token_is_good() -> None:
    assert present(token_of({"alg": "EdDSA"}, payload_of())).nonce == "n"


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_may_hold_anything(claim: str) -> None:
    codes = set()
    for value in JUNK:
        payload = payload_of()
        if value == ABSENT and isinstance(value, str):
            payload.pop(claim, None)
        else:
            payload[claim] = value
        found = present(token_of({"alg": "EdDSA"}, payload))
        codes.add(found.code if isinstance(found, Rejection) else "accepted")
    assert len(codes) > 1
    assert codes <= {
        "accepted", "malformed token", "invalid_token", "invalid_iss", "invalid_sub", "token_expired", "iat_too_old",
        "iat_in_future", "nbf_in_future", "missing_nonce", "token_lifetime_exceeded",
    }  # fmt: skip


@settings(max_examples=300)
@given(st.data())
def test_a_token_bent_anywhere_is_claims_or_a_rejection(data: st.DataObject) -> None:
    @st.composite
    def bending(draw: st.DrawFn) -> str:
        header, payload = bend(draw, [{"alg": "EdDSA", "typ": "JWT"}, payload_of()], 4), None
        if isinstance(header, list) and len(header) == 2:
            header, payload = header
        return token_of(header, payload)

    present(data.draw(bending()))


@given(st.text(max_size=60) | st.binary(max_size=30).map(encode_base64).map(lambda part: ".".join([part] * 3)))
def test_text_that_is_no_token_is_malformed(text: str) -> None:
    assert isinstance(present(text), Rejection)


# --- declarations, discovery documents, manifests ---


@settings(max_examples=300)
@given(st.data())
def test_a_declaration_bent_anywhere_is_no_declaration_or_judged(data: st.DataObject) -> None:
    made = declare(STAND_IN.signer(bytes(32)), node_id=ORIGIN, node_url="http://o", scopes=("public",), signed_at="x")

    @st.composite
    def bending(draw: st.DrawFn) -> tuple[Any, Any]:
        known = {"node_id": ORIGIN, "federation_pubkey": made.federation_pubkey, "federation_extensions": ["wait"]}
        return bend(draw, msgspec.to_builtins(made)), bend(draw, known)

    body, served = data.draw(bending())
    try:
        declaration = msgspec.json.decode(json.dumps(body), type=Declaration)
        discovery = msgspec.json.decode(json.dumps(served), type=Discovery)
    except (msgspec.MsgspecError, ValueError):
        return
    assert discovery.dialect in ("0.5", "2.1", "2.1+")
    for fresh in (False, True):
        verdict = only_rejections(
            partial(verify_declaration, declaration, discovery, STAND_IN, now_ms=T0_MS, fresh=fresh)
        )
        assert verdict is None or isinstance(verdict, Rejection)
        if fresh:
            assert isinstance(verdict, Rejection)  # `x` is no instant, and nothing we bend it into is recent


@settings(max_examples=300)
@given(st.data())
def test_a_manifest_bent_anywhere_is_a_manifest_or_a_rejection(data: st.DataObject) -> None:
    signer = STAND_IN.signer(bytes(32))
    made = make_manifest(
        signer, entity_uri="http://o", entities=(ORIGIN,), issued_at="2026-01-01T00:00:00Z",
        expires_at="2026-06-01T00:00:00Z",
    )  # fmt: skip
    event = {
        "previous_key_id": made.key_id, "new_key_id": "new", "new_public_key": made.public_key,
        "rotated_at": "2026-01-02T00:00:00Z", "signature": "AAAA",
    }  # fmt: skip

    @st.composite
    def bending(draw: st.DrawFn) -> Any:
        return bend(draw, {**msgspec.to_builtins(made), "rotation_events": [event]})

    body = json.dumps(data.draw(bending()))
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError):
        return
    manifest = only_rejections(lambda: parse_manifest(decoded))
    if isinstance(manifest, Rejection):
        return
    verdict = only_rejections(lambda: verify_manifest(manifest, STAND_IN))
    if verdict is None:
        assert manifest.expired(T0_MS * 1000) in (True, False)
    only_rejections(lambda: verify_replacement(made, manifest, STAND_IN))
    assert speaks_for(manifest, ORIGIN, made.public_key) in (True, False)
