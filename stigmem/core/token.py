"""Peer tokens: compact EdDSA JWTs with millisecond times and a nonce of one use (federation 2.6).

Every check in the order of the contract, type checks first: whatever a claim contains, the answer is a
Rejection and never another exception. Spending the nonce and looking up the peer is
`stigmem.node.api.peer_auth`.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Rejection
from stigmem.core.keys import Signer, Suite, decode_base64, encode_base64

__all__ = ["Claims", "Token", "check_token", "mint", "read_token"]

_HEADER: Final = encode_base64(b'{"alg":"EdDSA","typ":"JWT"}')
_YEAR_10000_MS: Final = 253_402_300_800_000
_decoder: Final = msgspec.json.Decoder(dict[str, Any])
_encode: Final = msgspec.json.Encoder().encode


class Claims(msgspec.Struct, kw_only=True):
    """The claims of a token that passed every check; `exp` in ms since the epoch. Unknown scopes are still among
    them."""

    iss: str
    exp: int
    nonce: str
    scopes: tuple[str, ...]


class Token(msgspec.Struct):
    """A token taken apart, nothing checked yet but its shape. `issuer`: `iss` as text, cut to the length of a node id,
    or empty. `signed`: the bytes that the signature is over."""

    issuer: str
    header: dict[str, Any]
    payload: dict[str, Any]
    signed: bytes
    signature: bytes


def mint(signer: Signer, *, issuer: str, audience: str, scopes: tuple[str, ...], nonce: str, now_ms: int) -> str:
    """The text of a token whose life is centred on `now_ms`, our wall clock. `issuer` and `audience` are node ids.

    Centred, because the receiver's clock may be wrong either way: a token issued "now" is refused by a
    receiver 31 s behind, one that began five minutes ago is not. The life stays well within one hour.
    """
    reach = limits.TOKEN_REACH_MS
    payload = _encode(
        {
            "iss": issuer, "sub": audience, "iat": now_ms - reach, "exp": now_ms + reach, "nonce": nonce,
            "scopes": scopes,
        }
    )  # fmt: skip
    signed = f"{_HEADER}.{encode_base64(payload)}"
    return f"{signed}.{encode_base64(signer.sign(signed.encode()))}"


def read_token(text: str) -> Token:
    """Take a token apart; raises Rejection `malformed token` or `invalid_iss` (the wire details)."""
    parts = text.split(".")
    if len(parts) != 3 or len(text) > limits.TOKEN_CHARS_MAX:
        raise Rejection("malformed token", "a peer token is a JWT of three parts")
    try:
        header = {"alg": "EdDSA", "typ": "JWT"} if parts[0] == _HEADER else _object(decode_base64(parts[0]))
        payload = _object(decode_base64(parts[1]))
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Rejection("malformed token", "a peer token's header and payload are JSON objects") from error
    try:
        signature = decode_base64(parts[2])
    except ValueError:
        signature = b""
    issuer = payload.get("iss", "")
    if issuer is None or isinstance(issuer, (dict, list)):
        raise Rejection("invalid_iss", "iss must be a node id")
    name = str(issuer)[: limits.NODE_ID_CHARS_MAX]
    try:
        name.encode()
    except UnicodeEncodeError as error:  # no log could hold it
        raise Rejection("invalid_iss", "iss must be valid Unicode") from error
    return Token(name, header, payload, text[: len(parts[0]) + 1 + len(parts[1])].encode(), signature)


def _object(data: bytes) -> dict[str, Any]:
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # NaN and Infinity are no JSON, yet every Python JWT library reads them; what they stand for is judged below.
        found = json.loads(data)
        if not isinstance(found, dict):
            raise
        return found


def check_token(token: Token, suite: Suite, public_key: str, *, issuer: str, audience: str, now_ms: int) -> Claims:
    """Check a token of a known peer; raises Rejection whose code is the wire detail of federation 2.6."""
    payload = token.payload
    if token.header.get("alg") != "EdDSA":
        raise Rejection("invalid_token", "alg must be EdDSA")
    if not suite.verify(public_key, token.signed, token.signature):
        raise Rejection("invalid_signature", "the token is not signed by the key this peer registered")
    subject = payload.get("sub", "")
    if not isinstance(subject, str):
        raise Rejection("invalid_token", "sub must be a node id")
    expiry = _milliseconds(payload, "exp", missing=0)
    if now_ms > expiry + limits.TOKEN_LEEWAY_MS:
        raise Rejection("token_expired", "exp has passed; times are milliseconds")
    if subject != audience:
        raise Rejection("invalid_sub", "the token is meant for another node")
    if payload.get("iss") != issuer:
        raise Rejection("invalid_iss", "iss is not the registered node id")
    _check_times(payload, expiry, now_ms)
    return Claims(iss=issuer, exp=int(expiry), nonce=_nonce(payload), scopes=_scopes(payload))


def _check_times(payload: dict[str, Any], expiry: float, now_ms: int) -> None:
    leeway = limits.TOKEN_LEEWAY_MS
    issued = _milliseconds(payload, "iat", missing=0)
    if issued > now_ms + leeway:
        raise Rejection("iat_in_future", "iat lies ahead of this node's clock")
    if issued < now_ms - limits.TOKEN_IAT_AGE_MS_MAX:
        raise Rejection("iat_too_old", "iat lies more than a day back; times are milliseconds")
    if payload.get("nbf") is not None and _milliseconds(payload, "nbf", missing=0) > now_ms + leeway:
        raise Rejection("nbf_in_future", "nbf lies ahead of this node's clock")
    if expiry - issued > limits.TOKEN_LIFE_MS + leeway:
        raise Rejection("token_lifetime_exceeded", "a peer token lives at most one hour")


def _milliseconds(payload: dict[str, Any], claim: str, *, missing: int) -> float:
    found = payload.get(claim, missing)
    if claim == "exp" and isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 17:
        found = int(found)  # the reference reads numeric text here, and its peers may rely on it
    if isinstance(found, float) and claim == "exp":
        found = None
    # A bool is an int in Python and 0 or 1 ms here: long past, which is the answer the contract gives.
    if not isinstance(found, (int, float)) or not abs(found) < _YEAR_10000_MS:
        raise Rejection("invalid_token", f"{claim} must be milliseconds since the epoch")
    return found


def _nonce(payload: dict[str, Any]) -> str:
    nonce = payload.get("nonce")
    if nonce in (None, "", 0):
        raise Rejection("missing_nonce", "a peer token carries a nonce")
    if not isinstance(nonce, str):
        raise Rejection("invalid_token", "the nonce must be text")
    return nonce


def _scopes(payload: dict[str, Any]) -> tuple[str, ...]:
    scopes = payload.get("scopes", [])
    if type(scopes) is list and all(type(scope) is str for scope in scopes):
        return tuple(scopes)
    if isinstance(scopes, str):
        return ()
    if not isinstance(scopes, (list, dict)) or any(isinstance(scope, (list, dict)) for scope in scopes):
        raise Rejection("invalid_token", "scopes must be a list of scope names")
    return tuple(scope for scope in scopes if isinstance(scope, str))
