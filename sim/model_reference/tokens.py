"""Peer tokens as the reference makes and reads them (contract, 2.6): compact JWTs with times in milliseconds."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stigmem.core.keys import Signer, Suite, decode_base64, encode_base64

__all__ = ["Refused", "issuer_of", "make_token", "verified_claims"]

_LEEWAY_MS: Final = 30_000
_LIFE_MS: Final = 3_600_000
_AGE_MS_MAX: Final = 86_400_000
_HEADER: Final = encode_base64(b'{"alg":"EdDSA","typ":"JWT"}')


class Refused(Exception):
    """A token that is not taken; the text is the `detail` of the answer."""


def make_token(signer: Signer, *, issuer: str, audience: str, scopes: list[str], nonce: str, now_ms: int) -> str:
    """A token that lives for an hour from now."""
    claims = {
        "iss": issuer, "sub": audience, "iat": now_ms, "exp": now_ms + _LIFE_MS, "nonce": nonce, "scopes": scopes,
    }  # fmt: skip
    signed = f"{_HEADER}.{encode_base64(msgspec.json.encode(claims))}"
    return f"{signed}.{encode_base64(signer.sign(signed.encode()))}"


def issuer_of(token: str) -> str:
    """Whom a token says it is from. Raises Refused."""
    return str(_claims(token).get("iss"))


def _claims(token: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(decode_base64(token.split(".")[1]), type=dict[str, Any])
    except (IndexError, ValueError, msgspec.MsgspecError) as error:
        raise Refused("malformed token") from error


def verified_claims(token: str, suite: Suite, public_key: str, *, audience: str, now_ms: int) -> dict[str, Any]:
    """The claims of a token of a known peer, in the order of the contract's checks. Raises Refused."""
    claims = _claims(token)
    signed, _, signature = token.rpartition(".")
    try:
        is_signed = suite.verify(public_key, signed.encode(), decode_base64(signature))
    except ValueError:
        is_signed = False
    if not is_signed:
        raise Refused("invalid_signature")
    try:
        expiry, issued = int(claims.get("exp", 0)), int(claims.get("iat", 0))
    except (TypeError, ValueError) as error:
        raise Refused("invalid_token") from error  # the reference answers 500; a refusal all the same
    checks = (
        (now_ms <= expiry + _LEEWAY_MS, "token_expired"),
        (claims.get("sub") == audience, "invalid_sub"),
        (issued <= now_ms + _LEEWAY_MS, "iat_in_future"),
        (issued >= now_ms - _AGE_MS_MAX, "iat_too_old"),
        (bool(claims.get("nonce")), "missing_nonce"),
    )
    for holds, code in checks:
        if not holds:
            raise Refused(code)
    return claims
