"""Peer tokens: what we mint is good at any receiver whose clock is near ours, and near misses are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core import limits
from stigmem.core.keys import ED25519, encode_base64
from stigmem.core.token import Claims, check_token, mint, read_token
from tests.builders import T0_MS, refused

ISSUER, AUDIENCE = "stigmem:node:issuer", "stigmem:node:audience"
SIGNER = ED25519.signer(bytes(32))


def check(text: str, now_ms: int = T0_MS, issuer: str = ISSUER) -> Claims:
    return check_token(read_token(text), ED25519, SIGNER.public_key, issuer=issuer, audience=AUDIENCE, now_ms=now_ms)


def made(**claims: Any) -> str:
    """A signed token with our usual claims, some of them changed."""
    usual = {"iss": ISSUER, "sub": AUDIENCE, "iat": T0_MS, "exp": T0_MS + 60_000, "nonce": "n", "scopes": ["public"]}
    parts = ({"alg": "EdDSA", "typ": "JWT"}, usual | claims)
    signed = ".".join(encode_base64(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encode_base64(SIGNER.sign(signed.encode()))}"


@given(st.integers(-limits.TOKEN_REACH_MS, limits.TOKEN_REACH_MS))
def test_what_we_mint_is_good_for_every_clock_within_the_skew_bound(difference_ms: int) -> None:
    text = mint(SIGNER, issuer=ISSUER, audience=AUDIENCE, scopes=("company", "public"), nonce="n", now_ms=T0_MS)
    claims = check(text, T0_MS + difference_ms)
    assert (claims.iss, claims.nonce, claims.scopes) == (ISSUER, "n", ("company", "public"))
    assert limits.TOKEN_REACH_MS >= limits.SKEW_FUTURE_MS + limits.TOKEN_LEEWAY_MS


@pytest.mark.parametrize(
    ("difference_ms", "code"),
    [
        (limits.TOKEN_REACH_MS + limits.TOKEN_LEEWAY_MS, None),
        (limits.TOKEN_REACH_MS + limits.TOKEN_LEEWAY_MS + 1, "token_expired"),
        (-limits.TOKEN_REACH_MS - limits.TOKEN_LEEWAY_MS, None),
        (-limits.TOKEN_REACH_MS - limits.TOKEN_LEEWAY_MS - 1, "iat_in_future"),
    ],
)
def test_a_clock_too_far_off_refuses_what_we_mint(difference_ms: int, code: str | None) -> None:
    text = mint(SIGNER, issuer=ISSUER, audience=AUDIENCE, scopes=("public",), nonce="n", now_ms=T0_MS)
    assert refused(lambda: check(text, T0_MS + difference_ms)) == code


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_token_changed_in_any_character_is_refused(at: int, by: int) -> None:
    text = mint(SIGNER, issuer=ISSUER, audience=AUDIENCE, scopes=("public",), nonce="n", now_ms=T0_MS)
    at %= len(text) - 1  # the last character holds spare bits, which may differ
    changed = text[:at] + chr(33 + (ord(text[at]) - 33 + by) % 94) + text[at + 1 :]
    if changed != text and changed.translate(str.maketrans("+/", "-_")) != text:
        assert refused(lambda: check(changed)) is not None


def test_an_issuer_that_only_looks_like_the_registered_one_is_refused() -> None:
    assert read_token(made(iss=5)).issuer == "5"
    assert refused(lambda: check(made(iss=5), issuer="5")) == "invalid_iss"
    assert refused(lambda: check(made(iss="5"), issuer="5")) is None


def test_an_issuer_is_cut_before_it_reaches_a_table() -> None:
    assert len(read_token(made(iss="i" * 10_000)).issuer) == limits.NODE_ID_CHARS_MAX


@pytest.mark.parametrize("iss", [None, [], {}, "\ud800"])
def test_an_issuer_that_no_table_could_hold_is_refused(iss: Any) -> None:
    assert refused(lambda: read_token(made(iss=iss))) == "invalid_iss"


def test_a_token_has_a_bounded_length() -> None:
    assert refused(lambda: read_token(made(nonce="n" * 20_000))) is None
    assert refused(lambda: read_token(made(nonce="n" * limits.TOKEN_CHARS_MAX))) == "malformed token"


@pytest.mark.parametrize("scopes", [["public", 5, None, True], {"public": 1}])
def test_scopes_that_are_no_names_are_left_out(scopes: Any) -> None:
    assert check(made(scopes=scopes)).scopes == ("public",)


def test_a_token_for_another_key_is_refused_before_anything_in_it_is_looked_at() -> None:
    other = ED25519.signer(bytes([1] * 32))
    text = made(exp=None, sub=None, nonce=None)
    found = refused(
        lambda: check_token(read_token(text), ED25519, other.public_key, issuer=ISSUER, audience=AUDIENCE, now_ms=T0_MS)
    )
    assert found == "invalid_signature"
